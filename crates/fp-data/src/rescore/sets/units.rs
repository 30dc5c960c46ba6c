//! Units that a benchmark scores: a question, an image with its two questions, or a question in all
//! its rotations. A limit on samples or a failed answer can make one incomplete.

use std::collections::BTreeMap;

use crate::dataset::{Benchmark, Dataset};
use crate::metric::mmbench::ROTATION;
use crate::sample::Sample;

/// The unit of scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each question by itself.
    Question,
    /// Both questions on an image.
    ImagePair,
    /// A question in every rotation of its options.
    Rotations,
}

impl Unit {
    pub(super) const fn of(benchmark: Benchmark) -> Unit {
        match benchmark {
            Benchmark::Mme => Unit::ImagePair,
            Benchmark::Mmbench => Unit::Rotations,
            _ => Unit::Question,
        }
    }

    /// Its plural, for sentences.
    pub const fn plural(self) -> &'static str {
        match self {
            Unit::Question => "questions",
            Unit::ImagePair => "images with both of their questions",
            Unit::Rotations => "questions with all of their rotations",
        }
    }
}

/// Numbers of complete and incomplete units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct UnitCounts {
    /// The unit.
    pub unit: Unit,
    /// Number of complete units.
    pub num_whole: usize,
    /// Number of units that are incomplete, or can't be shown to be complete.
    pub num_incomplete: usize,
    /// Number of answers to questions of those; no figure includes them.
    pub num_left_out: usize,
}

/// Which questions are in complete units: `[questions]`. `is_usable` are those of `is_answered`
/// whose answers can be scored.
///
/// With `is_cut`, missing rotations of MMBench can't be distinguished from rotations that never
/// existed, since a question with four options may have three. Then only questions with as many
/// rotations as options are complete.
pub(super) fn whole(
    dataset: &Dataset,
    is_answered: &[bool],
    is_usable: &[bool],
    is_cut: bool,
) -> (Vec<bool>, UnitCounts) {
    let unit = Unit::of(dataset.benchmark);
    let mut units: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (place, sample) in dataset.samples.iter().enumerate() {
        let key = match unit {
            Unit::Question => ("", place.to_string()),
            Unit::ImagePair => (sample.family.as_str(), sample.image_id.clone()),
            Unit::Rotations => ("", question_of(sample)),
        };
        units.entry(key).or_default().push(place);
    }
    let samples = &dataset.samples;
    let is_whole = |members: &[usize]| {
        let fits = match unit {
            Unit::Question => true,
            Unit::ImagePair => members.len() == 2,
            Unit::Rotations => {
                let has_first = members.iter().any(|&at| is_first_rotation(&samples[at]));
                let num_options = samples[members[0]].choices.len();
                has_first && (!is_cut || members.len() == num_options)
            }
        };
        fits && members.iter().all(|&member| is_usable[member])
    };
    let mut counts = UnitCounts {
        unit,
        num_whole: 0,
        num_incomplete: 0,
        num_left_out: 0,
    };
    let mut in_whole = vec![false; samples.len()];
    for members in units.values() {
        let num_answered = members.iter().filter(|&&at| is_answered[at]).count();
        if is_whole(members) {
            counts.num_whole += 1;
            members.iter().for_each(|&member| in_whole[member] = true);
        } else if num_answered > 0 {
            counts.num_incomplete += 1;
            counts.num_left_out += num_answered;
        }
    }
    (in_whole, counts)
}

/// The question that a row is a rotation of; a row whose id is no number is its own question.
fn question_of(sample: &Sample) -> String {
    match sample.id.parse::<u64>() {
        Ok(index) => (index % ROTATION).to_string(),
        Err(_) => format!("row {}", sample.id),
    }
}

/// Whether a row of MMBench has the options in their original order.
pub(super) fn is_first_rotation(sample: &Sample) -> bool {
    sample.id.parse().is_ok_and(|index: u64| index < ROTATION)
}
