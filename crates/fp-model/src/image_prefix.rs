//! The part that all questions on one image share: system and image, up to the end of some layers.

use std::sync::Arc;

use candle_core::Tensor;
use fp_scoring::TokenLayout;

use crate::attention_store::AttentionStore;
use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, Step};
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::concatenated;
use crate::positions::{Numbering, Position};
use crate::prefix::{Prefix, Segments, Standing, check_rows};
use crate::prompt::EncodedPrompt;
use crate::system_prefix::SystemPrefix;

/// The part of prefixes that doesn't depend on the question: system and image after one or several
/// numbers of layers, with nothing dropped.
#[derive(Debug)]
pub struct ImagePrefix {
    /// By ascending depth.
    stops: Vec<Stop>,
    /// System and image, through the layers of the deepest stop.
    cache: SequenceCache,
    /// The system's keys and values, through all layers.
    system_cache: SequenceCache,
    system_hidden: Arc<[Tensor]>,
    system_ids: Vec<u32>,
    num_image: usize,
    numbering: Numbering,
    projector_rows: Option<Tensor>,
}

/// System and image after `depth` layers.
#[derive(Debug)]
struct Stop {
    depth: usize,
    /// Hidden states `[system + N, D]`, the system's first.
    hidden: Tensor,
    /// The last layer's rotated queries of the image's rows, for query rows inside the image;
    /// `None` before layer 1.
    queries: Option<Tensor>,
}

impl ImagePrefix {
    /// Number of tokens of system and image.
    pub fn num_tokens(&self) -> usize {
        self.system_ids.len() + self.num_image
    }

    /// The numbers of layers after which questions can continue, ascending.
    pub fn depths(&self) -> Vec<usize> {
        self.stops.iter().map(|stop| stop.depth).collect()
    }
}

