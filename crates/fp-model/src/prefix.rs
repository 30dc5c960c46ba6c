//! A sample up to the end of some layer, with or without tokens dropped on the way.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use fp_scoring::{AttentionRows, TokenLayout};

use crate::attention_store::AttentionStore;
use crate::error::{ModelError, Result};
use crate::llama::SequenceCache;
use crate::model::{ImageFeatures, LlavaModel};
use crate::positions::{Numbering, Position};
use crate::prompt::EncodedPrompt;
use crate::sample::{Sample, positions_of, steps};

/// Where a prefix ends, and the attention to read there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixOptions {
    /// Number of layers to run; attention is read in the last one. 0 is before layer 1.
    pub depth: usize,
    /// Rows of the sequence whose attention to the image is read, ascending. Rows before the image
    /// are refused, since they can't attend to it. Empty at depth 0.
    pub query_rows: Vec<usize>,
}

/// A sample after some layers.
#[derive(Debug)]
pub struct Prefix {
    /// Output of the last layer run, `[S, D]`; S is the number of remaining tokens.
    pub(crate) hidden: Tensor,
    /// Keys and values of the layers that were run, and of the system part in later layers if those
    /// were run before; frozen.
    pub(crate) cache: SequenceCache,
    pub(crate) attention: AttentionStore,
    pub(crate) rows: Vec<usize>,
    pub(crate) num_heads: usize,
    pub(crate) standing: Standing,
    pub(crate) depth: usize,
    pub(crate) segments: Segments,
    /// The system part's output after each number of layers, if it was run before.
    pub(crate) system_hidden: Arc<[Tensor]>,
    /// Before layer 1: rows that can enter the projector, if they were read.
    pub(crate) projector_rows: Option<Tensor>,
}

/// The remaining tokens and their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Layout of the remaining tokens.
    pub(crate) layout: TokenLayout,
    /// `[n]`: for each remaining image token, its index among the original N.
    pub(crate) places: Vec<usize>,
    /// `[S]`: position ids of the last run.
    pub(crate) positions: Vec<Position>,
    /// How positions follow from `places`.
    pub(crate) numbering: Numbering,
    /// N, the number of image tokens before any were dropped.
    pub(crate) num_image_tokens: usize,
}

impl Standing {
    /// A sequence with nothing dropped.
    pub(crate) fn whole(layout: TokenLayout, numbering: Numbering) -> Standing {
        Standing {
            layout,
            places: (0..layout.num_image).collect(),
            positions: numbering.whole(&layout),
            num_image_tokens: layout.num_image,
            numbering,
        }
    }

    /// Position of the next token if all tokens keep their positions.
    pub(crate) fn next_position(&self) -> usize {
        self.numbering.next(&self.layout, self.num_image_tokens)
    }
}

/// Position of the next token, by layer: if positions are renumbered, layers that ran different
/// numbers of tokens continue at different positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments(Vec<Segment>);

/// Layers from `from_layer` on, counted from 0, up to the next segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    from_layer: usize,
    next_position: usize,
}

impl Segments {
    /// The same position in all layers.
    pub(crate) fn whole(next_position: usize) -> Segments {
        Segments(vec![Segment {
            from_layer: 0,
            next_position,
        }])
    }

    /// The same segments, except that layers from `from_layer` on are at `next_position`.
    pub(crate) fn then(&self, from_layer: usize, next_position: usize) -> Segments {
        let mut segments = self.0.clone();
        segments.retain(|segment| segment.from_layer < from_layer);
        let is_same = segments
            .last()
            .is_some_and(|last| last.next_position == next_position);
        if !is_same {
            segments.push(Segment {
                from_layer,
                next_position,
            });
        }
        Segments(segments)
    }

