//! Maps: selected heads, equivalent strategies, kept patches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_eval::format::{fixed, percent};
use image::{ExtendedColorType, ImageEncoder};
use maud::{Markup, Render, html};

use super::markup::{Field, Group, Section, Table, chooser, section};
use super::roles::ascending_budgets;
use crate::analysis::{AgreementMatrix, RASTER, Retention, SAME_IN_PRACTICE};
use crate::drawing::shade;
use crate::render::Source;

pub(super) fn head_usage(source: &Source<'_>) -> Option<Section> {
    if source.analysis.head_usage.is_empty() {
        return None;
    }
    let groups = source.cell_index.head_counts.iter().map(|&h| Group {
        value: h.to_string(),
        text: format!("h = {h}"),
        content: usage_table(source, h).render(),
    });
    let groups: Vec<Group> = groups.collect();
    Some(section(
        "heads",
        "Which heads were selected",
        "Share of samples in %, by head of layer K (counted from 0). A strategy whose row is all 100 or 0 selects the same heads for every question.",
        chooser("heads", "Heads kept", &groups),
    ))
}

fn usage_table(source: &Source<'_>, h: usize) -> Table {
    let num_heads = source.run.spec.model.shape.decoder.num_heads;
    let names: Vec<String> = (0..num_heads).map(|head| head.to_string()).collect();
    let mut columns = vec!["strategy"];
    columns.extend(names.iter().map(String::as_str));
    let label = format!("Share of samples that selected each head, h = {h}");
    let mut table = Table::new(&label, "heat", &columns);
    let usages = source.analysis.head_usage.iter();
    for usage in usages.filter(|usage| usage.num_selected_heads == h) {
        let fields = usage.shares.iter().map(|share| {
            Field::exact(format!("{:.0}", 100.0 * share), 100.0 * share).shaded(*share)
        });
        let head = Field::Head(usage.strategy.clone());
        table.row([head].into_iter().chain(fields));
    }
    table
}

pub(super) fn agreement(source: &Source<'_>) -> Option<Section> {
    let analysis = source.analysis;
    if analysis.agreement.is_empty() {
        return None;
    }
    let pairs = analysis.pairs.iter();
    let same: Vec<String> = pairs
        .filter(|pair| pair.is_same_in_practice())
        .map(|pair| {
            let how = if pair.is_same() {
                "the same"
            } else {
                "one in practice"
            };
            format!(
                "{} and {}: {how} (identical in {} % of cases, scores differ in {} %)",
                pair.a,
                pair.b,
                percent(pair.identical_share),
                percent(pair.score_differs_share)
            )
        })
        .collect();
    let groups = analysis.agreement.iter().map(|matrix| {
        let (budget, h) = (&matrix.budget, matrix.num_selected_heads);
        Group {
            value: format!("{budget}/h{h}"),
            text: format!("{budget}, h = {h}"),
            content: agreement_table(matrix).render(),
        }
    });
    let groups: Vec<Group> = groups.collect();
    let content = html! {
        @if same.is_empty() {
            p {
                "No pair keeps the same tokens in " (percent(SAME_IN_PRACTICE))
                " % of cases or more."
            }
        } @else {
            ul {
                @for line in same {
                    li { (line) }
                }
            }
        }
        (chooser("agreement", "At", &groups))
    };
    Some(section(
        "agreement",
        "Equivalent strategies",
        "Mean Jaccard overlap of the kept tokens; = where they are identical on every sample.",
        content,
    ))
}

fn agreement_table(matrix: &AgreementMatrix) -> Table {
    let (budget, h) = (&matrix.budget, matrix.num_selected_heads);
    let numbers: Vec<String> = (1..=matrix.labels.len()).map(|n| n.to_string()).collect();
    let mut columns = vec!["strategy"];
    columns.extend(numbers.iter().map(String::as_str));
    let label = format!("Overlap of kept tokens at {budget}, h = {h}");
    let mut table = Table::new(&label, "heat", &columns);
    for (a, name) in matrix.labels.iter().enumerate() {
        let fields = (0..matrix.labels.len()).map(|b| {
            let jaccard = matrix.mean_jaccard[a][b];
            if a == b {
                Field::Text("·".to_owned())
            } else if matrix.identical_share[a][b] == 1.0 {
                Field::exact("=", 1.0).shaded(1.0)
            } else {
                let text = fixed(jaccard, 2);
                Field::exact(text.trim_start_matches('0'), jaccard).shaded(jaccard)
            }
        });
        let head = Field::Head(format!("{} {name}", a + 1));
        table.row([head].into_iter().chain(fields));
    }
    table
}

