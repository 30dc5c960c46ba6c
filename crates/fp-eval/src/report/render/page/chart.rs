//! Charts as SVG. Panels are drawn at about the size at which a phone shows them, so
//! that their text stays readable, and stand side by side on wider pages.

use super::markup::{escape, put};
use crate::report::format::{fixed, percent, signed_points};

/// Width of a panel in its own units, close to pixels.
const WIDTH: f64 = 350.0;
const FONT: f64 = 12.0;
/// Width of a letter, on the safe side.
const LETTER: f64 = 7.0;
/// Longest name that is written in full.
const MOST_LETTERS: usize = 25;

/// One line of a [`lines`] panel.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which colour, marker and dash.
    pub(super) style: usize,
    /// One value per position along x, with its interval.
    pub(super) points: Vec<Option<(f64, Option<[f64; 2]>)>>,
}

/// Vertical scale of accuracies, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// Round ends around all `values`.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Scale {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Scale {
                low: 0.0,
                high: 1.0,
                step: 0.2,
            };
        }
        let span = (high - low).max(0.02);
        let step = [0.01, 0.02, 0.05, 0.1, 0.2]
            .into_iter()
            .find(|step| span / step <= 6.0)
            .unwrap_or(0.2);
        Scale {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
        }
    }

    fn ticks(self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count)
            .map(|tick| self.low + tick as f64 * self.step)
            .collect()
    }

    fn place(self, value: f64, from: f64, to: f64) -> f64 {
        let span = (self.high - self.low).max(1e-9);
        from + (value.clamp(self.low, self.high) - self.low) / span * (to - from)
    }
}

/// Accuracy by budget: lines with intervals. `labels` are written along x; with
/// `is_labelled` each line bears its name at its right end.
pub(super) fn lines(
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
fn marker(svg: &mut String, style: usize, x: f64, y: f64, text: &str) {
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
pub(super) fn key(style: usize) -> String {
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

/// One row of a [`forest`].
#[derive(Debug, Clone)]
pub(super) struct ForestRow {
    pub(super) name: String,
    pub(super) difference: f64,
    pub(super) interval: [f64; 2],
    /// `better`, `worse`, `equivalent` or `undecided`.
    pub(super) outcome: &'static str,
    pub(super) tooltip: String,
    /// First of its strategy: set off by some room.
    pub(super) is_first: bool,
}

/// Differences with intervals, one row each, with the margin of equivalence as a band.
/// `bounds` are common to panels that stand side by side.
pub(super) fn forest(title: &str, rows: &[ForestRow], bounds: [f64; 2], margin: f64) -> String {
    let (row_height, gap) = (17.0, 5.0);
    let gaps = rows.iter().filter(|row| row.is_first).count() as f64;
    let letters = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let left = 10.0 + LETTER * letters.min(MOST_LETTERS) as f64;
    let (right, top) = (WIDTH - 44.0, 8.0);
    let bottom = top + rows.len() as f64 * row_height + gaps * gap;
    let scale = Scale::around(bounds.into_iter());
    let place = |value: f64| scale.place(value, left, right);
    let mut svg = open(bottom + 40.0, title);
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
        WIDTH - 2.0,
        y + 4.0,
        signed_points(row.difference)
    );
}

/// A name that fits: where it is too long, its middle gives way.
fn shorten(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MOST_LETTERS {
        return name.to_owned();
    }
    let (head, tail) = (MOST_LETTERS / 2, MOST_LETTERS - MOST_LETTERS / 2 - 1);
    let start: String = letters[..head].iter().collect();
    let end: String = letters[letters.len() - tail..].iter().collect();
    format!("{start}…{end}")
}

fn whole_points(value: f64) -> String {
    let points = 100.0 * value;
    let digits = usize::from((points - points.round()).abs() > 1e-6);
    fixed(points, digits)
}

/// Parts of a whole as one bar: name, share, and what a reader sees beside it.
pub(super) fn stacked_bar(title: &str, parts: &[(String, f64)]) -> String {
    let total: f64 = parts.iter().map(|(_, value)| value).sum();
    let mut svg = open(46.0, title);
    let mut x = 1.0;
    for (index, (name, value)) in parts.iter().enumerate() {
        let share = value / total.max(f64::MIN_POSITIVE);
        let width = share * (WIDTH - 2.0);
        put!(
            &mut svg,
            "<g><title>{}: {} %</title><rect class=\"part c{index}\" x=\"{x:.1}\" y=\"6\" width=\"{width:.1}\" height=\"34\"/>",
            escape(name),
            percent(share)
        );
        // A number only where it fits.
        if width > 34.0 {
            put!(
                &mut svg,
                "<text class=\"inside\" text-anchor=\"middle\" x=\"{:.1}\" y=\"27\">{:.0} %</text>",
                x + width / 2.0,
                100.0 * share
            );
        }
        svg.push_str("</g>");
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-size=\"{FONT}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        let scale = Scale::around([0.413, 0.778].into_iter());
        assert_eq!((scale.low, scale.step), (0.4, 0.1));
        assert!((scale.high - 0.8).abs() < 1e-12);
        assert_eq!(scale.ticks().len(), 5);
        assert_eq!(scale.place(0.6, 100.0, 0.0).round(), 50.0);
        assert_eq!(Scale::around(std::iter::empty()).ticks().len(), 6);
    }

    #[test]
    fn long_names_give_way_in_the_middle() {
        assert_eq!(shorten("entropy, h = 4"), "entropy, h = 4");
        let short = shorten("weighted_quality+max_attention_token 16");
        assert_eq!(short.chars().count(), MOST_LETTERS);
        assert!(
            short.starts_with("weighted_qua") && short.ends_with("on_token 16"),
            "{short}"
        );
    }

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