    /// First layer of each segment.
    pub(crate) fn starts(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|segment| segment.from_layer)
    }

    /// Position of the next token in a layer.
    pub(crate) fn position(&self, layer: usize) -> usize {
        let segment = self.0.iter().rfind(|segment| segment.from_layer <= layer);
        segment.map_or(0, |segment| segment.next_position)
    }

    /// The largest position over all layers.
    pub(crate) fn furthest(&self) -> usize {
        let positions = self.0.iter().map(|segment| segment.next_position);
        positions.max().unwrap_or(0)
    }

    /// Advances all positions by one token.
    pub(crate) fn advance(&mut self) {
        for segment in &mut self.0 {
            segment.next_position += 1;
        }
    }
}

impl Prefix {
    /// Layout of system, image and text among the remaining tokens.
    pub fn layout(&self) -> &TokenLayout {
        &self.standing.layout
    }

    /// Number of layers that were run.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `[n]`: for each remaining image token, its index among the original N.
    pub fn places(&self) -> &[usize] {
        &self.standing.places
    }

    /// N, the number of image tokens before any were dropped.
    pub fn num_image_tokens(&self) -> usize {
        self.standing.num_image_tokens
    }

    /// `[S]`: position ids of the remaining tokens on the time axis, the only one of plain
    /// decoders.
    pub fn positions(&self) -> Vec<usize> {
        let positions = self.standing.positions.iter();
        positions.map(|position| position.time).collect()
    }

    /// `[S]`: position ids of the remaining tokens on all axes.
    pub fn positions_on_axes(&self) -> &[Position] {
        &self.standing.positions
    }

    /// Output of the last layer run, `[S, D]`.
    pub fn hidden_states(&self) -> &Tensor {
        &self.hidden
    }

    /// The last layer's attention `[H, Q, n]` of the requested rows to the image, with the softmax
    /// taken over the whole causal row. Attention on a GPU is copied to the host.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn image_attention_rows(&self) -> Result<&[f32]> {
        self.attention.values()
    }

    /// The requested query rows, ascending.
    pub fn query_rows(&self) -> &[usize] {
        &self.rows
    }

    /// The attention in the form that scoring takes.
    ///
    /// # Errors
    /// A GPU that fails; a prefix made by a model causes no other errors.
    pub fn attention(&self) -> Result<AttentionRows<'_, f32>> {
        let rows = AttentionRows::causal(
            self.attention.values()?,
            &self.rows,
            self.num_heads,
            self.standing.layout,
        )?;
        Ok(rows.with_layer(self.depth))
    }

    /// Number of leading tokens whose keys and values the remaining layers already have, so that
    /// they needn't be run.
    pub(crate) fn num_tokens_ahead(&self) -> Result<usize> {
        Ok(self.cache.layer(self.depth)?.len())
    }

    /// Bytes of the keys and values that the prefix holds, shared ones included.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

impl LlavaModel {
    /// Runs a sample through the first layers.
    ///
    /// # Errors
    /// A depth outside 0..L, rows outside image and text, token ids outside the vocabulary, a
    /// prompt that consists only of an image.
    pub fn prefill_prefix(
        &self,
        prompt: &EncodedPrompt,
        features: &ImageFeatures,
        options: &PrefixOptions,
    ) -> Result<Prefix> {
        let mut prefixes = self.prefill_prefixes(
            &[Sample { prompt, features }],
            std::slice::from_ref(options),
        )?;
        prefixes.pop().ok_or(ModelError::InputValue {
            what: "the number of samples",
            found: "0".to_owned(),
            expected: "1".to_owned(),
        })
    }

