//! Differences with intervals, one row each.

use super::{LETTER, MOST_LETTERS, NARROW, Scale, open, shorten};
use crate::render::page::markup::{escape, put};
use fp_eval::format::{fixed, signed_points};

/// One row of a [`forest`].
#[derive(Debug, Clone)]
pub(in crate::render::page) struct ForestRow {
    pub(in crate::render::page) name: String,
    pub(in crate::render::page) difference: f64,
    pub(in crate::render::page) interval: [f64; 2],
    /// `better`, `worse`, `equivalent` or `undecided`.
    pub(in crate::render::page) outcome: &'static str,
    pub(in crate::render::page) tooltip: String,
    /// First of its strategy: set off by some room.
    pub(in crate::render::page) is_first: bool,
}

/// Differences with intervals, one row each, with the margin of equivalence as a band.
/// `bounds` are common to panels that stand side by side.
pub(in crate::render::page) fn forest(
    title: &str,
    rows: &[ForestRow],
    bounds: [f64; 2],
    margin: f64,
) -> String {
    let (row_height, gap) = (17.0, 5.0);
    let gaps = rows.iter().filter(|row| row.is_first).count() as f64;
    let letters = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let left = 10.0 + LETTER * letters.min(MOST_LETTERS) as f64;
    let (right, top) = (NARROW - 44.0, 8.0);
    let bottom = top + rows.len() as f64 * row_height + gaps * gap;
    let scale = Scale::around(bounds.into_iter());
    let place = |value: f64| scale.place(value, left, right);
    let mut svg = open(NARROW, bottom + 40.0, title);
    put!(
        &mut svg,
        "<rect class=\"band\" x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"><title>equivalence margin ±{} points</title></rect>",
        place(-margin),
        place(margin) - place(-margin),
        bottom - top,
        fixed(100.0 * margin, 1)
    );
    let ticks = scale.ticks();
    let every = ticks.len().div_ceil(5);
    let zero = ticks.iter().position(|tick| tick.abs() < 1e-9).unwrap_or(0);
    for (index, tick) in ticks.iter().enumerate() {
        let x = place(*tick);
        let class = if index == zero { "zero" } else { "grid" };
        put!(
            &mut svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom:.1}\"/>"
        );
        if index.abs_diff(zero) % every == 0 {
            put!(
                &mut svg,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 15.0,
                whole_points(*tick)
            );
        }
    }
    put!(
        &mut svg,
        "<text class=\"axis\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">points of accuracy</text>",
        (left + right) / 2.0,
        bottom + 32.0
    );
    let mut y = top - row_height / 2.0;
    for row in rows {
        y += row_height + if row.is_first { gap } else { 0.0 };
        forest_row(&mut svg, row, &place, y, left, bottom);
    }
    svg.push_str("</svg>");
    svg
}

fn forest_row(
    svg: &mut String,
    row: &ForestRow,
    place: &dyn Fn(f64) -> f64,
    y: f64,
    left: f64,
    bottom: f64,
) {
    let y = y.min(bottom - 4.0);
    let [low, high] = row.interval.map(place);
    let x = place(row.difference);
    let class = row.outcome;
    put!(
        svg,
        "<text class=\"name\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text><g class=\"{class}\"><title>{}</title><line class=\"whisker\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
        left - 6.0,
        y + 4.0,
        escape(&shorten(&row.name)),
        escape(&row.tooltip)
    );
    match class {
        "better" => put!(svg, "<path d=\"M{x:.1} {:.1}l4.6 8h-9.2z\"/>", y - 5.0),
        "worse" => put!(svg, "<path d=\"M{x:.1} {:.1}l4.6-8h-9.2z\"/>", y + 5.0),
        "equivalent" => put!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        ),
        _ => put!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>"),
    }
    put!(
        svg,
        "</g><text class=\"figure\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        NARROW - 2.0,
        y + 4.0,
        signed_points(row.difference)
    );
}

fn whole_points(value: f64) -> String {
    let points = 100.0 * value;
    let digits = usize::from((points - points.round()).abs() > 1e-6);
    fixed(points, digits)
}
