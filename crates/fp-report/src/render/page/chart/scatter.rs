//! Values against costs, with the Pareto front.

use std::fmt::Write as _;

use fp_eval::format::percent;
use maud::{Markup, html};

use super::lines::marker;
use super::{FONT, LETTER, NARROW, Scale, px, svg};

/// One point of a [`scatter`].
#[derive(Debug, Clone)]
pub(in crate::render::page) struct Dot {
    pub(in crate::render::page) name: String,
    /// Index of colour and marker.
    pub(in crate::render::page) style: usize,
    /// Position along x, at least 0.
    pub(in crate::render::page) cost: f64,
    /// Position along y, 0 to 1.
    pub(in crate::render::page) value: f64,
    /// Whether it is on the Pareto front.
    pub(in crate::render::page) is_on_front: bool,
}

/// Accuracy against a cost that starts at 0. Points on the front have a ring and are joined by
/// steps: points to the right of or below the line are dominated.
pub(in crate::render::page) fn scatter(
    title: &str,
    axis: &str,
    dots: &[Dot],
    scale: Scale,
    format: fn(f64) -> String,
) -> Markup {
    let height = 300.0;
    let (left, right, top, bottom) = (34.0, NARROW - 12.0, 10.0, height - 40.0);
    let ticks = cost_ticks(dots.iter().map(|dot| dot.cost).fold(0.0, f64::max));
    let most = ticks.last().copied().unwrap_or(1.0);
    let x = |cost: f64| left + cost / most * (right - left);
    let tooltip = |dot: &Dot| {
        let (value, cost) = (percent(dot.value), format(dot.cost));
        format!("{}: {value} % at {cost}", dot.name)
    };
    let content = html! {
        (scale.rules([left, right], [bottom, top]))
        @for tick in &ticks {
            @let text = format(*tick);
            // The last label must not cross the edge.
            @let most = NARROW - 0.5 * LETTER * text.chars().count() as f64;
            @let (x, y) = (x(*tick).min(most), bottom + FONT + 4.0);
            text.tick text-anchor="middle" x=(px(x)) y=(px(y)) { (text) }
        }
        text.axis text-anchor="middle" x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) { (axis) }
        @if let Some(steps) = front(dots, scale, &x, [top, bottom, right]) {
            path.front d=(steps) {}
        }
        @for dot in dots {
            @let (x, y) = (x(dot.cost), scale.place(dot.value, bottom, top));
            @if dot.is_on_front {
                circle.ring cx=(px(x)) cy=(px(y)) r="7.5" {}
            }
            (marker(dot.style, x, y, &tooltip(dot)))
        }
    };
    svg(NARROW, height, title, content)
}

/// Steps along the front, from its cheapest point to the right edge.
fn front(
    dots: &[Dot],
    scale: Scale,
    x: &dyn Fn(f64) -> f64,
    [top, bottom, right]: [f64; 3],
) -> Option<String> {
    let mut points: Vec<(f64, f64)> = dots
        .iter()
        .filter(|dot| dot.is_on_front)
        .map(|dot| (x(dot.cost), scale.place(dot.value, bottom, top)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, rest) = points.split_first()?;
    let mut path = format!("M{:.1} {:.1}", first.0, first.1);
    for point in rest {
        // Writing to a string can't fail.
        let _ = write!(path, "H{:.1}V{:.1}", point.0, point.1);
    }
    let _ = write!(path, "H{right:.1}");
    Some(path)
}

/// Up to six round numbers from 0 to beyond `most`.
fn cost_ticks(most: f64) -> Vec<f64> {
    if !(most.is_finite() && most > 0.0) {
        return vec![0.0, 1.0];
    }
    let power = 10.0_f64.powf((most / 5.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| most / step <= 5.0);
    let step = step.unwrap_or(10.0 * power);
    let count = (most / step).ceil() as usize;
    (0..=count).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(cost_ticks(47.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(cost_ticks(0.3), [0.0, 0.1, 0.2, 0.30000000000000004]);
        assert_eq!(cost_ticks(1234.0).last(), Some(&1250.0));
        assert_eq!(cost_ticks(0.0), [0.0, 1.0]);
        for most in [0.013, 0.9, 7.0, 88.0, 3.817e12] {
            let ticks = cost_ticks(most);
            assert!((2..=6).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= most);
        }
    }

    #[test]
    fn the_front_is_ringed() {
        let dot = |name: &str, cost, value, is_on_front| Dot {
            name: name.to_owned(),
            style: 0,
            cost,
            value,
            is_on_front,
        };
        let dots = [dot("a<b", 10.0, 0.8, true), dot("c", 12.0, 0.7, false)];
        let scale = Scale::around([0.7, 0.8].into_iter());
        let svg = scatter("t", "ms", &dots, scale, |ms| format!("{ms:.0} ms"));
        let svg = svg.into_string();
        assert_eq!(svg.matches("class=\"ring\"").count(), 1);
        assert_eq!(svg.matches("class=\"front\"").count(), 1);
        assert!(svg.contains("a&lt;b: 80.0 % at 10 ms"));
    }
}
