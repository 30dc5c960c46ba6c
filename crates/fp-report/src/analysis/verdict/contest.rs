//! Tests whether any strategy beats a reference, each at its best number of heads.

use fp_eval::format::{counted, interval_points, listed, points, signed_points};
use fp_eval::study::Budget;
use fp_eval::study::config::StudyKind;

use super::budget_text;
use crate::analysis::{
    Analysis, AtBestHeads, Beats, BestOfMany, CellIndex, Comparison, Outcome, Reference,
};
use crate::run::Run;

/// A test that reliably detects differences of this size is sharp enough to show whether a strategy
/// is worthwhile: published differences are several points at these budgets. Smaller differences
/// remain undecided, which the text states.
const SHARP: f64 = 0.05;

/// Tests against one reference on the confirmation half.
pub(super) struct Contest<'a> {
    run: &'a Run,
    kind: StudyKind,
    best: &'a BestOfMany,
    margin: f64,
    /// Name of the reference.
    pub(super) name: String,
    /// The candidate's test, mean over all budgets; `None` where it is the reference itself or no
    /// test was possible.
    average: Option<&'a Comparison>,
    /// Tests of every strategy at every budget, where possible.
    entries: Vec<(&'a AtBestHeads, &'a Comparison)>,
    /// Why a test with the reference wasn't possible, if one wasn't.
    untested: Option<&'a str>,
    /// Whether the candidate is the reference itself.
    is_candidate: bool,
}

/// The test of a strategy at a budget.
type Entry<'a> = (&'a AtBestHeads, &'a Comparison);

