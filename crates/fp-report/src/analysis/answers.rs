//! Degenerate answers: cells that give one answer to nearly every question, and gains that are due
//! to one answer alone.
//!
//! Where one answer is often right ("unanswerable" in VizWiz, "yes" in a yes/no benchmark), a model
//! that uses less of the image and gives it more often may score higher without any better
//! understanding.

use std::collections::BTreeMap;

use fp_eval::study::Cell;
use rayon::prelude::*;
use serde::Serialize;

use super::answer_types::{gold, normalized};
use super::cell_index::CellIndex;
use super::scores::Scores;
use super::strata::{Strata, Stratum};
use crate::run::Run;

/// A cell that gives one answer to at least this share of a group's questions is degenerate there,
/// unless the ground truth does nearly the same.
pub const ONE_ANSWER_SHARE: f64 = 0.9;

/// Least excess of an answer's share over that of the ground truth, or over that without pruning.
pub const EXCESS_SHARE: f64 = 0.1;

/// Groups with fewer answers carry no signal.
pub const FEWEST_ANSWERS: usize = 10;

/// Name of the group of all questions.
pub const ALL_QUESTIONS: &str = "all questions";

/// One answer that a cell gives remarkably often in a group of questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrequentAnswer {
    /// The cell's id.
    pub cell: String,
    /// Name of the grouping, such as `answer type`; without grouping, this and `group` are
    /// [`ALL_QUESTIONS`].
    pub by: String,
    /// The group.
    pub group: String,
    /// Number of the cell's answers in the group.
    pub n: usize,
    /// The answer, in lower case.
    pub answer: String,
    /// Share of the cell's answers that are this one.
    pub share: f64,
    /// Share of the same questions whose ground truth it is.
    pub truth_share: f64,
    /// Its share of the unpruned answers to the same questions; `None` without vanilla.
    pub vanilla_share: Option<f64>,
    /// Whether it is nearly the only answer, far more frequent than in the ground truth:
    /// [`ONE_ANSWER_SHARE`], [`EXCESS_SHARE`].
    pub is_degenerate: bool,
    /// Composition of the gain, where the answer accounts for all of it.
    pub gain: Option<GainByAnswer>,
}

/// A gain over vanilla that is due only to giving one answer more often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GainByAnswer {
    /// Accuracy minus vanilla's over the group, above 0.
    pub difference: f64,
    /// The same over the questions whose ground truth is another answer: 0 or below.
    pub elsewhere: f64,
}

/// One question under one cell.
struct Given<'a> {
    answer: &'a str,
    truth: &'a str,
    score: f64,
    /// The unpruned answer and its score.
    vanilla: Option<(&'a str, f64)>,
}

/// All remarkable answers, cell by cell.
pub(crate) fn frequent_answers(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    strata: &[Strata],
) -> Vec<FrequentAnswer> {
    let truths: Vec<Option<String>> = run.records.iter().map(gold).collect();
    let all = Stratum {
        name: ALL_QUESTIONS.to_owned(),
        samples: (0..run.records.len()).collect(),
        n: run.records.len(),
    };
    let by = [
        super::answer_types::BY_ANSWER_TYPE,
        super::strata::BY_DATASET,
    ];
    let mut groups = vec![(ALL_QUESTIONS, &all)];
    for strata in strata
        .iter()
        .filter(|strata| by.contains(&strata.by.as_str()))
    {
        groups.extend(
            strata
                .groups
                .iter()
                .map(|group| (strata.by.as_str(), group)),
        );
    }
    let columns = &run.columns;
    let texts: Vec<String> = columns
        .answers
        .iter()
        .map(|text| normalized(text))
        .collect();
    let said = |cell: usize| -> Vec<Option<&str>> {
        let text = |at: usize| Some(texts[columns.answer(cell, at)?].as_str());
        (0..run.records.len()).map(text).collect()
    };
    let unpruned = cell_index
        .vanilla
        .map(|vanilla| (said(vanilla), &scores.cells[vanilla]));
    let of_cell = |(index, cell): (usize, &Cell)| {
        let mut found = Vec::new();
        let texts = said(index);
        for (by, group) in &groups {
            let given: Vec<Given<'_>> = group
                .samples
                .iter()
                .filter_map(|&at| {
                    let vanilla = unpruned.as_ref();
                    Some(Given {
                        answer: texts[at]?,
                        truth: truths[at].as_deref()?,
                        score: scores.cells[index][at]?,
                        vanilla: vanilla.and_then(|(said, score)| Some((said[at]?, score[at]?))),
                    })
                })
                .collect();
            let is_vanilla = cell_index.vanilla == Some(index);
            found.extend(remarkable(&given, is_vanilla).map(|answer| FrequentAnswer {
                cell: cell.id.clone(),
                by: (*by).to_owned(),
                group: group.name.clone(),
                ..answer
            }));
        }
        found
    };
    let cells = run.spec.grid.cells.par_iter().enumerate();
    cells.flat_map_iter(of_cell).collect()
}

