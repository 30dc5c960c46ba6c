//! Quality of kept tokens, cost and time, flips, audit, and what was run.

use super::accuracy::{ascending_budgets, middle_heads, protagonists};
use super::chart;
use super::markup::{Field, Table, chooser, escape, group, put, section};
use crate::report::analysis::{Flips, Outcome, TokenQuality};
use crate::report::format::{bytes, fixed, level, percent, points, scaled};
use crate::report::render::Source;

/// Cells of one budget with the names that tables give them: strategies at each h,
/// then the controls.
fn cells_at(source: &Source<'_>, budget: usize) -> Vec<(String, usize)> {
    let roster = source.roster;
    let mut cells: Vec<(String, usize)> = roster
        .studied()
        .filter(|(_, _, at, _)| *at == budget)
        .map(|(strategy, count, _, cell)| {
            let name = &roster.strategies[strategy].name;
            (format!("{name}, h {}", roster.head_counts[count]), cell)
        })
        .collect();
    for (name, cell) in [
        ("all_heads", roster.all_heads[budget]),
        ("uniform_grid", roster.uniform_grid[budget]),
        ("random", roster.random[budget].first().copied()),
        ("oracle", roster.oracle[budget]),
    ] {
        cells.extend(cell.map(|cell| (name.to_owned(), cell)));
    }
    cells
}

fn budget_groups(source: &Source<'_>) -> (Vec<usize>, Vec<(String, String)>) {
    let mut order = ascending_budgets(source);
    order.reverse();
    let groups = order
        .iter()
        .map(|&budget| {
            let label = source.roster.budgets[budget].clone();
            (label.clone(), label)
        })
        .collect();
    (order, groups)
}

pub(super) fn quality(source: &Source<'_>, out: &mut String) {
    let analysis = source.analysis;
    if analysis
        .token_quality
        .iter()
        .all(|quality| quality.spread.is_none())
    {
        return;
    }
    section(
        out,
        "quality",
        "What the kept tokens see",
        "Against ground-truth boxes, on questions that have some. Lift 1 is what random tokens are expected to reach; ▲ keeps more of the evidence than random (Holm-corrected), ▼ less.",
    );
    let (order, groups) = budget_groups(source);
    chooser(out, "quality", "Budget", &groups);
    for (index, &budget) in order.iter().enumerate() {
        let label = &source.roster.budgets[budget];
        group(out, "quality", label, index == 0);
        quality_table(source, budget, out);
        by_area(source, budget, out);
        out.push_str("</div>\n");
    }
    out.push_str("<p class=\"small\">recall: share of the boxes' area that is kept. precision: share of the kept area inside boxes. hit: at least one token on the evidence. half: recall of tokens that boxes cover by half or more. nearest, fill: distances in patches to the next kept token, largest from any patch. blocks: share of 4 × 4 blocks with a kept token. effective number: exp of the entropy of the attention that chose. box attention: its mass on the boxes over what uniform attention would have. cosine distance, redundancy: of the kept tokens' features.</p></section>\n");
}

fn quality_table(source: &Source<'_>, budget: usize, out: &mut String) {
    let analysis = source.analysis;
    let find = |cell: usize| -> Option<&TokenQuality> {
        analysis
            .token_quality
            .iter()
            .find(|quality| quality.cell == analysis.cells[cell].id)
    };
    let label = format!(
        "Quality of kept tokens at {}",
        source.roster.budgets[budget]
    );
    let mut table = Table::new(
        &label,
        "plain",
        &[
            "cell",
            "recall %",
            "lift",
            "precision %",
            "soft IoU %",
            "hit %",
            "half %",
            "nearest",
            "fill",
            "blocks %",
            "padding %",
            "effective number",
            "box attention",
            "cosine distance",
            "redundancy",
        ],
    );
    let number = |value: Option<f64>, digits: usize| {
        value.map_or(Field::Empty, |value| Field::Number(fixed(value, digits)))
    };
    let share =
        |value: Option<f64>| value.map_or(Field::Empty, |value| Field::Number(percent(value)));
    for (name, cell) in cells_at(source, budget) {
        let Some(quality) = find(cell) else { continue };
        let outcome = analysis
            .recall_against_random
            .iter()
            .find(|c| c.a == quality.cell)
            .map(|c| c.outcome);
        let mark = match outcome {
            Some(Outcome::Better) => " ▲",
            Some(Outcome::Worse) => " ▼",
            _ => "",
        };
        let (overlap, spread) = (quality.overlap, quality.spread);
        let recall = overlap.map_or(Field::Empty, |overlap| {
            let text = format!("{}{mark}", percent(overlap.area_recall));
            Field::Shaded(text, overlap.area_recall)
        });
        table.row([
            Field::Head(name),
            recall,
            number(overlap.map(|overlap| overlap.lift), 2),
            share(overlap.map(|overlap| overlap.area_precision)),
            share(overlap.map(|overlap| overlap.soft_iou)),
            share(overlap.map(|overlap| overlap.hit)),
            share(overlap.and_then(|overlap| overlap.half_recall)),
            number(spread.and_then(|spread| spread.mean_nearest), 2),
            number(spread.map(|spread| spread.fill_distance), 1),
            share(spread.map(|spread| spread.block_coverage)),
            share(spread.map(|spread| spread.padding_waste)),
            number(quality.attention.map(|a| a.effective_number), 1),
            number(quality.attention.and_then(|a| a.box_ratio), 2),
            number(quality.diversity.map(|d| d.mean_cosine_distance), 2),
            number(quality.diversity.map(|d| d.redundancy), 2),
        ]);
    }
    out.push_str(&table.finish());
}

