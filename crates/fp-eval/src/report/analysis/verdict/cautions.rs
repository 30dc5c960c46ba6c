//! What stands in the way of believing a verdict.

use crate::report::analysis::{Analysis, CellAudit, Roster};
use crate::report::format::{counted, listed, percent, points};
use crate::report::run::Run;

/// Below this loss through dropping every image token, pruning can't be told from none.
const STAKE: f64 = 0.05;

pub(super) fn cautions(run: &Run, roster: &Roster, analysis: &Analysis) -> Vec<String> {
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
