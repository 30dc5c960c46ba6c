//! Selections of strategies on attention in memory.

use std::sync::OnceLock;

use anyhow::{Result, ensure};
use fp_scoring::{Normalization, Selection};

use super::ScoreArgs;
use super::aggregate::Aggregate;
use super::report::{Outcome, Report};
use super::scorer::{Scorer, Subject};
use crate::attention::{FirstDimension, Form};
use crate::dump::Tensor;
use crate::memory::{Array, Attention};

/// Selections of combinations of strategies: one per sample, query strategy and head strategy.
/// Records are made when the first is requested, because that takes longer than scoring.
pub struct Scores {
    outcomes: Vec<Outcome>,
    normalize: Normalization,
    keep: usize,
    /// Settings without any effect, which the records list too.
    without_effect: Vec<String>,
    warning: Option<String>,
    records: OnceLock<Vec<String>>,
}

impl Scores {
    /// Number of selections.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether there are no selections.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// One selection; `None` past the last.
    pub fn selection(&self, index: usize) -> Option<&Selection> {
        self.outcomes.get(index).map(|outcome| &outcome.selection)
    }

    /// Index of its sample in a batch, from 0.
    pub fn sample(&self, index: usize) -> Option<usize> {
        self.outcomes.get(index).and_then(|outcome| outcome.sample)
    }

    /// Remarks on the result.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let notes = self.without_effect.iter().chain(&self.warning);
        notes.map(String::as_str)
    }

    /// The records that `finepruner score --json` prints, one JSON object per selection.
    ///
    /// # Errors
    /// Only errors of JSON serialisation.
    pub fn records(&self) -> Result<&[String]> {
        if let Some(records) = self.records.get() {
            return Ok(records);
        }
        let report = Report {
            aggregate: &Aggregate::new(&self.outcomes)?,
            outcomes: &self.outcomes,
            normalize: self.normalize,
            keep: self.keep,
            notes: &self.without_effect,
        };
        let records = report.records();
        let records: Result<_, _> = records.iter().map(serde_json::to_string).collect();
        let records = records?;
        Ok(self.records.get_or_init(|| records))
    }
}

/// Scores `array`: `[H, N]`, with `--batch` `[B, H, N]`, `[H, S, S]` or `[B, H, S, S]`, or with
/// `--query-rows` some rows of the latter two.
pub(crate) fn score<T: Attention>(args: &ScoreArgs, array: &Array<'_, T>) -> Result<Scores> {
    let tensor = Tensor::in_memory("attention", array.shape(), T::PRECISION);
    let num_dimensions = array.shape().len();
    ensure!(
        num_dimensions > 2 || !args.batch,
        "--batch: attention of shape {:?} is of one sample; omit it",
        array.shape()
    );
    let first = if args.batch || num_dimensions == 4 {
        FirstDimension::Samples
    } else {
        FirstDimension::Unsaid
    };
    let range = args.image_range.first().cloned();
    let form = Form::new(&tensor, range, args.query_rows.as_ref(), first)?;
    args.check_queries(&tensor, &form)?;
    let subjects = [Subject {
        form: &form,
        place: String::new(),
    }];
    let scorer = Scorer::new(args, &subjects)?;
    let without_effect = scorer.without_effect(&subjects);
    let (outcomes, warning) = scorer.score_array(array, &tensor, &form)?;
    Ok(Scores {
        outcomes,
        normalize: args.normalize,
        keep: args.keep,
        without_effect,
        warning,
        records: OnceLock::new(),
    })
}