/// Recall by size of the evidence.
fn by_area(source: &Source<'_>, budget: usize, out: &mut String) {
    let analysis = source.analysis;
    let label = format!(
        "Recall by size of the evidence at {}",
        source.roster.budgets[budget]
    );
    let columns = ["cell", "below 0.5 %", "0.5 to 5 %", "5 % and more"];
    let mut table = Table::new(&label, "plain", &columns);
    let mut is_empty = true;
    use crate::metric::token_quality::AreaStratum::{Large, Medium, Small};
    for (name, cell) in cells_at(source, budget) {
        let id = &analysis.cells[cell].id;
        let Some(quality) = analysis
            .token_quality
            .iter()
            .find(|quality| quality.cell == *id)
        else {
            continue;
        };
        is_empty &= quality.by_area.is_empty();
        let fields = [Small, Medium, Large].map(|stratum| {
            let overlap = quality.by_area.iter().find(|(other, _)| *other == stratum);
            overlap.map_or(Field::Number("–".to_owned()), |(_, overlap)| {
                let text = format!("{} (n {})", percent(overlap.area_recall), overlap.n);
                Field::Shaded(text, overlap.area_recall)
            })
        });
        table.row([Field::Head(name)].into_iter().chain(fields));
    }
    if !is_empty {
        put!(
            out,
            "<details><summary>Recall in % by size of the evidence, as a share of the image</summary>{}</details>",
            table.finish()
        );
    }
}

pub(super) fn cost(source: &Source<'_>, out: &mut String) {
    section(
        out,
        "cost",
        "Where time goes",
        "Measured over the whole run, all cells together, and counted for each budget.",
    );
    if let Some(times) = source.times {
        let stages = times.stages.named();
        let parts: Vec<(String, f64)> = stages
            .iter()
            .filter(|(name, seconds)| *name != "preprocess" && *seconds > 0.0)
            .map(|(name, seconds)| ((*name).to_owned(), *seconds))
            .collect();
        out.push_str("<div class=\"pair\"><figure>");
        out.push_str(&chart::stacked_bar("Share of the time by stage", &parts));
        out.push_str("<figcaption><ul class=\"parts\">");
        for (index, (name, seconds)) in parts.iter().enumerate() {
            put!(
                out,
                "<li><span class=\"swatch c{index}\" aria-hidden=\"true\"></span>{} {} s ({} %)</li>",
                escape(stage_text(name)),
                fixed(*seconds, 2),
                percent(seconds / times.total)
            );
        }
        out.push_str("</ul></figcaption></figure><div>");
        let mut table = Table::new("Measured", "plain", &["measured", "value"]);
        let mut row = |name: &str, value: String| {
            table.row([Field::Head(name.to_owned()), Field::Number(value)]);
        };
        row("seconds of all stages", fixed(times.total, 1));
        row("samples per second", fixed(times.samples_per_second, 2));
        row("answers per second", fixed(times.answers_per_second, 1));
        row("answers", times.num_answers.to_string());
        row(
            "runs after equal kept sets were joined",
            times.num_runs.to_string(),
        );
        if let Some(rate) = times.decoded_per_second {
            row("tokens decoded per second", fixed(rate, 1));
        }
        row(
            "most bytes of keys and values",
            bytes(times.peak_kv_bytes as f64),
        );
        row(
            "reading, decoding and preprocessing images, beside",
            format!("{} s", fixed(times.stages.preprocess, 2)),
        );
        if let Some(loading) = &times.loading {
            row(
                "waiting for images",
                format!("{} s", fixed(loading.waiting, 2)),
            );
        }
        out.push_str(&table.finish());
        out.push_str("</div></div>\n");
        if let Some(verdict) = times.loading.and_then(|loading| loading.verdict()) {
            put!(out, "<p>{}</p>\n", escape(&verdict));
        }
    } else {
        out.push_str("<p>This run holds no timings.</p>\n");
    }
    counted(source, out);
    out.push_str("</section>\n");
}

