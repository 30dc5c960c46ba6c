//! Values by budget as lines, with markers, intervals and names.

use super::{FONT, LETTER, MOST_LETTERS, NARROW, Scale, WIDE_FONT, open, shorten};
use crate::render::page::markup::{escape, put};
use fp_eval::format::percent;

/// One line of a [`lines`] chart.
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Series {
    pub(in crate::render::page) name: String,
    /// Which colour, marker and dash.
    pub(in crate::render::page) style: usize,
    /// One value per position along x.
    pub(in crate::render::page) points: Vec<Option<Point>>,
}

/// One value of a [`Series`].
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Point {
    pub(in crate::render::page) mean: f64,
    pub(in crate::render::page) interval: Option<[f64; 2]>,
    /// What stands here, where that differs along the line.
    pub(in crate::render::page) what: Option<String>,
}

/// A position along x: its name, and what is written below it where there is room.
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Place {
    pub(in crate::render::page) label: String,
    pub(in crate::render::page) notes: Vec<String>,
}

/// Accuracy by budget: lines with intervals, each with its name at its right end.
/// `width` is [`super::NARROW`] or [`super::WIDE`].
pub(in crate::render::page) fn lines(
    title: &str,
    places: &[Place],
    series: &[Series],
    scale: Scale,
    width: f64,
) -> String {
    let is_wide = width > NARROW;
    let most_notes = places.iter().map(|place| place.notes.len()).max();
    let notes = most_notes.filter(|_| is_wide).unwrap_or(0) as f64;
    let height = if is_wide { 400.0 } else { 360.0 } + 17.0 * notes;
    let (left, top, bottom) = (34.0, 10.0, height - 42.0 - 17.0 * notes);
    let letters = series.iter().map(|line| line.name.chars().count()).max();
    let letter = if is_wide {
        LETTER * WIDE_FONT / FONT
    } else {
        LETTER
    };
    let right = width - 12.0 - letter * letters.unwrap_or(0).min(MOST_LETTERS) as f64;
    let mut svg = open(width, height, title);
    scale.rules(&mut svg, [left, right], [bottom, top]);
    let slot = (right - left) / places.len().max(1) as f64;
    let place_x = |position: usize| left + (position as f64 + 0.5) * slot;
    for (position, place) in places.iter().enumerate() {
        let x = place_x(position);
        let mut write = |class: &str, y: f64, text: &str| {
            put!(
                &mut svg,
                "<text class=\"{class}\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                escape(text)
            );
        };
        write("tick", bottom + 17.0, &place.label);
        for (line, note) in place.notes.iter().filter(|_| is_wide).enumerate() {
            write("note", bottom + 35.0 + 17.0 * line as f64, note);
        }
    }
    put!(
        &mut svg,
        "<text class=\"axis\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">image tokens after layer K</text>",
        (left + right) / 2.0,
        height - 6.0
    );
    let mut ends: Vec<(f64, usize)> = Vec::new();
    for (index, line) in series.iter().enumerate() {
        // Intervals at one budget stand beside, not on each other.
        let gap = if is_wide { 11.0 } else { 5.0 };
        let nudge = (index as f64 - (series.len() - 1) as f64 / 2.0) * gap;
        let marks: Vec<(f64, f64, &Point)> = line
            .points
            .iter()
            .enumerate()
            .filter_map(|(position, point)| {
                let point = point.as_ref()?;
                let y = scale.place(point.mean, bottom, top);
                Some((place_x(position) + nudge, y, point))
            })
            .collect();
        draw_line(&mut svg, line, &marks, &|value| {
            scale.place(value, bottom, top)
        });
        if let Some((_, y, _)) = marks.last() {
            ends.push((*y, index));
        }
    }
    for (y, index) in spread(ends, 16.0, top, bottom) {
        put!(
            &mut svg,
            "<text class=\"name c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            series[index].style,
            right + 8.0,
            y + 4.0,
            escape(&shorten(&series[index].name))
        );
    }
    svg.push_str("</svg>");
    svg
}

fn draw_line(
    svg: &mut String,
    line: &Series,
    marks: &[(f64, f64, &Point)],
    place_y: &dyn Fn(f64) -> f64,
) {
    let style = line.style;
    if marks.len() > 1 {
        let points: Vec<String> = marks
            .iter()
            .map(|(x, y, _)| format!("{x:.1},{y:.1}"))
            .collect();
        put!(
            svg,
            "<polyline class=\"line c{style}\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    for (x, y, point) in marks {
        if let Some([low, high]) = point.interval.map(|ends| ends.map(place_y)) {
            put!(
                svg,
                "<line class=\"whisker c{style}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>"
            );
        }
        let interval = point.interval.map_or(String::new(), |[low, high]| {
            format!(" ({} to {})", percent(low), percent(high))
        });
        let what = point
            .what
            .as_ref()
            .map_or(String::new(), |what| format!(", {what}"));
        let text = format!("{}{what}: {} %{interval}", line.name, percent(point.mean));
        marker(svg, style, *x, *y, &text);
    }
}

/// A sample of a series' look, for legends.
pub(in crate::render::page) fn key(style: usize) -> String {
    let mut svg = String::from(
        "<svg class=\"key\" viewBox=\"0 0 28 12\" width=\"28\" height=\"12\" aria-hidden=\"true\">",
    );
    put!(
        &mut svg,
        "<line class=\"line c{style}\" x1=\"1\" x2=\"27\" y1=\"6\" y2=\"6\"/>"
    );
    marker(&mut svg, style, 14.0, 6.0, "");
    svg.push_str("</svg>");
    svg
}

/// Shapes differ along with colours, so that neither alone tells lines apart.
pub(super) fn marker(svg: &mut String, style: usize, x: f64, y: f64, text: &str) {
    let title = escape(text);
    put!(svg, "<g class=\"mark c{style}\"><title>{title}</title>");
    match style % 4 {
        0 => put!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>"),
        1 => put!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6.6\" height=\"6.6\"/>",
            x - 3.3,
            y - 3.3
        ),
        2 => put!(svg, "<path d=\"M{x:.1} {:.1}l4.2 7.4h-8.4z\"/>", y - 4.6),
        _ => put!(
            svg,
            "<path d=\"M{x:.1} {:.1}l4.3 4.3l-4.3 4.3l-4.3-4.3z\"/>",
            y - 4.3
        ),
    }
    svg.push_str("</g>");
}

/// Moves labels apart until each has its `gap`, keeping their order and the frame.
fn spread(mut places: Vec<(f64, usize)>, gap: f64, top: f64, bottom: f64) -> Vec<(f64, usize)> {
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = top;
    for place in &mut places {
        place.0 = place.0.max(lowest);
        lowest = place.0 + gap;
    }
    let mut highest = bottom;
    for place in places.iter_mut().rev() {
        place.0 = place.0.min(highest);
        highest = place.0 - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_apart() {
        let places = spread(
            vec![(10.0, 0), (12.0, 1), (11.0, 2), (95.0, 3)],
            15.0,
            0.0,
            100.0,
        );
        let y: Vec<f64> = places.iter().map(|place| place.0).collect();
        assert!(
            y.windows(2).all(|pair| pair[1] - pair[0] >= 15.0 - 1e-9),
            "{y:?}"
        );
        assert_eq!(
            places.iter().map(|place| place.1).collect::<Vec<_>>(),
            [0, 2, 1, 3]
        );
    }
}
