//! Values by budget as lines, with markers, intervals and names.

use super::{LETTER, MOST_LETTERS, Scale, WIDTH, open, shorten};
use crate::report::format::percent;
use crate::report::render::page::markup::{escape, put};

/// One line of a [`lines`] panel.
#[derive(Debug, Clone)]
pub(in crate::report::render::page) struct Series {
    pub(in crate::report::render::page) name: String,
    /// Which colour, marker and dash.
    pub(in crate::report::render::page) style: usize,
    /// One value per position along x, with its interval.
    pub(in crate::report::render::page) points: Vec<Option<(f64, Option<[f64; 2]>)>>,
}

/// Accuracy by budget: lines with intervals. `labels` are written along x; with
/// `is_labelled` each line bears its name at its right end.
pub(in crate::report::render::page) fn lines(
    title: &str,
    labels: &[String],
    series: &[Series],
    scale: Scale,
    is_labelled: bool,
) -> String {
    let height = if is_labelled { 330.0 } else { 210.0 };
    let (left, top, bottom) = (34.0, 10.0, height - 40.0);
    let letters = series
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0);
    let right = match is_labelled {
        true => WIDTH - 12.0 - LETTER * letters.min(MOST_LETTERS) as f64,
        false => WIDTH - 10.0,
    };
    let mut svg = open(height, title);
    for tick in scale.ticks() {
        let y = scale.place(tick, bottom, top);
        put!(
            &mut svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
            left - 5.0,
            y + 4.0,
            100.0 * tick
        );
    }
    let place_x = |position: usize| {
        let slot = (right - left) / labels.len() as f64;
        left + (position as f64 + 0.5) * slot
    };
    for (position, label) in labels.iter().enumerate() {
        put!(
            &mut svg,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            place_x(position),
            bottom + 16.0,
            escape(label)
        );
    }
    put!(
        &mut svg,
        "<text class=\"axis\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">image tokens after layer K</text>",
        (left + right) / 2.0,
        bottom + 33.0
    );
    let mut ends: Vec<(f64, usize)> = Vec::new();
    for (index, line) in series.iter().enumerate() {
        // Intervals at one budget stand beside, not on each other.
        let nudge = (index as f64 - (series.len() - 1) as f64 / 2.0) * 5.0;
        let places: Vec<(f64, f64, Option<[f64; 2]>)> = line
            .points
            .iter()
            .enumerate()
            .filter_map(|(position, point)| {
                let (mean, interval) = (*point)?;
                let y = scale.place(mean, bottom, top);
                let interval = interval.map(|ends| ends.map(|end| scale.place(end, bottom, top)));
                Some((place_x(position) + nudge, y, interval))
            })
            .collect();
        draw_line(&mut svg, line, &places);
        if let Some((_, y, _)) = places.last() {
            ends.push((*y, index));
        }
    }
    if is_labelled {
        for (y, index) in spread(ends, 15.0, top, bottom) {
            put!(
                &mut svg,
                "<text class=\"name c{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                series[index].style,
                right + 8.0,
                y + 4.0,
                escape(&shorten(&series[index].name))
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn draw_line(svg: &mut String, line: &Series, places: &[(f64, f64, Option<[f64; 2]>)]) {
    let style = line.style;
    if places.len() > 1 {
        let points: Vec<String> = places
            .iter()
            .map(|(x, y, _)| format!("{x:.1},{y:.1}"))
            .collect();
        put!(
            svg,
            "<polyline class=\"line c{style}\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    for ((x, y, interval), point) in places.iter().zip(line.points.iter().flatten()) {
        if let Some([low, high]) = interval {
            put!(
                svg,
                "<line class=\"whisker c{style}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>"
            );
        }
        let interval = point.1.map_or(String::new(), |[low, high]| {
            format!(" ({} to {})", percent(low), percent(high))
        });
        let text = format!("{}: {} %{interval}", line.name, percent(point.0));
        marker(svg, style, *x, *y, &text);
    }
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

/// A sample of a line's look, for legends.
pub(in crate::report::render::page) fn key(style: usize) -> String {
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