fn stage_text(name: &str) -> &str {
    match name {
        "vision" => "vision tower and projector",
        "prefix" => "layers 1 to K",
        "scoring" => "scoring and selection",
        "suffix" => "layers after K",
        "decode" => "decoding",
        "diversity" => "measuring diversity",
        other => other,
    }
}

fn counted(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
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
            "of unpruned",
            "of it scoring",
            "MACs, two-matrix MLP",
            "keys and values",
        ],
    );
    let mut cells: Vec<(String, Option<usize>)> = vec![("vanilla".to_owned(), roster.vanilla)];
    let (_, baseline) = protagonists(source);
    let count = middle_heads(source);
    for budget in ascending_budgets(source).into_iter().rev() {
        let label = &roster.budgets[budget];
        let strategy = baseline.filter(|_| !roster.head_counts.is_empty());
        let studied = strategy.and_then(|strategy| roster.cell(strategy, count, budget));
        cells.push((format!("any strategy, {label}"), studied));
        cells.push((
            format!("random, {label}"),
            roster.random[budget].first().copied(),
        ));
    }
    for (name, cell) in cells {
        let Some(cell) = cell else { continue };
        let cost = &analysis.costs[cell];
        let [three, two] = cost.macs.as_slice() else {
            continue;
        };
        table.row([
            Field::Head(name),
            Field::Number(fixed(cost.average_visual_tokens, 1)),
            Field::Number(scaled(three.visual)),
            Field::Number(scaled(three.visual_flops())),
            Field::Number(scaled(three.sequence)),
            Field::Number(scaled(three.sequence_flops())),
            Field::Number(format!("{} %", percent(three.sequence_ratio()))),
            Field::Number(scaled(three.scoring)),
            Field::Number(scaled(two.sequence)),
            Field::Number(bytes(cost.kv_bytes)),
        ]);
    }
    out.push_str("<h3>Counted, per prefill</h3>");
    out.push_str(&table.finish());
    out.push_str("<p class=\"small\">Multiply-accumulates per layer on n tokens: 4nd² + 2n²d + 3ndm; one is two FLOPs; the prompt's include scoring. The first FastV paper counts two MLP matrices, 2ndm. Head strategies cost the same, query strategies as many rows as they look from.</p>\n");
}

