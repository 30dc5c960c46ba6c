//! The headline, and the numbers that support it.

use fp_eval::format::{counted, interval_points, p_value, points, signed_points};
use fp_eval::study::config::StudyKind;

use super::budget_text;
use super::contest::{Contest, subject};
use crate::analysis::{
    Analysis, AtBestHeads, Beats, BestOfMany, CellIndex, Comparison, Reference, method_headline,
};
use crate::run::Run;

/// Whether anything beats FastV, and what is best.
pub(super) fn headline(run: &Run, cell_index: &CellIndex, analysis: &Analysis) -> String {
    let samples = &analysis.samples;
    if samples.answered == 0 {
        return format!(
            "Undecided: none of {} was answered.",
            counted(samples.recorded, "question")
        );
    }
    let of_methods = method_headline(&analysis.methods, analysis.margin);
    if let Some(sentence) = of_methods.filter(|_| cell_index.asks_about_methods()) {
        return sentence;
    }
    if cell_index.strategies.is_empty() {
        return format!(
            "{} answered; this run holds controls alone and no strategy to compare.",
            samples.text()
        );
    }
    let Some(best) = &analysis.best else {
        return format!(
            "It is undecided whether any {} beats FastV (all_heads): with {} answered, no answer falls into the selection half of the images.",
            subject(cell_index.kind),
            samples.text()
        );
    };
    let contest = |reference| Contest::new(run, cell_index, analysis, best, reference);
    let margin = points(analysis.margin);
    match (contest(Reference::AllHeads), contest(Reference::Baseline)) {
        (Some(fastv), Some(baseline)) if cell_index.kind == StudyKind::B && !baseline.is_open() => {
            let name = &baseline.name;
            let more = match (fastv.beats(), baseline.beats()) {
                (_, Beats::Yes) => baseline.answer(),
                (Beats::No, Beats::No) => format!("None beats {name} by more than that either."),
                (_, Beats::No) => format!("None beats {name} by more than {margin} points."),
                (Beats::Undecided, Beats::Undecided) => {
                    format!("Whether any beats {name} is undecided too.")
                }
                (_, Beats::Undecided) => format!("Whether any beats {name} is undecided."),
            };
            format!("{} {more}", fastv.answer())
        }
        (Some(fastv), _) => fastv.answer(),
        (None, Some(baseline)) => baseline.answer(),
        (None, None) => format!(
            "{} answered; this run has neither FastV (all_heads) nor a second strategy to compare {} with.",
            samples.text(),
            best.candidate
        ),
    }
}

/// The best strategy of each budget, and whether anything beats the baseline.
pub(super) fn numbers(run: &Run, cell_index: &CellIndex, analysis: &Analysis) -> Vec<String> {
    let Some(best) = &analysis.best else {
        return Vec::new();
    };
    let fastv = Contest::new(run, cell_index, analysis, best, Reference::AllHeads);
    let baseline = Contest::new(run, cell_index, analysis, best, Reference::Baseline);
    let mut numbers = Vec::new();
    // Without FastV the baseline's answer is the headline already.
    if let (Some(_), Some(baseline)) = (&fastv, &baseline) {
        numbers.push(baseline.answer());
    }
    for budget in &run.spec.grid.budgets {
        let mut leaders = best.per_budget.iter();
        let leader = leaders.find(|leader| leader.budget == budget.label);
        let entry = leader.and_then(|leader| {
            let mut entries = best.strategies.iter();
            entries.find(|entry| entry.cell == leader.cell)
        });
        if let Some(entry) = entry {
            let at = budget_text(budget);
            numbers.extend(at_budget(&at, entry, best, cell_index.baseline_name()));
        }
    }
    numbers.push(method(best));
    numbers
}

/// The leader of one budget against FastV and the baseline; `None` where neither test was possible.
/// It leads on the selection half, which doesn't make it the best.
fn at_budget(at: &str, entry: &AtBestHeads, best: &BestOfMany, baseline: &str) -> Option<String> {
    let against = |name: &str, test: &Comparison| {
        format!(
            "{} points against {name} ({}, {} of {}): {}",
            signed_points(test.difference),
            interval_points(test.interval, test.confidence),
            p_value("Holm p", test.p_holm),
            counted(test.family_size, "test"),
            test.outcome.name()
        )
    };
    let mut parts = Vec::new();
    if let Some(test) = &entry.against_all_heads {
        parts.push(against("FastV", test));
    }
    if let Some(test) = &entry.against_baseline {
        let mut entries = best.strategies.iter();
        let other = entries.find(|other| other.cell == test.b);
        let heads = other.map_or(String::new(), |o| {
            format!(" (h = {})", o.num_selected_heads)
        });
        parts.push(against(&format!("{baseline}{heads}"), test));
    }
    let itself = if entry.is_baseline {
        ", the baseline itself,"
    } else {
        ""
    };
    (!parts.is_empty()).then(|| {
        format!(
            "At {at} {} (h = {}){itself} has the largest mean on the selection half; on the others: {}.",
            entry.strategy,
            entry.num_selected_heads,
            parts.join("; ")
        )
    })
}

/// How these figures were obtained.
fn method(best: &BestOfMany) -> String {
    let contenders = match best.contenders.len() {
        0 => String::new(),
        n => format!(
            " Which strategy is best is undecided: {} not shown to be worse than {} there.",
            match n {
                1 => "1 other is".to_owned(),
                n => format!("{n} others are"),
            },
            best.candidate
        ),
    };
    format!(
        "Strategies and their numbers of heads h, the baseline's too, were chosen on {} and tested on {} on {}.{contenders}",
        counted(best.num_select, "question"),
        counted(best.num_confirm, "other"),
        counted(best.num_confirm_images, "image"),
    )
}