impl LlavaModel {
    /// Runs system and image, for any number of questions, and stops after each of the numbers of
    /// layers in `depths`, ascending; 0 is before layer 1.
    ///
    /// # Errors
    /// No depth, a depth outside 0..L, depths that don't ascend; a sequence longer than the model's
    /// attention window.
    pub fn prefill_image(
        &self,
        system: &SystemPrefix,
        features: &ImageFeatures,
        depths: &[usize],
    ) -> Result<ImagePrefix> {
        self.check_depths(depths)?;
        let (past, num_image) = (system.ids.len(), features.num_tokens());
        self.check_length(past + num_image)?;
        let numbering = features.numbering;
        let positions: Vec<Position> = (0..num_image)
            .map(|place| numbering.image(past, place))
            .collect();
        let deepest = depths.last().copied().unwrap_or(0);
        let mut cache = system.cache.share_up_to(deepest);
        self.decoder.reserve(&mut cache, 0..deepest, num_image)?;
        let text = &self.config().text;
        let width = text.num_heads * text.head_dim();
        let mut image = features.embeds().clone();
        let mut before = 0;
        let mut stops = Vec::with_capacity(depths.len());
        for &depth in depths {
            let mut queries = None;
            let mut steps = [Step {
                rows: 0..num_image,
                cache: &mut cache,
            }];
            let observer: crate::llama::Observer<'_> = &mut |view, _| {
                queries = Some(view.projected.narrow(1, 0, width)?.contiguous()?);
                Ok(())
            };
            let layers = before..depth;
            image = self
                .decoder
                .run(layers, &image, &positions, &mut steps, Some(observer))?;
            stops.push(Stop {
                depth,
                hidden: behind(system.hidden.get(depth), &image)?,
                queries,
            });
            before = depth;
        }
        cache.freeze();
        Ok(ImagePrefix {
            stops,
            cache,
            system_cache: system.cache.share(),
            system_hidden: Arc::clone(&system.hidden),
            system_ids: system.ids.clone(),
            num_image,
            numbering,
            projector_rows: self.projector_rows(features, depths[0])?,
        })
    }

    /// One [`Prefix`] for each of the image's depths, as [`LlavaModel::prefill_prefix`] makes it;
    /// `query_rows` has the rows for each depth, in the same order.
    ///
    /// # Errors
    /// The same, and a prompt that doesn't begin with the shared part.
    pub fn prefill_question(
        &self,
        image: &ImagePrefix,
        prompt: &EncodedPrompt,
        query_rows: &[Vec<usize>],
    ) -> Result<Vec<Prefix>> {
        if prompt.system_ids() != image.system_ids
            || prompt.image_position != image.system_ids.len()
        {
            return Err(ModelError::InputValue {
                what: "the prompt's beginning",
                found: format!("{} tokens that differ", prompt.num_system()),
                expected: format!("the {} tokens of the shared part", image.system_ids.len()),
            });
        }
        if query_rows.len() != image.stops.len() {
            return Err(ModelError::InputValue {
                what: "the lists of query rows",
                found: query_rows.len().to_string(),
                expected: format!("{}, one per depth", image.stops.len()),
            });
        }
        let layout = TokenLayout {
            num_system: image.system_ids.len(),
            num_image: image.num_image,
            num_text: prompt.num_text(),
        };
        self.check_length(layout.sequence_len())?;
        for (stop, rows) in image.stops.iter().zip(query_rows) {
            check_rows(&layout, stop.depth, rows)?;
        }
        let shared = image.num_tokens();
        let ids = prompt.text_ids();
        let deepest = image.stops.last().map_or(0, |stop| stop.depth);
        let mut cache = image.cache.share();
        self.decoder.reserve(&mut cache, 0..deepest, ids.len())?;
        let first = image.numbering.text(layout.num_system, layout.num_image);
        let positions: Vec<Position> = (first..first + ids.len()).map(Position::line).collect();
        let mut text = if ids.is_empty() {
            None
        } else {
            Some(self.decoder.embed(ids)?)
        };
        let mut before = 0;
        let mut found = Vec::with_capacity(image.stops.len());
        for (stop, rows) in image.stops.iter().zip(query_rows) {
            let split = rows.partition_point(|&row| row < shared);
            let (early, late) = rows.split_at(split);
            let early = self.early_attention(image, stop, &layout, early)?;
            let mut attention = AttentionStore::default();
            if let Some(hidden) = &text {
                let mut steps = [Step {
                    rows: 0..ids.len(),
                    cache: &mut cache,
                }];
                let observer: crate::llama::Observer<'_> = &mut |view, steps| {
                    let rows: Vec<usize> = late.iter().map(|row| row - shared).collect();
                    if let Some(step) = steps.first() {
                        attention = view.attention_rows(step, &rows, layout.image_range())?;
                    }
                    Ok(())
                };
                let layers = before..stop.depth;
                let run =
                    self.decoder
                        .run(layers, hidden, &positions, &mut steps, Some(observer))?;
                text = Some(run);
            }
            let hidden = match &text {
                Some(text) => concatenated(&[&stop.hidden, text])?,
                None => stop.hidden.clone(),
            };
            let num_heads = self.config().text.num_heads;
            let attention = AttentionStore::join(&early, &attention, num_heads)?;
            found.push((stop.depth, rows.clone(), hidden, attention));
            before = stop.depth;
        }
        cache.freeze();
        let prefixes = found
            .into_iter()
            .map(|(depth, rows, hidden, attention)| Prefix {
                hidden,
                cache: cache.spliced(depth, &image.system_cache),
                attention,
                rows,
                num_heads: self.config().text.num_heads,
                standing: Standing::whole(layout, image.numbering),
                depth,
                segments: Segments::whole(image.numbering.next(&layout, layout.num_image)),
                system_hidden: Arc::clone(&image.system_hidden),
                projector_rows: image.projector_rows.clone().filter(|_| depth == 0),
            });
        Ok(prefixes.collect())
    }

    /// Attention of query rows inside the image.
    fn early_attention(
        &self,
        image: &ImagePrefix,
        stop: &Stop,
        layout: &TokenLayout,
        rows: &[usize],
    ) -> Result<AttentionStore> {
        let Some(queries) = stop.queries.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(AttentionStore::default());
        };
        let mut cache = image.cache.share();
        let step = Step {
            rows: 0..image.num_image,
            cache: &mut cache,
        };
        let view = self.decoder.view(stop.depth - 1, queries)?;
        let rows: Vec<usize> = rows.iter().map(|row| row - layout.num_system).collect();
        view.attention_rows(&step, &rows, layout.image_range())
    }

    fn check_depths(&self, depths: &[usize]) -> Result<()> {
        for &depth in depths {
            self.check_depth(depth)?;
        }
        if depths.is_empty() || !depths.is_sorted_by(|a, b| a < b) {
            return Err(ModelError::InputValue {
                what: "the numbers of layers to stop after",
                found: format!("{depths:?}"),
                expected: "at least one, ascending".to_owned(),
            });
        }
        Ok(())
    }
}

/// `rows` after the system's rows, if there are any.
pub(crate) fn behind(system: Option<&Tensor>, rows: &Tensor) -> Result<Tensor> {
    Ok(match system {
        Some(system) => concatenated(&[system, rows])?,
        None => rows.clone(),
    })
}
