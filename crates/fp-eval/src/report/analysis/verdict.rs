//! The verdict: what a run comes to, in sentences with numbers.

use serde::Serialize;

use super::agreement::StrategyPair;
use super::audit::CellAudit;
use super::compare::{Comparison, Outcome};
use super::references::Reference;
use super::roster::Roster;
use super::{Analysis, cells::CellSummary};
use crate::report::format::{
    counted, interval_points, listed, p_value, percent, points, signed_points,
};
use crate::report::run::Run;
use crate::study::Budget;

/// Below this loss through dropping every image token, pruning can't be told from none.
const STAKE: f64 = 0.05;

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

/// What the comparisons with the baseline say at one budget, with the largest
/// difference that was shown.
fn at_budget(
    roster: &Roster,
    analysis: &Analysis,
    index: usize,
    budget: &Budget,
    baseline: &str,
) -> (Option<f64>, Option<String>) {
    let mut found: Vec<(String, &Comparison)> = Vec::new();
    for (strategy, count, at, cell) in roster.studied() {
        let id = &analysis.cells[cell].id;
        if let Some(comparison) = analysis
            .comparison(Reference::Baseline, id)
            .filter(|_| at == index)
        {
            found.push((cell_text(roster, strategy, count), comparison));
        }
    }
    let Some(largest) = found
        .iter()
        .max_by(|a, b| a.1.difference.abs().total_cmp(&b.1.difference.abs()))
    else {
        return (None, None);
    };
    let of = |outcome: Outcome| {
        let mut of: Vec<&(String, &Comparison)> =
            found.iter().filter(|(_, c)| c.outcome == outcome).collect();
        of.sort_by(|a, b| b.1.difference.abs().total_cmp(&a.1.difference.abs()));
        of
    };
    let (better, worse, equivalent) = (
        of(Outcome::Better),
        of(Outcome::Worse),
        of(Outcome::Equivalent),
    );
    let at = budget_text(budget);
    let numbers = |c: &Comparison| {
        format!(
            "{}, {}",
            interval_points(c.interval, c.confidence),
            p_value("Holm p", c.p_holm)
        )
    };
    let more = |rest: usize, what: &str| match rest {
        0 => String::new(),
        _ => format!("; {rest} more of {} are {what}", found.len()),
    };
    let same = match equivalent.len() {
        0 => String::new(),
        n if n == found.len() => String::new(),
        n => format!("; {n} of {} are equivalent to it", found.len()),
    };
    let mut shown = None;
    let sentence = match (better.as_slice(), worse.as_slice()) {
        ([], []) if equivalent.len() == found.len() => {
            let margin = points(analysis.margin);
            format!("At {at} every strategy is equivalent to {baseline} within {margin} points.")
        }
        ([], []) => {
            let (name, c) = largest;
            format!(
                "At {at} no strategy is shown to differ from {baseline}: the largest difference is {name} {} points ({}); {} points would have been seen{same}.",
                signed_points(c.difference),
                numbers(c),
                points(c.min_detectable_difference),
            )
        }
        ([(name, c), rest @ ..], worse) => {
            shown = Some(c.difference.abs());
            format!(
                "At {at} {name} beats {baseline} by {} points ({}){}{}{same}.",
                points(c.difference),
                numbers(c),
                more(rest.len(), "better"),
                more(worse.len(), "worse"),
            )
        }
        ([], [(name, c), rest @ ..]) => {
            shown = Some(c.difference.abs());
            format!(
                "At {at} nothing beats {baseline}; {name} is worse by {} points ({}){}{same}.",
                points(c.difference),
                numbers(c),
                more(rest.len(), "worse"),
            )
        }
    };
    (shown, Some(sentence))
}

fn nothing_differs(roster: &Roster, analysis: &Analysis, baseline: &str) -> String {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Baseline);
    let comparisons = set.map_or(&[] as &[_], |set| set.comparisons.as_slice());
    let is_equivalent = |c: &&Comparison| c.outcome == Outcome::Equivalent;
    let equivalent = comparisons.iter().filter(is_equivalent).count();
    if equivalent == comparisons.len() {
        return format!(
            "All {} strategies are equivalent to {baseline} within {} points at every budget.",
            roster.strategies.len() - 1,
            points(analysis.margin)
        );
    }
    let detectable = comparisons
        .iter()
        .map(|comparison| comparison.min_detectable_difference)
        .fold(0.0, f64::max);
    format!(
        "No strategy is shown to differ from {baseline} at any budget; with {} on {} differences of up to {} points can go unseen.",
        counted(analysis.samples.recorded, "question"),
        counted(analysis.samples.images, "image"),
        points(detectable),
    )
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

