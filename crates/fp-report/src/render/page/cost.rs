//! Measured times and computed costs.

use fp_eval::format::{bytes, fixed, scaled};
use maud::{Markup, html};

use super::chart;
use super::markup::{Field, Section, Table, heading, section};
use super::roles::{ascending_budgets, best_at};
use crate::measured::MeasuredTimes;
use crate::render::Source;

pub(super) fn cost(source: &Source<'_>) -> Section {
    let content = html! {
        @match source.times {
            Some(times) => (measured(source, times)),
            None => p { "This run holds no timings." },
        }
        (heading("counted", "Counted, per prefill"))
        (counted(source))
        p.small {
            "Multiply-accumulates per layer on n tokens: 4nd² + 2n²d + 3ndm; one is two FLOPs; the prompt's include scoring. The first FastV paper counts two MLP matrices, 2ndm. Head strategies cost the same; query strategies cost as many rows as they read."
        }
    };
    section(
        "cost",
        "Where time goes",
        "Stage by stage of one answer, as this run measured it, and counted for each budget.",
        content,
    )
}

/// A stage of answering: how often it ran, and its time.
struct Stage {
    name: &'static str,
    /// The unit that it runs once for, such as an image.
    per: &'static str,
    count: usize,
    seconds: f64,
}

impl Stage {
    /// Milliseconds per execution.
    fn each(&self) -> f64 {
        1e3 * self.seconds / self.count.max(1) as f64
    }
}

/// The stages, each of which runs once for an answer.
fn stages(times: &MeasuredTimes) -> [Stage; 5] {
    let stage = |name, per, count, seconds| Stage {
        name,
        per,
        count,
        seconds,
    };
    let seconds = &times.stages;
    [
        stage(
            "vision tower and projector",
            "image",
            times.num_images,
            seconds.vision,
        ),
        stage(
            "layers 1 to K",
            "question",
            times.num_samples,
            seconds.prefix,
        ),
        stage(
            "scoring and selection",
            "answer",
            times.num_answers,
            seconds.scoring,
        ),
        stage("layers after K", "kept set", times.num_runs, seconds.suffix),
        stage("decoding", "kept set", times.num_runs, seconds.decode),
    ]
}

fn measured(source: &Source<'_>, times: &MeasuredTimes) -> Markup {
    let stages = stages(times);
    let total: f64 = stages.iter().map(Stage::each).sum();
    let parts: Vec<(String, f64)> = stages
        .iter()
        .map(|stage| (stage.name.to_owned(), stage.each()))
        .collect();
    html! {
        figure {
            (chart::both(|width| chart::stacked_bar("One answer by stage", &parts, width)))
            figcaption {
                "A single answer on its own: " (fixed(total, 2))
                " ms of work on one thread, from stages that the study shares among many answers. Mean over all cells, pruned or not."
            }
        }
        ul.parts {
            @for (index, stage) in stages.iter().enumerate() {
                li {
                    span class={ "swatch c" (index) } aria-hidden="true" {}
                    (stage.name) " " (fixed(stage.each(), 2)) " ms"
                }
            }
        }
        (stage_table(times, &stages, total))
        p.small {
            "Done once for: a study encodes an image once for all of its questions, runs layers 1 to "
            (source.run.spec.config.prune_layer)
            " once for all cells of a question, and cells that keep the same tokens once ("
            (times.num_answers) " answers required " (times.num_runs)
            " runs). So an answer of the study takes less than a single answer on its own. Thread-seconds, from stages that ran side by side."
        }
        details {
            summary { "Totals of the run" }
            (whole_run(times))
        }
        @if let Some(verdict) = times.loading.and_then(|loading| loading.verdict()) {
            p.small { (verdict) }
        }
    }
}

