//! The selection half of the images and the confirmation half.

pub use fp_eval::study::Halves;

use crate::run::Run;

/// The samples of both halves, by index in the run's records.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) halves: Halves,
    pub(crate) select: Vec<usize>,
    pub(crate) confirm: Vec<usize>,
}

impl Split {
    pub(crate) fn new(run: &Run) -> Split {
        let datasets = &run.spec.datasets;
        let halves = Halves::of(datasets);
        let is_select = |sample: &usize| {
            let record = &run.records[*sample];
            halves.is_select(&datasets[record.dataset].split, &record.image_id)
        };
        let (select, confirm) = (0..run.records.len()).partition(is_select);
        Split {
            halves,
            select,
            confirm,
        }
    }
}
