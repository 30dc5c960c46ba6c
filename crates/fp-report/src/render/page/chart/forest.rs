//! Differences with intervals, one row each.

use fp_eval::format::{fixed, signed_points};
use maud::{Markup, html};

use super::{LETTER, MOST_LETTERS, NARROW, Scale, px, shorten, svg};

/// One row of a [`forest`].
#[derive(Debug, Clone)]
pub(in crate::render::page) struct ForestRow {
    pub(in crate::render::page) name: String,
    pub(in crate::render::page) difference: f64,
    pub(in crate::render::page) interval: [f64; 2],
    /// `better`, `worse`, `equivalent` or `undecided`.
    pub(in crate::render::page) outcome: &'static str,
    pub(in crate::render::page) tooltip: String,
    /// First row of a strategy, which is preceded by a gap.
    pub(in crate::render::page) is_first: bool,
}

/// Differences with intervals, one row each, with the equivalence margin as a band. Panels side by
/// side have common `bounds`.
pub(in crate::render::page) fn forest(
    title: &str,
    rows: &[ForestRow],
    bounds: [f64; 2],
    margin: f64,
) -> Markup {
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
    let [start, end] = [-margin, margin].map(place);
    let ticks = scale.ticks();
    let every = ticks.len().div_ceil(5);
    let zero = ticks.iter().position(|tick| tick.abs() < 1e-9).unwrap_or(0);
    let mut y = top - row_height / 2.0;
    let rows = rows.iter().map(|row| {
        y += row_height + if row.is_first { gap } else { 0.0 };
        forest_row(row, &place, y.min(bottom - 4.0), left)
    });
    let rows: Vec<Markup> = rows.collect();
    let content = html! {
        rect.band x=(px(start)) y=(top) width=(px(end - start)) height=(px(bottom - top)) {
            title { "equivalence margin ±" (fixed(100.0 * margin, 1)) " points" }
        }
        @for (index, tick) in ticks.iter().enumerate() {
            @let x = place(*tick);
            @let class = if index == zero { "zero" } else { "grid" };
            line class=(class) x1=(px(x)) x2=(px(x)) y1=(top) y2=(px(bottom)) {}
            @if index.abs_diff(zero) % every == 0 {
                text.tick text-anchor="middle" x=(px(x)) y=(px(bottom + 15.0)) {
                    (whole_points(*tick))
                }
            }
        }
        text.axis text-anchor="middle" x=(px((left + right) / 2.0)) y=(px(bottom + 32.0)) {
            "points of accuracy"
        }
        @for row in rows { (row) }
    };
    svg(NARROW, bottom + 40.0, title, content)
}

fn forest_row(row: &ForestRow, place: &dyn Fn(f64) -> f64, y: f64, left: f64) -> Markup {
    let [low, high] = row.interval.map(place);
    let x = place(row.difference);
    html! {
        text.name text-anchor="end" x=(px(left - 6.0)) y=(px(y + 4.0)) { (shorten(&row.name)) }
        g class=(row.outcome) {
            title { (row.tooltip) }
            line.whisker x1=(px(low)) x2=(px(high)) y1=(px(y)) y2=(px(y)) {}
            @match row.outcome {
                "better" => path d=(format!("M{x:.1} {:.1}l4.6 8h-9.2z", y - 5.0)) {},
                "worse" => path d=(format!("M{x:.1} {:.1}l4.6-8h-9.2z", y + 5.0)) {},
                "equivalent" => rect x=(px(x - 3.5)) y=(px(y - 3.5)) width="7" height="7" {},
                _ => circle cx=(px(x)) cy=(px(y)) r="3.2" {},
            }
        }
        text.figure text-anchor="end" x=(px(NARROW - 2.0)) y=(px(y + 4.0)) {
            (signed_points(row.difference))
        }
    }
}

fn whole_points(value: f64) -> String {
    let points = 100.0 * value;
    let digits = usize::from((points - points.round()).abs() > 1e-6);
    fixed(points, digits)
}
