//! Kept rows of hidden states, gathered from one or several tensors.

use candle_core::Tensor;

use crate::error::Result;
use crate::ops::{concatenated, gather_rows};

/// Rows of one sequence: a list of tensors `[_, D]`, with indices of the rows to take from each.
#[derive(Debug, Default)]
pub(crate) struct HiddenRows {
    parts: Vec<(Tensor, Vec<usize>)>,
}

impl HiddenRows {
    /// Adds the rows `rows` of a tensor.
    pub(crate) fn push(&mut self, from: &Tensor, rows: impl IntoIterator<Item = usize>) {
        let rows: Vec<usize> = rows.into_iter().collect();
        if !rows.is_empty() {
            self.parts.push((from.clone(), rows));
        }
    }

    /// All rows of several sequences, `[T, D]`; `None` if there are no rows.
    ///
    /// # Errors
    /// A GPU that fails.
    pub(crate) fn gather(sequences: &[HiddenRows]) -> Result<Option<Tensor>> {
        let parts: Vec<&(Tensor, Vec<usize>)> =
            sequences.iter().flat_map(|rows| &rows.parts).collect();
        let Some((first, _)) = parts.first() else {
            return Ok(None);
        };
        if first.device().is_cuda() {
            return gather_at_once(&parts).map(Some);
        }
        let rows = parts
            .iter()
            .map(|(from, rows)| gather_rows(from, rows))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(concatenated(&rows)?))
    }
}

/// Gathers in one launch: on a GPU, launching takes longer than copying a few rows. Branches of one
/// prefix share a source, which isn't copied.
fn gather_at_once(parts: &[&(Tensor, Vec<usize>)]) -> Result<Tensor> {
    let mut sources: Vec<(&Tensor, usize)> = Vec::new();
    let mut num_rows = 0;
    let mut all = Vec::new();
    for (from, rows) in parts {
        let known = sources.iter().find(|(source, _)| source.id() == from.id());
        let start = match known {
            Some((_, start)) => *start,
            None => {
                sources.push((from, num_rows));
                num_rows += from.dim(0)?;
                num_rows - from.dim(0)?
            }
        };
        all.extend(rows.iter().map(|row| start + row));
    }
    let sources: Vec<&Tensor> = sources.into_iter().map(|(source, _)| source).collect();
    gather_rows(&concatenated(&sources)?, &all)
}
