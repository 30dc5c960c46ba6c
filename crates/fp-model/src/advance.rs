//! Running prefixes on to a later layer with fewer tokens.

use std::ops::Range;

use candle_core::Tensor;
use fp_scoring::{PositionRule, TokenSelection};

use crate::attention_store::AttentionStore;
use crate::continuation::Continuation;
use crate::error::{ModelError, Result};
use crate::hidden_rows::HiddenRows;
use crate::image_prefix::behind;
use crate::llama::{SequenceCache, Step};
use crate::model::LlavaModel;
use crate::positions::Position;
use crate::prefix::{Prefix, check_rows};

/// A request to run part of a prefix on to a later layer, and the attention to read there.
#[derive(Debug, Clone)]
pub struct Advance<'a> {
    /// The prefix to continue from.
    pub prefix: &'a Prefix,
    /// The tokens to keep, by index among the prefix's image tokens.
    pub selection: &'a TokenSelection,
    /// The rule for their positions.
    pub positions: PositionRule,
    /// Rows of the shorter sequence whose attention is read in the last layer that is run,
    /// ascending, none before the image.
    pub query_rows: Vec<usize>,
}

impl LlavaModel {
    /// Runs the tokens selected from each prefix up to the end of layer `depth`, all in one batch.
    /// A prefix and a selection give the same result in any batch.
    ///
    /// # Errors
    /// Prefixes of different depths, a depth before theirs or outside 0..L, a selection that isn't
    /// of its prefix's tokens, rows outside image and text.
    pub fn advance(&self, requests: &[Advance<'_>], depth: usize) -> Result<Vec<Prefix>> {
        let Some(from) = requests.first().map(|request| request.prefix.depth) else {
            return Ok(Vec::new());
        };
        self.check_depth(depth)?;
        let is_other = |request: &&Advance<'_>| request.prefix.depth != from;
        if let Some(other) = requests.iter().find(is_other) {
            return Err(different_depths(from, other.prefix.depth));
        }
        if depth < from {
            return Err(ModelError::InputValue {
                what: "the layer to continue to",
                found: depth.to_string(),
                expected: format!("at least {from}, where the prefixes end"),
            });
        }
        let mut batch = Batch::default();
        let mut rest = Vec::with_capacity(requests.len());
        for request in requests {
            let Advance {
                prefix,
                selection,
                positions,
                query_rows,
            } = request;
            let continuation = self.continuation(prefix, selection, *positions, false)?;
            let layout = continuation.standing.layout;
            check_rows(&layout, depth, query_rows)?;
            if depth == from && !query_rows.is_empty() {
                return Err(ModelError::InputValue {
                    what: "the query rows",
                    found: format!("{query_rows:?}"),
                    expected: "none if no layer is run".to_owned(),
                });
            }
            rest.push((
                continuation.num_ahead,
                continuation.standing.clone(),
                continuation.segments.clone(),
            ));
            batch.push(self, continuation, from..depth)?;
        }
        let mut attention = Vec::new();
        attention.resize_with(requests.len(), AttentionStore::default);
        // Sequences with no rows left to run are skipped.
        let active: Vec<usize> = (0..requests.len())
            .filter(|&index| !batch.ranges[index].is_empty())
            .collect();
        let hidden = if let Some(rows) = batch.rows()? {
            let sequences = batch.caches.iter_mut().zip(&batch.ranges);
            let mut steps: Vec<Step<'_>> = sequences
                .filter(|(_, rows)| !rows.is_empty())
                .map(|(cache, rows)| Step {
                    rows: rows.clone(),
                    cache,
                })
                .collect();
            let observer: crate::llama::Observer<'_> = &mut |view, steps| {
                for (step, &index) in steps.iter().zip(&active) {
                    let (ahead, standing, _) = &rest[index];
                    // From rows of the sequence to rows of the batch.
                    let rows: Vec<usize> = requests[index]
                        .query_rows
                        .iter()
                        .map(|row| row - ahead + step.rows.start)
                        .collect();
                    let columns = standing.layout.image_range();
                    attention[index] = view.attention_rows(step, &rows, columns)?;
                }
                Ok(())
            };
            Some(self.decoder.run(
                from..depth,
                &rows,
                &batch.positions,
                &mut steps,
                Some(observer),
            )?)
        } else {
            None
        };
        let mut prefixes = Vec::with_capacity(requests.len());
        let parts = batch.caches.into_iter().zip(batch.ranges).zip(attention);
        for ((request, (num_ahead, standing, segments)), ((mut cache, range), attention)) in
            requests.iter().zip(rest).zip(parts)
        {
            cache.freeze();
            let system = &request.prefix.system_hidden;
            // The system's rows that were run before: all of them or none.
            let ahead = system.get(depth).filter(|_| num_ahead > 0);
            let hidden = match (&hidden, range.len()) {
                (Some(hidden), 1..) => behind(ahead, &hidden.narrow(0, range.start, range.len())?)?,
                _ => match ahead {
                    Some(system) => system.clone(),
                    None => request.prefix.hidden.narrow(0, 0, 0)?,
                },
            };
            prefixes.push(Prefix {
                hidden,
                cache,
                attention,
                rows: request.query_rows.clone(),
                num_heads: request.prefix.num_heads,
                standing,
                depth,
                segments,
                system_hidden: system.clone(),
                projector_rows: None,
            });
        }
        Ok(prefixes)
    }