fn stage_table(times: &MeasuredTimes, stages: &[Stage], total: f64) -> Table {
    let mut table = Table::new(
        "Time by stage",
        "plain",
        &[
            "stage",
            "done once for each",
            "times",
            "ms each",
            "share of one answer %",
            "ms per question of the study",
            "ms per answer of the study",
            "seconds in all",
        ],
    );
    for stage in stages {
        let share = |count: usize| 1e3 * stage.seconds / count.max(1) as f64;
        let ms = |value: f64| Field::exact(fixed(value, 3), value);
        table.row([
            Field::Head(stage.name.to_owned()),
            Field::Text(stage.per.to_owned()),
            Field::count(stage.count),
            ms(stage.each()),
            Field::percent(stage.each() / total.max(f64::MIN_POSITIVE)),
            ms(share(times.num_samples)),
            ms(share(times.num_answers)),
            Field::exact(fixed(stage.seconds, 2), stage.seconds),
        ]);
    }
    table
}

fn whole_run(times: &MeasuredTimes) -> Table {
    let mut table = Table::new("The whole run", "plain", &["of the whole run", "value"]);
    let mut row = |name: &str, value: Field| {
        table.row([Field::Head(name.to_owned()), value]);
    };
    let seconds = |value: f64| Field::exact(format!("{} s", fixed(value, 2)), value);
    row("thread-seconds of all stages", seconds(times.total));
    row("questions", Field::count(times.num_samples));
    row("answers", Field::count(times.num_answers));
    let rate = |value: f64| Field::exact(fixed(value, 2), value);
    if let (Some(samples), Some(answers)) = (times.samples_per_second, times.answers_per_second) {
        row("questions per second by the clock", rate(samples));
        row("answers per second by the clock", rate(answers));
    }
    row(
        "questions per second of one thread",
        rate(times.samples_per_thread_second),
    );
    row(
        "answers per second of one thread",
        rate(times.answers_per_thread_second),
    );
    row(
        "runs after equal kept sets were joined",
        Field::count(times.num_runs),
    );
    if let Some(decoded) = times.decoded_per_second {
        row("tokens decoded per second of decoding", rate(decoded));
    }
    row(
        "most bytes of keys and values",
        Field::exact(
            bytes(times.peak_kv_bytes as f64),
            times.peak_kv_bytes as f64,
        ),
    );
    row("measuring diversity", seconds(times.stages.diversity));
    row(
        "reading, decoding and preprocessing images, beside the stages",
        seconds(times.stages.preprocess),
    );
    if let Some(loading) = &times.loading {
        row("waiting for images", seconds(loading.waiting));
    }
    table
}

fn counted(source: &Source<'_>) -> Table {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let mut table = Table::new(
        "Counted cost of a prefill",
        "plain",
        &[
            "cell",
            "mean tokens per layer",
            "MACs, image",
            "FLOPs, image",
            "MACs, prompt",
            "FLOPs, prompt",
            "of unpruned %",
            "of it scoring",
            "MACs, two-matrix MLP",
            "keys and values",
        ],
    );
    let mut cells: Vec<(String, Option<usize>)> = vec![("vanilla".to_owned(), cell_index.vanilla)];
    for budget in ascending_budgets(source).into_iter().rev() {
        let label = &cell_index.budgets[budget];
        // Computed costs don't depend on the head strategy.
        let studied = best_at(source, budget).map(|best| best.cell);
        cells.push((format!("any strategy, {label}"), studied));
        cells.push((
            format!("random, {label}"),
            cell_index.random[budget].first().copied(),
        ));
    }
    let large = |value: f64| Field::exact(scaled(value), value);
    for (name, cell) in cells {
        let Some(cell) = cell else { continue };
        let cost = &analysis.costs[cell];
        let [three, two] = cost.macs.as_slice() else {
            continue;
        };
        table.row([
            Field::Head(name),
            Field::exact(
                fixed(cost.average_visual_tokens, 1),
                cost.average_visual_tokens,
            ),
            large(three.visual),
            large(three.visual_flops()),
            large(three.sequence),
            large(three.sequence_flops()),
            Field::percent(three.sequence_ratio()),
            large(three.scoring),
            large(two.sequence),
            Field::exact(bytes(cost.kv_bytes), cost.kv_bytes),
        ]);
    }
    table
}