    /// Like [`LlavaModel::prefill_prefix`], for several samples at once with one `options` each,
    /// which must agree on the depth. The results equal those of single runs.
    ///
    /// # Errors
    /// The same.
    pub fn prefill_prefixes(
        &self,
        samples: &[Sample<'_>],
        options: &[PrefixOptions],
    ) -> Result<Vec<Prefix>> {
        let Some(depth) = options.first().map(|options| options.depth) else {
            return Ok(Vec::new());
        };
        if samples.len() != options.len() || options.iter().any(|options| options.depth != depth) {
            return Err(ModelError::InputValue {
                what: "prefix options",
                found: format!(
                    "{} for {} samples, or of different depths",
                    options.len(),
                    samples.len()
                ),
                expected: "one per sample, all of the same depth".to_owned(),
            });
        }
        self.check_depth(depth)?;
        let layouts: Vec<TokenLayout> = samples.iter().map(Sample::layout).collect();
        for (layout, options) in layouts.iter().zip(options) {
            check_rows(layout, depth, &options.query_rows)?;
        }
        let (hidden, ranges) = self.embed_samples(samples)?;
        let positions = positions_of(samples);
        let mut caches = self.caches(ranges.iter().map(Range::len), 0..depth)?;
        let mut attention = Vec::new();
        let rows: Vec<&[usize]> = options.iter().map(|o| o.query_rows.as_slice()).collect();
        let mut steps = steps(&mut caches, &ranges);
        let hidden = self.decoder.run(
            0..depth,
            &hidden,
            &positions,
            &mut steps,
            Some(&mut |view, steps| {
                for ((step, layout), rows) in steps.iter().zip(&layouts).zip(&rows) {
                    let rows: Vec<usize> = rows.iter().map(|row| row + step.rows.start).collect();
                    attention.push(view.attention_rows(step, &rows, layout.image_range())?);
                }
                Ok(())
            }),
        )?;
        attention.resize_with(samples.len(), AttentionStore::default);
        let mut prefixes = Vec::with_capacity(samples.len());
        let samples = samples.iter().map(|sample| sample.features);
        for (((((range, mut cache), attention), layout), options), features) in ranges
            .into_iter()
            .zip(caches)
            .zip(attention)
            .zip(layouts)
            .zip(options)
            .zip(samples)
        {
            cache.freeze();
            prefixes.push(Prefix {
                hidden: hidden.narrow(0, range.start, range.len())?,
                cache,
                attention,
                rows: options.query_rows.clone(),
                num_heads: self.config().text.num_heads,
                standing: Standing::whole(layout, features.numbering),
                depth,
                segments: Segments::whole(features.numbering.next(&layout, layout.num_image)),
                system_hidden: Arc::default(),
                projector_rows: self.projector_rows(features, depth)?,
            });
        }
        Ok(prefixes)
    }

    pub(crate) fn check_prune_layer(&self, prune_layer: usize) -> Result<()> {
        if prune_layer == 0 {
            return Err(self.no_such_layer(prune_layer));
        }
        self.check_depth(prune_layer)
    }

    /// Refuses a depth after which no layers remain.
    pub(crate) fn check_depth(&self, depth: usize) -> Result<()> {
        if depth >= self.config().text.num_layers {
            return Err(self.no_such_layer(depth));
        }
        Ok(())
    }

    fn no_such_layer(&self, prune_layer: usize) -> ModelError {
        fp_scoring::BudgetError::PruneLayer {
            prune_layer,
            num_layers: self.config().text.num_layers,
        }
        .into()
    }
}

/// Refuses rows whose attention can't be read.
pub(crate) fn check_rows(layout: &TokenLayout, depth: usize, rows: &[usize]) -> Result<()> {
    let (first, end) = (layout.num_system, layout.sequence_len());
    let is_ascending = rows.is_sorted_by(|a, b| a < b);
    let is_inside = rows.iter().all(|row| (first..end).contains(row));
    if is_ascending && is_inside && (depth > 0 || rows.is_empty()) {
        return Ok(());
    }
    Err(ModelError::InputValue {
        what: "the query rows",
        found: format!("{rows:?}"),
        expected: match depth {
            0 => "none before layer 1, where there is no attention yet".to_owned(),
            _ => format!(
                "ascending rows of image and text, {first} to {}",
                end.saturating_sub(1)
            ),
        },
    })
}