impl<'a> Contest<'a> {
    /// The contest with FastV or with the baseline; `None` where the run has no such cell.
    pub(super) fn new(
        run: &'a Run,
        cell_index: &CellIndex,
        analysis: &'a Analysis,
        best: &'a BestOfMany,
        reference: Reference,
    ) -> Option<Contest<'a>> {
        let is_fastv = reference == Reference::AllHeads;
        let is_there = if is_fastv {
            cell_index.all_heads.iter().any(Option::is_some)
        } else {
            best.strategies.iter().any(|entry| !entry.is_baseline)
                && best.strategies.iter().any(|entry| entry.is_baseline)
        };
        let name = if is_fastv {
            "FastV (all_heads)".to_owned()
        } else {
            format!("{} (at its best h)", cell_index.baseline_name())
        };
        let others = ["random", "all_heads"];
        let of_reference = |c: &&Comparison| {
            if is_fastv {
                c.b == "all_heads"
            } else {
                !others.contains(&c.b.as_str())
            }
        };
        let test = |entry: &'a AtBestHeads| {
            if is_fastv {
                entry.against_all_heads.as_ref()
            } else {
                entry.against_baseline.as_ref()
            }
        };
        let candidate = best.strategies.iter();
        let mut candidate = candidate.filter(|entry| entry.strategy == best.candidate);
        is_there.then(|| Contest {
            run,
            kind: cell_index.kind,
            best,
            margin: analysis.margin,
            name,
            average: best.confirmation.iter().find(of_reference),
            entries: best
                .strategies
                .iter()
                .filter_map(|entry| Some((entry, test(entry)?)))
                .collect(),
            untested: best
                .untested
                .iter()
                .find(|pair| pair.b.starts_with("all_heads") == is_fastv)
                .map(|pair| pair.because.as_str()),
            is_candidate: !is_fastv && candidate.any(|entry| entry.is_baseline),
        })
    }

    /// Strategies that are shown to beat the reference at a budget.
    pub(super) fn winners(&self) -> Vec<Entry<'a>> {
        let entries = self.entries.iter().copied();
        entries
            .filter(|(_, test)| test.outcome == Outcome::Better)
            .collect()
    }

    /// Whether no test could have shown a difference.
    pub(super) fn is_open(&self) -> bool {
        self.cannot_be_shown().is_some()
    }

    /// Whether anything beats the reference, at a budget or over all budgets: shown if one test
    /// shows it, excluded only if every test excludes it.
    pub(super) fn beats(&self) -> Beats {
        let tests = || self.tests().map(|test| test.beats(self.margin));
        if tests().any(|beats| beats == Beats::Yes) {
            Beats::Yes
        } else if self.is_open() || tests().any(|beats| beats == Beats::Undecided) {
            Beats::Undecided
        } else {
            Beats::No
        }
    }

    /// All tests against the reference.
    fn tests(&self) -> impl Iterator<Item = &'a Comparison> {
        let entries = self.entries.iter().map(|entry| entry.1);
        self.average.into_iter().chain(entries)
    }

    /// Undecided tests at single budgets.
    fn undecided(&self) -> Vec<&'a Comparison> {
        let tests = self.entries.iter().map(|entry| entry.1);
        tests
            .filter(|test| test.beats(self.margin) == Beats::Undecided)
            .collect()
    }

    /// The answer in one sentence.
    pub(super) fn answer(&self) -> String {
        if let Some(reason) = self.cannot_be_shown() {
            let subject = subject(self.kind);
            return format!(
                "It is undecided whether any {subject} beats {}: {reason}.",
                self.name
            );
        }
        match (self.beats(), self.average) {
            (Beats::Yes, Some(test)) if test.outcome == Outcome::Better => {
                self.beaten_on_average(test)
            }
            (Beats::Yes, _) => self.beaten_somewhere(),
            (Beats::Undecided, _) => self.not_told(),
            (Beats::No, _) => self.not_beaten(),
        }
    }

    /// Why no test could have shown a difference, whatever the answers; `None` if some could.
    fn cannot_be_shown(&self) -> Option<String> {
        let images = self.best.num_confirm_images;
        let half = match images {
            0 => "no image with an answer".to_owned(),
            1 => "1 image with an answer".to_owned(),
            n => format!("{n} images with an answer"),
        };
        if self.tests().next().is_none() {
            return Some(match self.untested {
                Some(because) if images > 1 => {
                    let because = because.trim_end_matches('.');
                    format!(
                        "on the confirmation half of the images, no test is possible. {because}"
                    )
                }
                _ => format!(
                    "the confirmation half of the images holds {half}, and a test needs two"
                ),
            });
        }
        let alpha = 1.0 - self.run.spec.config.statistics.confidence;
        // The smallest p of a sign-flip test: all images favour one side.
        let least = |test: &Comparison| {
            let images = i32::try_from(test.num_images).unwrap_or(i32::MAX);
            2.0_f64.powi(1 - images) * test.family_size as f64
        };
        let is_hopeless = self.tests().all(|test| least(test) >= alpha);
        is_hopeless.then(|| {
            format!(
                "the confirmation half of the images holds {half}, too few to show any difference even if all of them agreed"
            )
        })
    }

    fn beaten_on_average(&self, test: &Comparison) -> String {
        let budgets = &self.run.spec.grid.budgets;
        let won: Vec<String> = self
            .winners()
            .into_iter()
            .filter(|(entry, _)| entry.strategy == self.best.candidate)
            .map(|(entry, _)| short_budget(budgets, &entry.budget))
            .collect();
        let separately = match won.len() {
            _ if budgets.len() == 1 => String::new(),
            0 => ", though at no single budget".to_owned(),
            n if n == budgets.len() => ", and at each budget separately".to_owned(),
            _ => format!(", and separately at {}", listed(&won)),
        };
        format!(
            "{} beats {} by {} points {} ({}){separately}.",
            self.candidate(),
            self.name,
            points(test.difference),
            self.over_budgets(),
            interval_points(test.interval, test.confidence),
        )
    }

    fn beaten_somewhere(&self) -> String {
        let winners = self.winners();
        let budgets = &self.run.spec.grid.budgets;
        let num_won = |entry: &AtBestHeads| {
            let of = |(other, _): &&Entry<'_>| other.strategy == entry.strategy;
            winners.iter().filter(of).count()
        };
        let top = winners.iter().max_by(|a, b| {
            let difference = a.1.difference.total_cmp(&b.1.difference);
            num_won(a.0).cmp(&num_won(b.0)).then(difference)
        });
        let Some((entry, test)) = top else {
            return self.not_told();
        };
        let is_won = |budget: &&Budget| winners.iter().any(|(e, _)| e.budget == budget.label);
        let open = budgets.len() - budgets.iter().filter(is_won).count();
        let rest = match open {
            0 => "some strategy beats it at every budget".to_owned(),
            n => format!(
                "at {n} of {} budgets no strategy is shown to",
                budgets.len()
            ),
        };
        format!(
            "{} (h = {}) beats {} by {} points at {} ({}); {rest}, and {} is not shown to on average over them.",
            entry.strategy,
            entry.num_selected_heads,
            self.name,
            points(test.difference),
            short_budget(budgets, &entry.budget),
            interval_points(test.interval, test.confidence),
            if entry.strategy == self.best.candidate {
                "it".to_owned()
            } else {
                format!("{}, chosen on the other images,", self.best.candidate)
            },
        )
    }

    /// Nothing is shown to beat the reference, and some test can't exclude it.
    fn not_told(&self) -> String {
        let whether = format!(
            "It is undecided whether any {} beats {}",
            subject(self.kind),
            self.name
        );
        let open = self.undecided();
        let cannot_tell = || {
            let all = self.entries.len();
            format!(
                "{} of {} are inconclusive",
                open.len(),
                counted(all, "test")
            )
        };
        match self.average {
            // Sharp enough to detect a relevant difference, and it didn't.
            Some(test)
                if test.beats(self.margin) == Beats::Undecided
                    && test.min_detectable_difference <= SHARP =>
            {
                format!(
                    "No {} reliably beats {} here: {}; {}.",
                    subject(self.kind),
                    self.name,
                    self.against(test),
                    test.obstacle()
                )
            }
            Some(test) if test.beats(self.margin) == Beats::Undecided => {
                format!("{whether}: {}; {}.", test.obstacle(), self.against(test))
            }
            Some(test) => format!(
                "{whether} {}: {}; {}.",
                self.at_budgets(),
                cannot_tell(),
                self.against(test)
            ),
            None => {
                let least = |test: &Comparison| test.min_detectable_difference;
                let sharpest = open.iter().min_by(|a, b| least(a).total_cmp(&least(b)));
                let because = match sharpest {
                    // If the sharpest test is too small, all others are too.
                    Some(test) if open.iter().all(|test| test.is_too_small()) => test.obstacle(),
                    _ => cannot_tell(),
                };
                format!("{whether}: {because}; {}.", self.leader())
            }
        }
    }

    /// Every test excludes that anything beats the reference by more than the margin.
    fn not_beaten(&self) -> String {
        format!(
            "No {} beats {} by more than {} points {}; {}.",
            subject(self.kind),
            self.name,
            points(self.margin),
            self.at_budgets(),
            self.average
                .map_or_else(|| self.leader(), |test| self.against(test))
        )
    }

    /// The candidate's test over all budgets, as a clause.
    fn against(&self, test: &Comparison) -> String {
        let numbers = interval_points(test.interval, test.confidence);
        let over = self.over_budgets();
        let chosen = format!("{}, chosen on the other images,", self.candidate());
        match test.outcome {
            Outcome::Worse => format!(
                "{chosen} is {} points worse {over} ({numbers})",
                points(test.difference)
            ),
            Outcome::Equivalent => format!(
                "{chosen} is equivalent to it within {} points: {} {over} ({numbers})",
                points(self.margin),
                signed_points(test.difference)
            ),
            _ => format!(
                "{chosen} differs from it by {} points {over} ({numbers})",
                signed_points(test.difference)
            ),
        }
    }

    /// The selected strategy, where it isn't tested over all budgets.
    fn leader(&self) -> String {
        if self.is_candidate {
            let itself = &self.best.candidate;
            return format!("{itself} itself has the largest mean on the selection half");
        }
        format!(
            "{} has the largest mean on the selection half",
            self.candidate()
        )
    }

    fn at_budgets(&self) -> String {
        match self.run.spec.grid.budgets.as_slice() {
            [only] => format!("at {}", budget_text(only)),
            several => format!("at any of {} budgets", several.len()),
        }
    }

    fn candidate(&self) -> String {
        format!(
            "{} ({})",
            self.best.candidate,
            heads_text(&self.best.candidate_heads)
        )
    }

    fn over_budgets(&self) -> String {
        let budgets = &self.run.spec.grid.budgets;
        match budgets.as_slice() {
            [only] => format!("at {}", budget_text(only)),
            several => format!("on average over {} budgets", several.len()),
        }
    }
}

/// The kind of object that a study varies.
pub(super) fn subject(kind: StudyKind) -> &'static str {
    match kind {
        StudyKind::A => "head strategy",
        StudyKind::B => "query strategy",
        StudyKind::Full | StudyKind::Methods => "pair of head and query strategy",
    }
}

/// Numbers of heads, one per budget, or a single one where they are equal.
fn heads_text(heads: &[usize]) -> String {
    match heads {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => format!("h = {first}"),
        heads => {
            let heads: Vec<String> = heads.iter().map(usize::to_string).collect();
            format!("h = {}", listed(&heads))
        }
    }
}

/// A budget by its label, abbreviated.
fn short_budget(budgets: &[Budget], label: &str) -> String {
    let budget = budgets.iter().find(|budget| budget.label == label);
    match budget.map(|budget| (budget.kept, budget.prune_layer, &budget.schedule)) {
        Some((Some(kept), Some(layer), None)) => format!("K = {layer}, R = {kept}"),
        Some((Some(kept), None, None)) => format!("R = {kept}"),
        _ => label.to_owned(),
    }
}