    /// Attention `[H, Q, n]` of `rows` of a prefix's sequence to its n image tokens, in the layer
    /// that the prefix is about to enter, before anything is dropped there. Only that layer's
    /// queries and keys are computed.
    ///
    /// # Errors
    /// Rows outside image and text.
    pub fn attention_ahead(&self, prefix: &Prefix, rows: &[usize]) -> Result<Vec<f32>> {
        let layout = *prefix.layout();
        check_rows(&layout, prefix.depth.max(1), rows)?;
        let len = layout.sequence_len();
        let mut cache = SequenceCache::new(self.config().text.num_layers);
        let layer = prefix.depth;
        self.decoder.reserve(&mut cache, layer..layer + 1, len)?;
        let store = self.decoder.attention_of_inputs(
            layer,
            &prefix.hidden,
            prefix.positions_on_axes(),
            &mut cache,
            (rows, layout.image_range()),
        )?;
        Ok(store.values()?.to_vec())
    }
}

/// Rows of several sequences, one after the other.
#[derive(Default)]
pub(crate) struct Batch {
    hidden: Vec<HiddenRows>,
    pub(crate) positions: Vec<Position>,
    pub(crate) caches: Vec<SequenceCache>,
    pub(crate) ranges: Vec<Range<usize>>,
    num_rows: usize,
}

impl Batch {
    /// Adds a sequence that will run `layers`.
    pub(crate) fn push(
        &mut self,
        model: &LlavaModel,
        continuation: Continuation,
        layers: Range<usize>,
    ) -> Result<()> {
        let Continuation {
            hidden,
            positions,
            mut cache,
            ..
        } = continuation;
        model.decoder.reserve(&mut cache, layers, positions.len())?;
        self.ranges
            .push(self.num_rows..self.num_rows + positions.len());
        self.num_rows += positions.len();
        self.hidden.push(hidden);
        self.positions.extend(positions);
        self.caches.push(cache);
        Ok(())
    }

    /// The rows of all sequences; `None` if there are none.
    pub(crate) fn rows(&self) -> Result<Option<Tensor>> {
        HiddenRows::gather(&self.hidden)
    }
}

pub(crate) fn different_depths(expected: usize, found: usize) -> ModelError {
    ModelError::InputValue {
        what: "the depth of a prefix",
        found: found.to_string(),
        expected: format!("{expected}, as the other prefixes of the batch"),
    }
}
