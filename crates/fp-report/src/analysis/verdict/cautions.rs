//! Reasons to distrust a verdict.

use fp_eval::format::{counted, fixed, listed, percent, points, signed_points};

use crate::analysis::{
    ALL_QUESTIONS, Analysis, CellAudit, CellIndex, FrequentAnswer, LoudAnswers, ONE_ANSWER_SHARE,
};
use crate::run::Run;

/// If dropping every image token loses less than this, pruning can't be distinguished from no
/// pruning.
const STAKE: f64 = 0.05;

/// Most cases of one kind that are named; the others are counted.
const NAMED: usize = 3;

pub(super) fn cautions(run: &Run, cell_index: &CellIndex, analysis: &Analysis) -> Vec<String> {
    let mut cautions = Vec::new();
    if run.spec.config.model == "embedded" {
        cautions.push(
            "The embedded model and benchmark are a testbed, not evidence about LLaVA-1.5."
                .to_owned(),
        );
    }
    if !cell_index.strategies.is_empty() && cell_index.all_heads.iter().all(Option::is_none) {
        cautions.push(
            "FastV (the control all_heads) is not part of this run, so nothing can be compared with it."
                .to_owned(),
        );
    }
    let mean = |cell: Option<usize>| cell.and_then(|cell| analysis.cells[cell].accuracy.mean);
    if let (Some(vanilla), Some(dropped)) = (mean(cell_index.vanilla), mean(cell_index.drop_all)) {
        let stake = vanilla - dropped;
        let k = run.spec.config.prune_layer.first();
        if stake < STAKE {
            cautions.push(format!(
                "Dropping every image token after layer {k} costs only {} points ({} to {} %): the pruned layers hardly need the image here, so strategies can hardly differ.",
                points(stake),
                percent(vanilla),
                percent(dropped)
            ));
        }
    }
    if !run.is_complete() {
        cautions.push(format!(
            "{} of {} samples are recorded: the run isn't finished, or is one shard.",
            run.all_records().count(),
            run.spec.num_samples
        ));
    }
    if let Some(text_only) = &analysis.text_only {
        cautions.extend(text_only.sentences());
    }
    let without_effect = run.spec.grid.without_effect(&run.spec.model.shape);
    cautions.extend(without_effect.iter().map(|note| format!("{note}.")));
    cautions.extend(analysis.left_out.failed_cells());
    let skipped = analysis.left_out.skipped_methods();
    cautions.extend(told(
        "Does not apply to some questions, which it lacks",
        skipped,
    ));
    cautions.extend(frequent_answers(analysis));
    cautions.extend(explained_scores(run, analysis));
    let degenerate = degenerate(cell_index, analysis);
    if !degenerate.is_empty() {
        cautions.push(format!(
            "Index order, not the score, decided the heads of {}.",
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

/// Strategies with a degenerate cell, with the largest share of samples.
fn degenerate(cell_index: &CellIndex, analysis: &Analysis) -> Vec<String> {
    let of_strategy = |strategy: usize| {
        let cells = cell_index.cells_of(strategy);
        let audits = analysis.audit.iter().filter(|audit| {
            audit.is_degenerate()
                && cells
                    .iter()
                    .any(|&cell| analysis.cells[cell].id == audit.cell)
        });
        let worst = audits
            .map(CellAudit::index_order_share)
            .max_by(f64::total_cmp)?;
        let name = &cell_index.strategies[strategy].name;
        Some(format!("{name} (in up to {} % of samples)", percent(worst)))
    };
    (0..cell_index.strategies.len())
        .filter_map(of_strategy)
        .collect()
}

/// Cells that give one answer to nearly every question, and gains due to one answer. Controls
/// without an image are omitted: their answers are worthless by design.
fn frequent_answers(analysis: &Analysis) -> Vec<String> {
    let found: Vec<&FrequentAnswer> = analysis
        .frequent_answers
        .iter()
        .filter(|found| sees_the_image(analysis, &found.cell))
        .collect();
    let of = |found: &FrequentAnswer| {
        if found.by == ALL_QUESTIONS {
            format!("all {} questions", found.n)
        } else {
            format!("{} questions of {} {}", found.n, found.by, found.group)
        }
    };
    let before = |found: &FrequentAnswer| {
        let share = found.vanilla_share.map(percent);
        share.map_or(String::new(), |share| {
            format!(", {share} % without pruning")
        })
    };
    let degenerate: Vec<String> = found
        .iter()
        .filter(|found| found.is_degenerate)
        .map(|found| {
            format!(
                "{} answers “{}” to {} % of {} (ground truth {} %{})",
                found.cell,
                found.answer,
                percent(found.share),
                of(found),
                percent(found.truth_share),
                before(found)
            )
        })
        .collect();
    let gains: Vec<String> = found
        .iter()
        .filter_map(|found| {
            let gain = found.gain?;
            Some(format!(
                "{} answers “{}” to {} % of {} (ground truth {} %{}): {} points against no pruning, but {} where that is not the answer",
                found.cell,
                found.answer,
                percent(found.share),
                of(found),
                percent(found.truth_share),
                before(found),
                signed_points(gain.difference),
                signed_points(gain.elsewhere)
            ))
        })
        .collect();
    let one = format!(
        "One answer to {} % of a group of questions or more",
        fixed(100.0 * ONE_ANSWER_SHARE, 0)
    );
    let gain = "Accuracy rises because one frequent answer is often correct, not because the image \
                is understood better";
    [told(&one, degenerate), told(gain, gains)]
        .into_iter()
        .flatten()
        .collect()
}

/// Findings that explain scores of cells with an image, except single answers that the notes on
/// frequent answers already mention.
fn explained_scores(run: &Run, analysis: &Analysis) -> Option<String> {
    let is_known = |found: &LoudAnswers| {
        let mut frequent = analysis.frequent_answers.iter();
        found.finding.is_of_one_answer()
            && frequent.any(|frequent| frequent.is_degenerate && frequent.cell == found.cell)
    };
    let loud = analysis.answer_health.iter();
    let loud = loud.filter(|it| sees_the_image(analysis, &it.cell) && !is_known(it));
    let cases = loud.map(|found| {
        let of = if run.spec.datasets.len() > 1 {
            format!(" on {}", found.dataset)
        } else {
            String::new()
        };
        format!("{}{of}: {}", found.cell, found.finding.sentence)
    });
    told(
        "The distribution of answers explains a score",
        cases.collect(),
    )
}

/// Whether a cell has the image in its input, unlike the controls without an image, whose answers
/// are worthless by design.
fn sees_the_image(analysis: &Analysis, cell: &str) -> bool {
    let cell = analysis.cell(cell);
    cell.is_some_and(|cell| !cell.method.is("no_image") && !cell.method.is("drop_all"))
}

/// The first cases and the number of further ones; `None` without any.
fn told(what: &str, mut cases: Vec<String>) -> Option<String> {
    let more = match cases.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    cases.truncate(NAMED);
    (!cases.is_empty()).then(|| format!("{what}: {}{more}.", cases.join("; ")))
}