pub(super) fn retention(source: &Source<'_>) -> Option<Section> {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    if analysis.retention.is_empty() {
        return None;
    }
    let is_raster = source.run.grid_side().is_none();
    if is_raster && analysis.retention.iter().all(|map| map.shares.is_empty()) {
        return None;
    }
    let mut groups = Vec::new();
    for budget in ascending_budgets(source).into_iter().rev() {
        for (count, h) in cell_index.head_counts.iter().enumerate() {
            let label = &cell_index.budgets[budget];
            groups.push(Group {
                value: format!("{label}/h{h}"),
                text: format!("{label}, h = {h}"),
                content: retention_maps(source, budget, count),
            });
        }
    }
    let lead = match is_raster {
        true => {
            "Images have grids of their own here, so the maps are of 24 × 24 equal parts of an image, whatever its shape: which share of each lay under kept tokens. A picture that follows position rather than evidence, such as bright lower rows, is a bias of the strategy."
        }
        false => {
            "One square per image patch. A picture that follows position rather than evidence, such as bright lower rows, is a bias of the strategy."
        }
    };
    Some(section(
        "retention",
        "How often each patch is kept",
        lead,
        chooser("retention", "At", &groups),
    ))
}

/// Retention maps of all cells with kept tokens at a budget, strategies at one h.
fn retention_maps(source: &Source<'_>, budget: usize, count: usize) -> Markup {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let side = source.run.grid_side();
    let [columns, rows] = side.map_or(RASTER, |side| [side, side]);
    let mut maps: Vec<(String, &Retention)> = Vec::new();
    let mut add = |name: &str, cell: Option<usize>| {
        let id = cell.map(|cell| analysis.cells[cell].id.as_str());
        let map = analysis
            .retention
            .iter()
            .find(|map| Some(map.cell.as_str()) == id);
        maps.extend(
            map.filter(|map| map.n > 0 && (side.is_some() || !map.shares.is_empty()))
                .map(|map| (name.to_owned(), map)),
        );
    };
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        add(&entry.name, cell_index.cell(strategy, count, budget));
    }
    add("all_heads", cell_index.all_heads[budget]);
    add("uniform_grid", cell_index.uniform_grid[budget]);
    add("random", cell_index.random[budget].first().copied());
    add("oracle", cell_index.oracle[budget]);
    let shares = |map: &Retention| -> Vec<f64> {
        if side.is_none() {
            return map.shares.clone();
        }
        let counts = map.counts.iter();
        counts
            .map(|&count| f64::from(count) / map.n as f64)
            .collect()
    };
    // Adjacent maps have a common scale; it ignores evenly spaced tokens, which are always kept.
    let most = maps
        .iter()
        .filter(|(name, _)| name != "uniform_grid")
        .flat_map(|(_, map)| shares(map))
        .fold(0.0, f64::max);
    html! {
        p.legend {
            span.ramp aria-hidden="true" {} " 0 to " (percent(most)) " % of samples"
        }
        div.maps {
            @for (name, map) in maps { (retention_map(&name, &shares(map), [columns, rows], most)) }
        }
    }
}

fn retention_map(name: &str, shares: &[f64], [columns, rows]: [usize; 2], most: f64) -> Markup {
    let third = |from: usize, to: usize| {
        let kept: f64 = shares[from * columns..to * columns].iter().sum();
        percent(kept / shares.iter().sum::<f64>().max(f64::MIN_POSITIVE))
    };
    let (upper, lower) = (third(0, rows / 3), third(rows - rows / 3, rows));
    let told =
        format!("{name}: {upper} % of the kept tokens in the upper third, {lower} % in the lower");
    html! {
        @if let Some(picture) = picture(shares, [columns, rows], most) {
            figure {
                @let picture = format!("data:image/png;base64,{picture}");
                img.map src=(picture) width="132" height="132" alt=(told);
                figcaption { (name) br; span.small { "lower third " (lower) " %" } }
            }
        }
    }
}

fn picture(shares: &[f64], [columns, rows]: [usize; 2], most: f64) -> Option<String> {
    let pixels: Vec<u8> = shares
        .iter()
        .flat_map(|share| shade(share / most.max(f64::MIN_POSITIVE)))
        .collect();
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    let (width, height) = (u32::try_from(columns).ok()?, u32::try_from(rows).ok()?);
    encoder
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .ok()?;
    Some(STANDARD.encode(&png))
}
