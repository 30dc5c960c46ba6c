//! The registered hypotheses, answered one by one.

mod expectations;

use fp_eval::format::{counted, interval_points, p_value, points, signed_points};
use serde::Serialize;

use super::agreement::StrategyPair;
use super::best::{pooled, pooled_random};
use super::cell_index::CellIndex;
use super::compare::{Comparison, Outcome, Pair, PairedTester, TestResults, Untested};
use super::scores::Scores;
use super::strata::Strata;
use crate::error::ReportError;
use crate::run::Run;

/// Answer of the data to a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The test shows it.
    Supported,
    /// The test shows the opposite, or that there is no relevant difference.
    Refuted,
    /// The data are insufficient.
    Undecided,
    /// This run doesn't test it.
    NotTested,
}

impl Answer {
    /// The answer's name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Answer::Supported => "supported",
            Answer::Refuted => "refuted",
            Answer::Undecided => "undecided",
            Answer::NotTested => "not tested",
        }
    }
}

/// One registered hypothesis and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hypothesis {
    /// The strategy that it is about; `None` for hypotheses about several.
    pub strategy: Option<String>,
    /// The hypothesis as registered.
    pub hypothesis: String,
    /// How it is tested.
    pub test: String,
    /// The answer.
    pub answer: Answer,
    /// The reason, with numbers.
    pub because: String,
    /// The tests behind it.
    pub comparisons: Vec<Comparison>,
    /// The pairs that could not be tested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
}

/// The data that hypotheses are tested on.
pub(crate) struct Grounds<'a> {
    pub(crate) run: &'a Run,
    pub(crate) cell_index: &'a CellIndex,
    pub(crate) scores: &'a Scores,
    pub(crate) tester: &'a PairedTester,
    pub(crate) strata: &'a [Strata],
    pub(crate) pairs: &'a [StrategyPair],
}

pub(crate) fn answers(grounds: &Grounds<'_>) -> Result<Vec<Hypothesis>, ReportError> {
    let mut answers = of_strategies(grounds)?;
    answers.extend(expectations::answers(grounds)?);
    Ok(answers)
}

/// Each strategy's own hypothesis: that it identifies the tokens to keep better than the baseline.
/// Its mean over all budgets and head counts is tested against the baseline's, and against chance.
fn of_strategies(grounds: &Grounds<'_>) -> Result<Vec<Hypothesis>, ReportError> {
    let Grounds {
        cell_index,
        scores,
        tester,
        ..
    } = grounds;
    let columns = pooled(cell_index, scores);
    let samples: Vec<usize> = (0..grounds.run.records.len()).collect();
    let name = |strategy: usize| cell_index.strategies[strategy].name.as_str();
    let tested: Vec<(usize, usize)> = (0..columns.len())
        .filter_map(|strategy| Some((strategy, cell_index.reference_of(strategy)?)))
        .collect();
    let against_baseline = tested.iter().map(|&(strategy, baseline)| {
        let family = "hypotheses against the baseline, all budgets and h";
        let (a, b) = (&columns[strategy], &columns[baseline]);
        Pair::new(name(strategy), a, name(baseline), b, family)
    });
    let against_baseline = tester.test(&against_baseline.collect::<Vec<_>>(), &samples)?;
    let random = pooled_random(cell_index, scores);
    let against_random = match &random {
        None => TestResults::default(),
        Some(random) => {
            let pairs = tested.iter().map(|&(strategy, _)| {
                let family = "hypotheses against random, all budgets and h";
                Pair::new(name(strategy), &columns[strategy], "random", random, family)
            });
            tester.test(&pairs.collect::<Vec<_>>(), &samples)?
        }
    };
    Ok(tested
        .iter()
        .map(|&(strategy, _)| {
            let find = |all: &TestResults| {
                let mut all = all.comparisons.iter();
                all.find(|c| c.a == name(strategy)).cloned()
            };
            let untested: Vec<Untested> = [&against_baseline, &against_random]
                .into_iter()
                .flat_map(|all| &all.untested)
                .filter(|pair| pair.a == name(strategy))
                .cloned()
                .collect();
            let to_baseline = find(&against_baseline);
            let to_random = find(&against_random);
            let (answer, because) =
                judge_strategy(grounds, to_baseline.as_ref(), to_random.as_ref(), &untested);
            Hypothesis {
                strategy: Some(name(strategy).to_owned()),
                hypothesis: cell_index.card(strategy).hypothesis.to_owned(),
                test: "mean over all budgets and h against the baseline (better: supported; \
                       worse or equivalent: refuted) and against random"
                    .to_owned(),
                answer,
                because,
                comparisons: [to_baseline, to_random].into_iter().flatten().collect(),
                untested,
            }
        })
        .collect())
}

fn judge_strategy(
    grounds: &Grounds<'_>,
    to_baseline: Option<&Comparison>,
    to_random: Option<&Comparison>,
    untested: &[Untested],
) -> (Answer, String) {
    let Some(comparison) = to_baseline else {
        let because = untested.first().map(|pair| pair.because.clone());
        return (Answer::NotTested, because.unwrap_or_default());
    };
    let same = grounds.pairs.iter().find(|pair| {
        let names = [pair.a.as_str(), pair.b.as_str()];
        names.contains(&comparison.a.as_str()) && names.contains(&comparison.b.as_str())
    });
    let margin = points(grounds.tester.margin());
    let mut numbers = describe(comparison);
    if same.is_some_and(StrategyPair::is_same) {
        numbers += &format!(
            "; the same tokens were kept on all {}",
            counted(comparison.n, "question")
        );
    }
    let beats_random = to_random.is_none_or(|random| random.outcome == Outcome::Better);
    match comparison.outcome {
        Outcome::Better if let Some(untested) = untested.first() => {
            let because = format!(
                "{numbers}; but not tested against random: {}",
                untested.because
            );
            (Answer::Undecided, because)
        }
        Outcome::Better if beats_random => (Answer::Supported, numbers),
        Outcome::Better => {
            let because = format!("{numbers}; but it isn't shown to beat random");
            (Answer::Undecided, because)
        }
        Outcome::Worse => (Answer::Refuted, numbers),
        Outcome::Equivalent => {
            let because = format!("equivalent to {} within {margin}: {numbers}", comparison.b);
            (Answer::Refuted, because)
        }
        Outcome::Undecided => {
            let because = format!("{numbers}; {}", comparison.obstacle());
            (Answer::Undecided, because)
        }
    }
}

/// A comparison in a few words.
pub(crate) fn describe(comparison: &Comparison) -> String {
    format!(
        "{} points against {}, {} ({})",
        signed_points(comparison.difference),
        comparison.b,
        interval_points(comparison.interval, comparison.confidence),
        p_value("Holm p", comparison.p_holm),
    )
}
