//! Datasets in every layout, checked as `finepruner data check` does.

use std::hint::black_box;

use fp_data::dataset::check::{CheckDepth, check as check_part};
use fp_data::dataset::find_all;
use fp_scoring::error_text;

use super::Input;

/// One in so many inputs also has its pictures decoded.
const DECODED: u64 = 8;

pub(super) fn check(input: &Input<'_>) -> bool {
    let (splits, errors) = find_all(input.folder);
    for error in &errors {
        black_box(error_text(error));
    }
    let depth = if input.number.is_multiple_of(DECODED) {
        CheckDepth::Decode
    } else {
        CheckDepth::Header
    };
    let mut is_right = errors.is_empty() && !splits.is_empty();
    for split in &splits {
        let checked = check_part(split, depth);
        is_right &= checked.is_right();
        black_box(checked.problems.counts());
        black_box(checked.images.counts());
        if let Some(reading) = checked.reading {
            for sample in &reading.dataset.samples {
                black_box(sample.score(reading.dataset.answer_rule, "a red one"));
            }
            is_right &= reading.whole().is_ok();
        }
    }
    is_right
}