/// Which strategies say anything at all: those that beat chance somewhere.
fn against_random(run: &Run, roster: &Roster, analysis: &Analysis) -> Option<String> {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Random)?;
    let mut parts = Vec::new();
    for (index, budget) in run.spec.grid.budgets.iter().enumerate() {
        let cells: Vec<&CellSummary> = roster
            .studied()
            .filter(|(_, _, at, _)| *at == index)
            .map(|(.., cell)| &analysis.cells[cell])
            .collect();
        let outcome = |wanted: Outcome| {
            let of = |cell: &&&CellSummary| set.of(&cell.id).is_some_and(|c| c.outcome == wanted);
            cells.iter().filter(of).count()
        };
        let worse = match outcome(Outcome::Worse) {
            0 => String::new(),
            n => format!(", {n} worse"),
        };
        parts.push(format!(
            "{} of {} at {}{worse}",
            outcome(Outcome::Better),
            cells.len(),
            budget_text(budget)
        ));
    }
    let never: Vec<String> = (0..roster.strategies.len())
        .filter(|&strategy| {
            let cells = roster.cells_of(strategy);
            !cells.iter().any(|&cell| {
                set.of(&analysis.cells[cell].id)
                    .is_some_and(|c| c.outcome == Outcome::Better)
            })
        })
        .map(|strategy| roster.strategies[strategy].name.clone())
        .collect();
    let never = match never.len() {
        0 => String::new(),
        n if n == roster.strategies.len() => {
            " No strategy beats it anywhere: here they say nothing.".to_owned()
        }
        _ => format!(
            " Nowhere shown to beat it, and so saying nothing: {}.",
            listed(&never)
        ),
    };
    Some(format!(
        "Shown to beat random: {}.{never}",
        parts.join("; ")
    ))
}

fn against_all_heads(run: &Run, roster: &Roster, analysis: &Analysis) -> Option<String> {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::AllHeads)?;
    let (mut better, mut worse) = (0, 0);
    let mut best: Option<(String, &Comparison)> = None;
    for (strategy, count, budget, cell) in roster.studied() {
        let Some(comparison) = set.of(&analysis.cells[cell].id) else {
            continue;
        };
        better += usize::from(comparison.outcome == Outcome::Better);
        worse += usize::from(comparison.outcome == Outcome::Worse);
        if best
            .as_ref()
            .is_none_or(|(_, most)| comparison.difference > most.difference)
        {
            let budget = budget_text(&run.spec.grid.budgets[budget]);
            let name = format!("{} at {budget}", cell_text(roster, strategy, count));
            best = Some((name, comparison));
        }
    }
    let (name, most) = best?;
    Some(format!(
        "Against FastV (all heads): {better} of {} cells better, {worse} worse; the most favourable is {name}, {} points ({}, {}).",
        set.comparisons.len(),
        signed_points(most.difference),
        interval_points(most.interval, most.confidence),
        p_value("Holm p", most.p_holm),
    ))
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

fn cautions(run: &Run, roster: &Roster, analysis: &Analysis) -> Vec<String> {
    let mut cautions = Vec::new();
    if run.spec.config.model == "embedded" {
        cautions.push(
            "The embedded model and benchmark are a testbed, not evidence about LLaVA-1.5."
                .to_owned(),
        );
    }
    let mean = |cell: Option<usize>| cell.and_then(|cell| analysis.cells[cell].accuracy.mean);
    if let (Some(vanilla), Some(dropped)) = (mean(roster.vanilla), mean(roster.drop_all)) {
        let stake = vanilla - dropped;
        let k = run.spec.config.prune_layer;
        if stake < STAKE {
            cautions.push(format!(
                "Dropping every image token after layer {k} costs only {} points ({} to {} %): what is left of the image hardly matters here, so strategies can hardly differ.",
                points(stake),
                percent(vanilla),
                percent(dropped)
            ));
        }
    }
    if !run.is_complete() {
        cautions.push(format!(
            "{} of {} samples are recorded: the run isn't finished, or is a piece of one.",
            analysis.samples.recorded, analysis.samples.expected
        ));
    }
    let failed = analysis.samples.failed.len();
    if failed > 0 {
        cautions.push(format!(
            "{} failed and are left out.",
            counted(failed, "sample")
        ));
    }
    let failures: usize = analysis
        .cells
        .iter()
        .map(|cell| cell.num_failed - failed)
        .sum();
    if failures > 0 {
        let answers = counted(failures, "answer");
        cautions.push(format!(
            "{answers} of single cells failed and are left out."
        ));
    }
    let degenerate = degenerate(roster, analysis);
    if !degenerate.is_empty() {
        cautions.push(format!(
            "Degenerate: index order, not the score, chose heads of {}.",
            listed(&degenerate)
        ));
    }
    if run.spec.config.normalization == fp_scoring::Normalization::Softmax {
        cautions.push(
            "Under softmax normalisation entropy and sparsity order heads as variance does."
                .to_owned(),
        );
    }
    if !run.spec.accepted_changes.is_empty() {
        let changes = run.spec.accepted_changes.join("; ");
        cautions.push(format!("Changed while it ran: {changes}."));
    }
    if let Some(noise) = analysis
        .noise_floor
        .as_ref()
        .filter(|noise| noise.unexplained > 0)
    {
        cautions.push(format!(
            "A repeated run differs in {} that no near-tie explains.",
            counted(noise.unexplained, "answer")
        ));
    }
    cautions
}

/// Strategies of which some cell is degenerate, with the largest share of samples.
fn degenerate(roster: &Roster, analysis: &Analysis) -> Vec<String> {
    let of_strategy = |strategy: usize| {
        let cells = roster.cells_of(strategy);
        let audits = analysis.audit.iter().filter(|audit| {
            audit.is_degenerate()
                && cells
                    .iter()
                    .any(|&cell| analysis.cells[cell].id == audit.cell)
        });
        let worst = audits
            .map(CellAudit::index_order_share)
            .max_by(f64::total_cmp)?;
        let name = &roster.strategies[strategy].name;
        Some(format!("{name} (in up to {} % of samples)", percent(worst)))
    };
    (0..roster.strategies.len())
        .filter_map(of_strategy)
        .collect()
}
