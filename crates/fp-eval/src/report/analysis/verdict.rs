//! The verdict: what a run comes to, in sentences with numbers.

mod baseline;
mod cautions;
mod controls;

use serde::Serialize;

use super::Analysis;
use super::agreement::StrategyPair;
use super::compare::Outcome;
use super::roster::Roster;
use crate::report::format::{counted, interval_points, listed, p_value, percent, signed_points};
use crate::report::run::Run;
use crate::study::Budget;
use baseline::{at_budget, nothing_differs};
use cautions::cautions;
use controls::{against_all_heads, against_random};

/// What a run comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The one sentence to take away.
    pub headline: String,
    /// The others, the most important first.
    pub sentences: Vec<String>,
    /// What stands in the way of believing it.
    pub cautions: Vec<String>,
}

impl Verdict {
    /// The headline and the cautions as plain text, each a paragraph of its own.
    pub fn brief(&self) -> String {
        let cautions = self.cautions.iter();
        let cautions = cautions.map(|caution| format!("note: {caution}\n\n"));
        format!("{}\n\n{}", self.headline, cautions.collect::<String>())
    }
}

pub(crate) fn verdict(run: &Run, roster: &Roster, analysis: &Analysis) -> Verdict {
    let mut sentences = Vec::new();
    let mut headline = None;
    let baseline = roster.baseline_name();
    for (index, budget) in run.spec.grid.budgets.iter().enumerate() {
        let (found, sentence) = at_budget(roster, analysis, index, budget, baseline);
        if let Some(sentence) = sentence {
            if found.is_some_and(|found| headline.as_ref().is_none_or(|(best, _)| found > *best)) {
                headline = Some((found.unwrap_or_default(), sentence.clone()));
            }
            sentences.push(sentence);
        }
    }
    let confirmed = confirmed(analysis);
    let headline = match (headline, &confirmed) {
        (Some((_, sentence)), _) => {
            sentences.retain(|other| *other != sentence);
            sentence
        }
        (None, _) if !sentences.is_empty() => nothing_differs(roster, analysis, baseline),
        (None, Some(sentence)) => sentence.clone(),
        (None, None) => controls_only(analysis),
    };
    sentences.extend(confirmed);
    sentences.extend(against_random(run, roster, analysis));
    sentences.extend(against_all_heads(run, roster, analysis));
    sentences.extend(same_strategies(analysis));
    Verdict {
        headline,
        sentences,
        cautions: cautions(run, roster, analysis),
    }
}

/// A budget in words.
pub(crate) fn budget_text(budget: &Budget) -> String {
    match (budget.kept, budget.average_visual_tokens) {
        (Some(kept), Some(average)) => format!("R = {kept} (B = {average:.0})"),
        _ => budget.label.clone(),
    }
}

/// A studied cell in words, without its budget.
fn cell_text(roster: &Roster, strategy: usize, count: usize) -> String {
    let name = &roster.strategies[strategy].name;
    format!("{name} (h = {})", roster.head_counts[count])
}

fn controls_only(analysis: &Analysis) -> String {
    format!(
        "{} on {} answered; there are no two strategies to compare.",
        counted(analysis.samples.recorded, "question"),
        counted(analysis.samples.images, "image")
    )
}

/// What the choice on one half and the test on the other come to.
fn confirmed(analysis: &Analysis) -> Option<String> {
    let best = analysis.best.as_ref()?;
    let name = &best.candidate;
    let test = best
        .confirmation
        .iter()
        .find(|c| !["random", "all_heads"].contains(&c.b.as_str()));
    let contenders = match best.contenders.len() {
        0 => String::new(),
        n => format!(" ({} not shown to be worse there)", counted(n, "other")),
    };
    let chosen = format!(
        "Over all budgets and h, {name} has the largest mean on the {} to choose by{contenders}",
        counted(best.num_select, "question")
    );
    Some(match test {
        None => format!("{chosen}; it is the baseline itself, so nothing is to be confirmed."),
        Some(c) => format!(
            "{chosen}; on the other {} it {} {} ({} points, {}, {}).",
            best.num_confirm,
            match c.outcome {
                Outcome::Better => "beats",
                Outcome::Worse => "is worse than",
                Outcome::Equivalent => "is equivalent to",
                Outcome::Undecided => "isn't shown to differ from",
            },
            c.b,
            signed_points(c.difference),
            interval_points(c.interval, c.confidence),
            p_value("Holm p", c.p_holm),
        ),
    })
}

/// Pairs that are one strategy.
fn same_strategies(analysis: &Analysis) -> Option<String> {
    let name = |pair: &StrategyPair| {
        format!(
            "{} and {} (same tokens in {} % of cases)",
            pair.a,
            pair.b,
            percent(pair.identical_share)
        )
    };
    let pairs: Vec<String> = analysis
        .pairs
        .iter()
        .filter(|pair| pair.is_same_in_practice())
        .map(name)
        .collect();
    (!pairs.is_empty()).then(|| format!("One strategy in practice: {}.", listed(&pairs)))
}
