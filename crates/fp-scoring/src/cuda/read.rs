//! Reads selections and their audits from the device.

use fp_kernels::cuda::{Cut, HeadStatistics, Packed, PackedOnHost};

use super::DeviceSelections;
use crate::audit::{CutAudit, SelectionAudit};
use crate::{HeadStrategy, KeptTokens, ScoringError, Selection};

const OP: &str = "scoring";

/// The selection of each strategy for each sample.
pub type Outcome = Result<Vec<Vec<Selection>>, ScoringError>;

impl DeviceSelections {
    /// Waits for the device and reads each strategy's selection for each sample, in the order in
    /// which strategies were requested: one copy for any batch and number of strategies.
    ///
    /// # Errors
    /// Attention that no softmax produces, a sample without attention to the image (unless
    /// allowed), or a GPU error.
    pub fn read(&self) -> Result<Vec<Vec<Selection>>, ScoringError> {
        let host = self.packed.read(OP)?;
        Ok(self.of_host(&host))
    }

    /// As [`Self::read`], for several batches on one stream, still with one copy. Each has its
    /// own result.
    pub fn read_all(all: &[&DeviceSelections]) -> Vec<Outcome> {
        let packed: Vec<&Packed> = all.iter().map(|selections| &selections.packed).collect();
        match Packed::read_all(&packed, OP) {
            Ok(hosts) => all
                .iter()
                .zip(hosts)
                .map(|(selections, host)| Ok(selections.of_host(&host?)))
                .collect(),
            Err(error) => {
                let error = ScoringError::from(error);
                all.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn of_host(&self, host: &PackedOnHost) -> Vec<Vec<Selection>> {
        let parts = &self.parts;
        let host = Host {
            scores: host.values(parts.scores),
            statistics: host.values(parts.statistics),
            selected_heads: host.values(parts.heads),
            token_importance: host.values(parts.importance),
            kept_tokens: host.values(parts.tokens),
            audits: host.values(parts.audits),
            coarse_cuts: parts.coarse_cuts.map_or(&[], |part| host.values(part)),
        };
        (0..self.shape.batch_size)
            .map(|sample| {
                let selections = self.slot_of.iter();
                selections
                    .map(|&slot| self.selection(&host, sample, slot))
                    .collect()
            })
            .collect()
    }

    fn selection(&self, host: &Host<'_>, sample: usize, slot: usize) -> Selection {
        let (heads, tokens) = (self.shape.num_heads, self.shape.num_image_tokens);
        let index = sample * self.slots.len() + slot;
        let head_strategy = self.slots[slot];
        let mut head_scores = part(host.scores, index, heads).to_vec();
        let nan_heads: Vec<usize> = (0..heads).filter(|&h| head_scores[h].is_nan()).collect();
        for &head in &nan_heads {
            head_scores[head] = f64::NEG_INFINITY;
        }
        let statistics = part(host.statistics, sample, heads);
        let kept: Vec<usize> = part(host.kept_tokens, index, self.options.kept)
            .iter()
            .map(|&token| token as usize)
            .collect();
        let kept_tokens = KeptTokens::from_selection(kept);
        let audit = &host.audits[index];
        let coarse = host
            .coarse_cuts
            .get(sample)
            .filter(|_| head_strategy == HeadStrategy::Hierarchical);
        Selection {
            head_strategy,
            num_selected_heads: self.num_selected_heads,
            selected_heads: part(host.selected_heads, index, self.num_selected_heads)
                .iter()
                .map(|&head| head as usize)
                .collect(),
            token_importance: part(host.token_importance, index, tokens).to_vec(),
            audit: SelectionAudit {
                head_cut: judged(&audit.heads),
                coarse_head_cut: coarse.and_then(judged),
                token_cut: judged(&audit.tokens),
                is_head_score_constant: audit.is_head_score_constant != 0,
                zero_mass_heads: (0..heads)
                    .filter(|&head| statistics[head].sum == 0.0)
                    .collect(),
                nan_heads,
                kept_tokens_hash: format!("{:016x}", kept_tokens.hash64()),
                query: None,
            },
            head_scores,
            kept_tokens,
        }
    }
}

/// The arrays of a selection as written by the device.
struct Host<'a> {
    scores: &'a [f64],
    statistics: &'a [HeadStatistics],
    selected_heads: &'a [u32],
    token_importance: &'a [f64],
    kept_tokens: &'a [u32],
    audits: &'a [fp_kernels::cuda::SelectionAudit],
    coarse_cuts: &'a [Cut],
}

fn part<T>(values: &[T], index: usize, len: usize) -> &[T] {
    &values[index * len..][..len]
}

/// Audits a cut, with the range of the finite scores computed on the device.
fn judged(cut: &Cut) -> Option<CutAudit> {
    Some(CutAudit::new(cut.known()?, &[cut.min, cut.max]))
}
