//! The verdict: the conclusions from a run, in sentences with numbers.
//!
//! The first sentence answers the main question: does anything beat FastV? Every strategy enters it
//! at its best number of heads, selected on one half of the images and tested on the other.
//! Comparisons at equal numbers of heads are never a headline.

mod cautions;
mod contest;
mod controls;
mod headline;

use fp_eval::format::{listed, percent};
use fp_eval::study::config::Controls;
use fp_eval::study::{Budget, Method};
use serde::Serialize;

use super::agreement::StrategyPair;
use super::cell_index::CellIndex;
use super::{Analysis, Failures, StaticHeadsTests};
use crate::run::Run;
use cautions::cautions;
use controls::{against_all_heads, against_random};

/// Conclusions from a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Failures, which come before everything else: how many questions for which reasons, then the
    /// first of them by name. Empty where everything was answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The main conclusion: whether anything beats FastV, and what is best.
    pub headline: String,
    /// The numbers that support it: the best strategy at each budget, and whether anything beats
    /// the baseline.
    pub numbers: Vec<String>,
    /// Further conclusions, the most important first.
    pub sentences: Vec<String>,
    /// Reasons to distrust the verdict.
    pub cautions: Vec<String>,
    /// For a terminal: the tests of the methods that a study of strategies also asks for, one
    /// sentence for each budget. Where the study is about methods, `numbers` has them.
    #[serde(skip)]
    pub(crate) methods: Vec<String>,
}

impl Verdict {
    /// Failures, headline, numbers, methods and cautions as plain text, one paragraph each.
    pub fn brief(&self) -> String {
        let mut text = self.failed_text();
        text += &format!("{}\n\n", self.headline);
        for line in self.numbers.iter().chain(&self.methods) {
            text += &format!("{line}\n\n");
        }
        for caution in &self.cautions {
            text += &format!("note: {caution}\n\n");
        }
        text
    }

    /// Failures as plain text: a paragraph, then one line for each that is named. Empty where
    /// everything was answered.
    pub fn failed_text(&self) -> String {
        failed_text(&self.failed)
    }

    /// Numbers and further sentences, in order.
    pub fn details(&self) -> impl Iterator<Item = &String> {
        self.numbers.iter().chain(&self.sentences)
    }
}

/// A sentence, followed by its lines.
fn failed_text(failed: &[String]) -> String {
    let Some((sentence, lines)) = failed.split_first() else {
        return String::new();
    };
    let lines = lines.iter().map(|line| format!("  {line}\n"));
    format!("{sentence}\n{}\n", lines.collect::<String>())
}

/// The sentences about failures that come before everything else.
pub(crate) fn failed(failures: &Failures) -> Vec<String> {
    let sentence = failures.sentence();
    sentence.into_iter().chain(failures.first()).collect()
}

impl Failures {
    /// As plain text: a paragraph, then one line for each failure that is named.
    pub fn text(&self) -> String {
        failed_text(&failed(self))
    }
}

pub(crate) fn verdict(run: &Run, cell_index: &CellIndex, analysis: &Analysis) -> Verdict {
    let static_heads = analysis.static_heads.as_ref();
    let asked = asked_methods(run);
    let (mut methods, mut brief) = (Vec::new(), Vec::new());
    for tests in &analysis.methods {
        let mut budgets = run.spec.grid.budgets.iter();
        let budget = budgets.find(|budget| budget.label == tests.budget);
        let at = budget.map_or_else(|| tests.budget.clone(), budget_text);
        methods.extend(tests.sentences(&at));
        brief.extend(tests.brief(&at, &asked));
    }
    let strategies = headline::numbers(run, cell_index, analysis);
    // The subject of the study comes first.
    let (numbers, others, brief) = if cell_index.asks_about_methods() && !methods.is_empty() {
        (methods, strategies, Vec::new())
    } else {
        (strategies, methods, brief)
    };
    let sentences = [
        against_random(run, cell_index, analysis),
        against_all_heads(cell_index, analysis),
        static_heads.map(StaticHeadsTests::sentence),
        same_strategies(analysis),
    ];
    Verdict {
        failed: failed(&analysis.failures),
        headline: headline::headline(run, cell_index, analysis),
        numbers,
        sentences: sentences.into_iter().flatten().chain(others).collect(),
        cautions: cautions(run, cell_index, analysis),
        methods: brief,
    }
}

/// Ids of the cells of methods that the configuration names, files of selections among them;
/// controls run without being asked for.
fn asked_methods(run: &Run) -> Vec<&str> {
    let controls = Controls::known();
    let named = &run.spec.config.methods;
    let cells = run
        .spec
        .grid
        .cells
        .iter()
        .filter(|cell| match &cell.method {
            Method::Named { name, .. } => named.contains(name) || !controls.contains(name),
            Method::Strategy { .. } | Method::Static { .. } => false,
        });
    cells.map(|cell| cell.id.as_str()).collect()
}

/// A budget in words.
pub(crate) fn budget_text(budget: &Budget) -> String {
    let name = match (&budget.schedule, budget.prune_layer, budget.kept) {
        (Some(schedule), _, _) => format!("schedule {schedule}"),
        (None, _, Some(_)) if budget.label.starts_with('B') => {
            let average = budget.average_visual_tokens;
            return average.map_or_else(|| budget.label.clone(), |b| format!("B = {b:.0}"));
        }
        (None, Some(layer), Some(kept)) => format!("K = {layer}, R = {kept}"),
        (None, None, Some(kept)) => format!("R = {kept}"),
        (None, _, None) => return budget.label.clone(),
    };
    match budget.average_visual_tokens {
        Some(average) => format!("{name} (B = {average:.0})"),
        None if budget.prune_layer.is_none() && budget.schedule.is_none() => budget.label.clone(),
        None => name,
    }
}

/// Pairs that are equivalent in practice.
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
    (!pairs.is_empty()).then(|| format!("Equivalent in practice: {}.", listed(&pairs)))
}
