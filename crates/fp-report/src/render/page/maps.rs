//! Maps: which heads were selected, which strategies are one, which patches are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder};

use super::markup::{Field, Table, chooser, escape, group, put, section};
use super::roles::ascending_budgets;
use crate::analysis::{Retention, SAME_IN_PRACTICE};
use crate::drawing::shade;
use crate::render::Source;
use fp_eval::format::{fixed, percent};

pub(super) fn head_usage(source: &Source<'_>, out: &mut String) {
    let analysis = source.analysis;
    if analysis.head_usage.is_empty() {
        return;
    }
    section(
        out,
        "heads",
        "Which heads were selected",
        "Share of samples in %, by head of layer K (counted from 0). A strategy whose row is all 100 or 0 chooses the same heads whatever the question.",
    );
    let counts = &source.roster.head_counts;
    let groups: Vec<(String, String)> = counts
        .iter()
        .map(|h| (h.to_string(), format!("h = {h}")))
        .collect();
    chooser(out, "heads", "Heads kept", &groups);
    for (index, h) in counts.iter().enumerate() {
        group(out, "heads", &h.to_string(), index == 0);
        let num_heads = source.run.spec.model.shape.decoder.num_heads;
        let names: Vec<String> = (0..num_heads).map(|head| head.to_string()).collect();
        let mut columns = vec!["strategy"];
        columns.extend(names.iter().map(String::as_str));
        let label = format!("Share of samples that selected each head, h = {h}");
        let mut table = Table::new(&label, "heat", &columns);
        for usage in analysis
            .head_usage
            .iter()
            .filter(|usage| usage.num_selected_heads == *h)
        {
            let fields = usage.shares.iter().map(|share| {
                Field::exact(format!("{:.0}", 100.0 * share), 100.0 * share).shaded(*share)
            });
            table.row(
                [Field::Head(usage.strategy.clone())]
                    .into_iter()
                    .chain(fields),
            );
        }
        out.push_str(&table.finish());
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

pub(super) fn agreement(source: &Source<'_>, out: &mut String) {
    let analysis = source.analysis;
    if analysis.agreement.is_empty() {
        return;
    }
    section(
        out,
        "agreement",
        "Equivalent strategies",
        "Mean Jaccard overlap of the kept tokens; = where they are identical on every sample.",
    );
    let same: Vec<String> = analysis
        .pairs
        .iter()
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
    match same.as_slice() {
        [] => put!(
            out,
            "<p>No pair keeps the same tokens in {} % of cases or more.</p>\n",
            percent(SAME_IN_PRACTICE)
        ),
        same => {
            out.push_str("<ul>");
            for line in same {
                put!(out, "<li>{}</li>", escape(line));
            }
            out.push_str("</ul>\n");
        }
    }
    let value = |budget: &str, h: usize| format!("{budget}/h{h}");
    let groups: Vec<(String, String)> = analysis
        .agreement
        .iter()
        .map(|matrix| {
            let (budget, h) = (&matrix.budget, matrix.num_selected_heads);
            (value(budget, h), format!("{budget}, h = {h}"))
        })
        .collect();
    chooser(out, "agreement", "At", &groups);
    for (index, matrix) in analysis.agreement.iter().enumerate() {
        let (budget, h) = (&matrix.budget, matrix.num_selected_heads);
        group(out, "agreement", &value(budget, h), index == 0);
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
            table.row(
                [Field::Head(format!("{} {name}", a + 1))]
                    .into_iter()
                    .chain(fields),
            );
        }
        out.push_str(&table.finish());
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

pub(super) fn retention(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    let Some(side) = source
        .run
        .grid_side()
        .filter(|_| !analysis.retention.is_empty())
    else {
        return;
    };
    section(
        out,
        "retention",
        "How often each patch is kept",
        "One square per image patch. A picture that doesn't follow the evidence but the place, such as bright lower rows, is a bias of the strategy.",
    );
    let mut groups = Vec::new();
    let mut order = Vec::new();
    for budget in ascending_budgets(source).into_iter().rev() {
        for (count, h) in roster.head_counts.iter().enumerate() {
            let label = &roster.budgets[budget];
            groups.push((format!("{label}/h{h}"), format!("{label}, h = {h}")));
            order.push((budget, count));
        }
    }
    chooser(out, "retention", "At", &groups);
    for (index, ((value, _), (budget, count))) in groups.iter().zip(order).enumerate() {
        group(out, "retention", value, index == 0);
        let mut maps: Vec<(String, &Retention)> = Vec::new();
        let mut add = |name: &str, cell: Option<usize>| {
            let id = cell.map(|cell| analysis.cells[cell].id.as_str());
            let map = analysis
                .retention
                .iter()
                .find(|map| Some(map.cell.as_str()) == id);
            maps.extend(
                map.filter(|map| map.n > 0)
                    .map(|map| (name.to_owned(), map)),
            );
        };
        for (strategy, entry) in roster.strategies.iter().enumerate() {
            add(&entry.name, roster.cell(strategy, count, budget));
        }
        add("all_heads", roster.all_heads[budget]);
        add("uniform_grid", roster.uniform_grid[budget]);
        add("random", roster.random[budget].first().copied());
        add("oracle", roster.oracle[budget]);
        // One scale for maps that stand together; evenly spaced tokens are always kept.
        let share = |map: &Retention, token: usize| f64::from(map.counts[token]) / map.n as f64;
        let most = maps
            .iter()
            .filter(|(name, _)| name != "uniform_grid")
            .flat_map(|(_, map)| (0..map.counts.len()).map(|token| share(map, token)))
            .fold(0.0, f64::max);
        put!(
            out,
            "<p class=\"legend\"><span class=\"ramp\" aria-hidden=\"true\"></span> 0 to {} % of samples</p><div class=\"maps\">\n",
            percent(most)
        );
        for (name, map) in maps {
            let shares: Vec<f64> = (0..map.counts.len())
                .map(|token| share(map, token))
                .collect();
            let Some(picture) = picture(&shares, side, most) else {
                continue;
            };
            let third = |from: usize, to: usize| {
                let kept: f64 = shares[from * side..to * side].iter().sum();
                percent(kept / shares.iter().sum::<f64>().max(f64::MIN_POSITIVE))
            };
            let (upper, lower) = (third(0, side / 3), third(side - side / 3, side));
            put!(
                out,
                "<figure><img class=\"map\" src=\"data:image/png;base64,{picture}\" width=\"132\" height=\"132\" alt=\"{0}: {upper} % of the kept tokens in the upper third, {lower} % in the lower\"><figcaption>{0}<br><span class=\"small\">lower third {lower} %</span></figcaption></figure>\n",
                escape(&name)
            );
        }
        out.push_str("</div></div>\n");
    }
    out.push_str("</section>\n");
}

fn picture(shares: &[f64], side: usize, most: f64) -> Option<String> {
    let pixels: Vec<u8> = shares
        .iter()
        .flat_map(|share| shade(share / most.max(f64::MIN_POSITIVE)))
        .collect();
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    let side = u32::try_from(side).ok()?;
    encoder
        .write_image(&pixels, side, side, ExtendedColorType::Rgb8)
        .ok()?;
    Some(STANDARD.encode(&png))
}
