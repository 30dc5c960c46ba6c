//! Values by budget as lines, with markers, intervals and names.

use fp_eval::format::percent;
use maud::{Markup, html};

use super::{FONT, LETTER, MOST_LETTERS, NARROW, Scale, WIDE_FONT, px, shorten, svg};

/// One line of a [`lines`] chart.
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Series {
    pub(in crate::render::page) name: String,
    /// Index of colour, marker and dash.
    pub(in crate::render::page) style: usize,
    /// One value per position along x.
    pub(in crate::render::page) points: Vec<Option<Point>>,
}

/// One value of a [`Series`].
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Point {
    pub(in crate::render::page) mean: f64,
    pub(in crate::render::page) interval: Option<[f64; 2]>,
    /// Name of what is shown at this point, where that differs along the line.
    pub(in crate::render::page) what: Option<String>,
}

/// A position along x: its name, and text below it where there is room.
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Frame {
    pub(in crate::render::page) label: String,
    pub(in crate::render::page) notes: Vec<String>,
}

/// Accuracy by budget: lines with intervals, each with its name at its right end.
/// `width` is [`super::NARROW`] or [`super::WIDE`].
pub(in crate::render::page) fn lines(
    title: &str,
    places: &[Frame],
    series: &[Series],
    scale: Scale,
    width: f64,
) -> Markup {
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
    let slot = (right - left) / places.len().max(1) as f64;
    let place_x = |position: usize| left + (position as f64 + 0.5) * slot;
    let place_y = |value: f64| scale.place(value, bottom, top);
    let mut drawn: Vec<Markup> = Vec::new();
    let mut ends: Vec<(f64, usize)> = Vec::new();
    for (index, line) in series.iter().enumerate() {
        // Intervals at the same budget are drawn side by side.
        let gap = if is_wide { 11.0 } else { 5.0 };
        let nudge = (index as f64 - (series.len() - 1) as f64 / 2.0) * gap;
        let marks: Vec<(f64, f64, &Point)> = line
            .points
            .iter()
            .enumerate()
            .filter_map(|(position, point)| {
                let point = point.as_ref()?;
                Some((place_x(position) + nudge, place_y(point.mean), point))
            })
            .collect();
        drawn.push(draw_line(line, &marks, &place_y));
        if let Some((_, y, _)) = marks.last() {
            ends.push((*y, index));
        }
    }
    let content = html! {
        (scale.rules([left, right], [bottom, top]))
        @for (position, place) in places.iter().enumerate() {
            @let x = place_x(position);
            (below("tick", x, bottom + 17.0, &place.label))
            @for (line, note) in place.notes.iter().filter(|_| is_wide).enumerate() {
                (below("note", x, bottom + 35.0 + 17.0 * line as f64, note))
            }
        }
        (below("axis", (left + right) / 2.0, height - 6.0, "image tokens after layer K"))
        @for line in drawn { (line) }
        @for (y, index) in spread(ends, 16.0, top, bottom) {
            @let line = &series[index];
            text class={ "name c" (line.style) } x=(px(right + 8.0)) y=(px(y + 4.0)) {
                (shorten(&line.name))
            }
        }
    };
    svg(width, height, title, content)
}

fn below(class: &str, x: f64, y: f64, text: &str) -> Markup {
    html! {
        text class=(class) text-anchor="middle" x=(px(x)) y=(px(y)) { (text) }
    }
}

fn draw_line(line: &Series, marks: &[(f64, f64, &Point)], place_y: &dyn Fn(f64) -> f64) -> Markup {
    let style = line.style;
    let corners = marks.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}"));
    let corners: Vec<String> = corners.collect();
    html! {
        @if marks.len() > 1 {
            polyline class={ "line c" (style) } points=(corners.join(" ")) {}
        }
        @for (x, y, point) in marks {
            @if let Some([low, high]) = point.interval.map(|ends| ends.map(place_y)) {
                @let (x, low, high) = (px(*x), px(low), px(high));
                line class={ "whisker c" (style) } x1=(x) x2=(x) y1=(low) y2=(high) {}
            }
            (marker(style, *x, *y, &tooltip(line, point)))
        }
    }
}

fn tooltip(line: &Series, point: &Point) -> String {
    let interval = point.interval.map_or(String::new(), |[low, high]| {
        format!(" ({} to {})", percent(low), percent(high))
    });
    let what = point
        .what
        .as_ref()
        .map_or(String::new(), |what| format!(", {what}"));
    format!("{}{what}: {} %{interval}", line.name, percent(point.mean))
}

/// A sample of a series' style, for legends.
pub(in crate::render::page) fn key(style: usize) -> Markup {
    html! {
        svg.key viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" {
            line class={ "line c" (style) } x1="1" x2="27" y1="6" y2="6" {}
            (marker(style, 14.0, 6.0, ""))
        }
    }
}

/// Shapes differ along with colours, so that neither alone distinguishes the lines.
pub(super) fn marker(style: usize, x: f64, y: f64, text: &str) -> Markup {
    html! {
        g class={ "mark c" (style) } {
            title { (text) }
            @match style % 4 {
                0 => circle cx=(px(x)) cy=(px(y)) r="3.6" {},
                1 => rect x=(px(x - 3.3)) y=(px(y - 3.3)) width="6.6" height="6.6" {},
                2 => path d=(format!("M{x:.1} {:.1}l4.2 7.4h-8.4z", y - 4.6)) {},
                _ => path d=(format!("M{x:.1} {:.1}l4.3 4.3l-4.3 4.3l-4.3-4.3z", y - 4.3)) {},
            }
        }
    }
}

/// Moves labels apart to a distance of `gap`, keeping their order and staying inside the frame.
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