/// The most frequent answer of a group, if it is degenerate or accounts for all of a gain.
fn remarkable(given: &[Given<'_>], is_vanilla: bool) -> Option<FrequentAnswer> {
    let n = given.len();
    if n < FEWEST_ANSWERS {
        return None;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for given in given {
        *counts.entry(given.answer).or_default() += 1;
    }
    let (answer, count) = counts
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))?;
    let share_of =
        |is: &dyn Fn(&&Given<'_>) -> bool| given.iter().filter(is).count() as f64 / n as f64;
    let share = count as f64 / n as f64;
    let truth_share = share_of(&|given| given.truth == answer);
    let paired = !is_vanilla && given.iter().all(|given| given.vanilla.is_some());
    let vanilla_share =
        paired.then(|| share_of(&|given| given.vanilla.is_some_and(|(text, _)| text == answer)));
    let is_degenerate = share >= ONE_ANSWER_SHARE && share - truth_share >= EXCESS_SHARE;
    let gain = vanilla_share
        .filter(|before| share - before >= EXCESS_SHARE)
        .and_then(|_| gain_by(given, answer));
    (is_degenerate || gain.is_some()).then(|| FrequentAnswer {
        cell: String::new(),
        by: String::new(),
        group: String::new(),
        n,
        answer: answer.to_owned(),
        share,
        truth_share,
        vanilla_share,
        is_degenerate,
        gain,
    })
}

/// The composition of a gain over vanilla, if the answer accounts for all of it.
fn gain_by(given: &[Given<'_>], answer: &str) -> Option<GainByAnswer> {
    let mean = |of: &mut dyn Iterator<Item = &Given<'_>>| {
        let (mut n, mut sum) = (0_usize, 0.0);
        for given in of {
            n += 1;
            sum += given.score - given.vanilla?.1;
        }
        (n > 0).then(|| sum / n as f64)
    };
    let gain = GainByAnswer {
        difference: mean(&mut given.iter())?,
        elsewhere: mean(&mut given.iter().filter(|given| given.truth != answer))?,
    };
    (gain.difference > 0.0 && gain.elsewhere <= 0.0).then_some(gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(answer: &'a str, truth: &'a str, vanilla: &'a str) -> Given<'a> {
        let score = |said: &str| f64::from(u8::from(said == truth));
        Given {
            answer,
            truth,
            score: score(answer),
            vanilla: Some((vanilla, score(vanilla))),
        }
    }

    #[test]
    fn one_answer_to_everything_is_degenerate_unless_it_is_true() {
        let half: Vec<_> = (0..20)
            .map(|at| given("yes", ["yes", "no"][at % 2], ["yes", "no"][at % 2]))
            .collect();
        let found = remarkable(&half, false).unwrap();
        assert!(found.is_degenerate && found.gain.is_none());
        assert_eq!(
            (found.answer.as_str(), found.share, found.truth_share),
            ("yes", 1.0, 0.5)
        );
        assert_eq!(found.vanilla_share, Some(0.5));
        let true_ones: Vec<_> = (0..20).map(|_| given("yes", "yes", "yes")).collect();
        assert_eq!(remarkable(&true_ones, false), None);
        // Nine answers carry no signal.
        assert_eq!(remarkable(&half[..9], false), None);
    }

    #[test]
    fn a_gain_that_one_answer_brings_is_named() {
        // Ten of twenty can't be answered. Unpruned, half of those are recognised, and six of the
        // others are right; pruned, all of those, and four of the others.
        let mut all = Vec::new();
        for at in 0..20 {
            let is_unanswerable = at < 10;
            let truth = if is_unanswerable {
                "unanswerable"
            } else {
                "cup"
            };
            let vanilla = match at {
                0..5 => "unanswerable",
                10..16 => "cup",
                _ => "box",
            };
            let pruned = match at {
                0..10 | 14..18 => "unanswerable",
                10..14 => "cup",
                _ => "box",
            };
            all.push(given(pruned, truth, vanilla));
        }
        let found = remarkable(&all, false).unwrap();
        assert!(!found.is_degenerate);
        assert_eq!((found.share, found.vanilla_share), (0.7, Some(0.25)));
        let gain = found.gain.unwrap();
        assert!((gain.difference - 0.15).abs() < 1e-12 && (gain.elsewhere + 0.2).abs() < 1e-12);
    }
}