pub(super) fn flips(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    if analysis.flips.is_empty() {
        return;
    }
    section(
        out,
        "flips",
        "What flips through pruning",
        "Lost: right without pruning, wrong with it. Won: the other way. In % of the group's questions.",
    );
    let (candidate, baseline) = protagonists(source);
    let count = middle_heads(source);
    let mut shown: Vec<(String, Vec<Option<usize>>)> = Vec::new();
    let order: Vec<usize> = ascending_budgets(source).into_iter().rev().collect();
    for strategy in [candidate, baseline].into_iter().flatten() {
        let cells = order
            .iter()
            .map(|&budget| roster.cell(strategy, count, budget))
            .collect();
        let h = roster.head_counts.get(count).copied().unwrap_or_default();
        shown.push((
            format!("{}, h = {h}", roster.strategies[strategy].name),
            cells,
        ));
    }
    let by_budget = |cells: &[Option<usize>]| order.iter().map(|&budget| cells[budget]).collect();
    shown.push(("all_heads".to_owned(), by_budget(&roster.all_heads)));
    let first_random: Vec<Option<usize>> = roster
        .random
        .iter()
        .map(|seeds| seeds.first().copied())
        .collect();
    shown.push(("random".to_owned(), by_budget(&first_random)));
    shown.retain(|(_, cells)| cells.iter().any(Option::is_some));
    let groups: Vec<(String, String)> = shown
        .iter()
        .map(|(name, _)| (name.clone(), name.clone()))
        .collect();
    chooser(out, "flips", "Cell", &groups);
    for (index, (name, cells)) in shown.iter().enumerate() {
        group(out, "flips", name, index == 0);
        let columns: Vec<String> = order
            .iter()
            .flat_map(|&budget| {
                let label = &roster.budgets[budget];
                [format!("{label} lost"), format!("{label} won")]
            })
            .collect();
        let mut head = vec!["group", "n"];
        head.extend(columns.iter().map(String::as_str));
        let mut table = Table::new(&format!("Flips of {name}"), "plain", &head);
        let of_cells: Vec<_> = cells
            .iter()
            .map(|cell| {
                let id = &analysis.cells[(*cell)?].id;
                analysis.flips.iter().find(|flips| flips.cell == *id)
            })
            .collect();
        let all = of_cells.iter().map(|flips| flips.map(|flips| flips.all));
        flip_row(&mut table, "all questions".to_owned(), all.collect());
        for strata in &analysis.strata {
            for stratum in &strata.groups {
                let of = of_cells.iter().map(|flips| {
                    let found = flips.as_ref()?.strata.iter();
                    found
                        .filter(|f| f.by == strata.by && f.group == stratum.name)
                        .map(|f| f.flips)
                        .next()
                });
                flip_row(
                    &mut table,
                    format!("{}: {}", strata.by, stratum.name),
                    of.collect(),
                );
            }
        }
        out.push_str(&table.finish());
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

fn flip_row(table: &mut Table, name: String, flips: Vec<Option<Flips>>) {
    let n = flips.iter().flatten().map(Flips::n).max().unwrap_or(0);
    if n == 0 {
        return;
    }
    let mut fields = vec![Field::Head(name), Field::Number(n.to_string())];
    for flips in flips {
        match flips.filter(|flips| flips.n() > 0) {
            Some(flips) => {
                let share = |count: usize| count as f64 / flips.n() as f64;
                fields.push(Field::Shaded(
                    percent(share(flips.lost)),
                    2.0 * share(flips.lost),
                ));
                fields.push(Field::Number(percent(share(flips.won))));
            }
            None => fields.extend([Field::Empty, Field::Empty]),
        }
    }
    table.row(fields);
}

pub(super) fn audit(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    section(
        out,
        "audit",
        "Audit: what decided",
        "A tie was decided by index order, a near-tie (below 1e-6 of the scores' range) could be decided by rounding.",
    );
    let mut table = Table::new(
        "Ties by strategy over all budgets and h",
        "plain",
        &[
            "strategy",
            "selections",
            "head ties",
            "near-ties",
            "widest",
            "token ties",
            "near-ties",
            "widest",
            "constant",
            "not a number",
            "answer near-ties",
        ],
    );
    let mut add = |name: &str, cells: &[usize]| {
        let ids: Vec<&str> = cells
            .iter()
            .map(|&cell| analysis.cells[cell].id.as_str())
            .collect();
        let of: Vec<_> = analysis
            .audit
            .iter()
            .filter(|audit| ids.contains(&audit.cell.as_str()))
            .collect();
        let sum = |value: &dyn Fn(&crate::report::analysis::CellAudit) -> usize| {
            Field::Number(
                of.iter()
                    .map(|audit| value(audit))
                    .sum::<usize>()
                    .to_string(),
            )
        };
        let most = |value: &dyn Fn(&crate::report::analysis::CellAudit) -> usize| {
            let most = of.iter().map(|audit| value(audit)).max().unwrap_or(0);
            Field::Number(if most > 0 {
                most.to_string()
            } else {
                "–".to_owned()
            })
        };
        table.row([
            Field::Head(name.to_owned()),
            sum(&|audit| audit.n),
            sum(&|audit| audit.head_ties),
            sum(&|audit| audit.head_near_ties),
            most(&|audit| audit.widest_head_tie),
            sum(&|audit| audit.token_ties),
            sum(&|audit| audit.token_near_ties),
            most(&|audit| audit.widest_token_tie),
            sum(&|audit| audit.constant_scores),
            sum(&|audit| audit.nan_scores),
            sum(&|audit| audit.answer_near_ties),
        ]);
    };
    for (strategy, entry) in roster.strategies.iter().enumerate() {
        add(&entry.name, &roster.cells_of(strategy));
    }
    let all_heads: Vec<usize> = roster.all_heads.iter().flatten().copied().collect();
    if !all_heads.is_empty() {
        add("all_heads", &all_heads);
    }
    out.push_str(&table.finish());
    looks(source, out);
    if let Some(noise) = &analysis.noise_floor {
        put!(
            out,
            "<h3>Noise floor from a repeated run</h3><p>{} answers on {} samples: {} texts, {} scores and {} kept sets differ, {} of them not explained by a near-tie; the largest difference of a cell's mean is {} points.</p>\n",
            noise.num_answers,
            noise.num_samples,
            noise.texts_differ,
            noise.scores_differ,
            noise.kept_differ,
            noise.unexplained,
            points(noise.largest_cell_difference)
        );
    }
    out.push_str("</section>\n");
}

fn looks(source: &Source<'_>, out: &mut String) {
    if source.analysis.looks.is_empty() {
        return;
    }
    out.push_str("<h3>Where query strategies looked from</h3><p>Mean share of the weight in %. The last rows of a prompt are the template's own (its <code>ASSISTANT:</code>), not the question's.</p>");
    let mut table = Table::new(
        "Rows looked from by query strategy",
        "plain",
        &[
            "query strategy",
            "rows",
            "system",
            "image",
            "earlier text",
            "last five but one",
            "last row",
            "heads without mass",
            "rule it came to",
        ],
    );
    for look in &source.analysis.looks {
        let branches: Vec<String> = look
            .branches
            .iter()
            .map(|(name, n)| format!("{name} {n}×"))
            .collect();
        table.row([
            Field::Head(look.query_strategy.clone()),
            Field::Number(fixed(look.mean_rows, 1)),
            Field::Number(percent(look.weight.system)),
            Field::Number(percent(look.weight.image)),
            Field::Number(percent(look.weight.earlier_text)),
            Field::Number(percent(look.weight.last_five)),
            Field::Number(percent(look.weight.last)),
            Field::Number(format!("{} of {}", look.zero_mass_samples, look.n)),
            Field::Text(branches.join(", ")),
        ]);
    }
    out.push_str(&table.finish());
}

pub(super) fn provenance(source: &Source<'_>, out: &mut String) {
    let spec = &source.run.spec;
    let statistics = &spec.config.statistics;
    section(out, "run", "What was run", "");
    out.push_str("<dl class=\"spec\">");
    let mut fact = |name: &str, value: &str| {
        put!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    };
    fact(
        "model",
        &format!("{}, computed in {}", spec.config.model, spec.model.dtype),
    );
    fact("weights SHA-256", &spec.model.sha256);
    for dataset in &spec.datasets {
        let text = format!(
            "{} {}, {} samples",
            dataset.name, dataset.split, dataset.num_samples
        );
        fact("data", &text);
        fact("data SHA-256", &dataset.sha256);
    }
    fact("configuration SHA-256", &spec.config_sha256);
    fact(
        "pruning",
        &format!(
            "after layer {}, {} normalisation",
            spec.config.prune_layer, spec.config.normalization
        ),
    );
    fact(
        "statistics",
        &format!(
            "paired by question, clustered by image; sign-flip test, {} bootstrap draws, seed {}; {} % intervals; Holm within {}; equivalence margin {} points (two one-sided tests, not corrected)",
            statistics.num_draws,
            spec.config.seed,
            level(statistics.confidence),
            match statistics.holm_family {
                crate::study::config::HolmFamily::Budget => "each reference and budget",
                crate::study::config::HolmFamily::BudgetAndHeads => "each reference, budget and h",
                crate::study::config::HolmFamily::Study => "each reference",
            },
            fixed(statistics.equivalence_margin, 2),
        ),
    );
    let environment = &spec.environment;
    fact(
        "machine",
        &format!(
            "{} {}, {}, {} threads at once; finepruner {}",
            environment.os,
            environment.arch,
            environment.cpu.as_deref().unwrap_or("processor unknown"),
            environment.num_cpus,
            environment.version
        ),
    );
    out.push_str("</dl></section>\n");
}
