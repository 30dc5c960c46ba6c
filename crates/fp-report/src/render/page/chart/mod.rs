//! Charts as SVG. Panels are drawn at about the size at which a phone shows them, so that their
//! text stays readable, and are side by side on wider pages. A chart that needs the page's width is
//! drawn twice, and the style sheet shows one of the two.

mod forest;
mod lines;
mod scatter;

pub(super) use forest::{ForestRow, forest};
pub(super) use lines::{Frame, Point, Series, key, lines};
pub(super) use scatter::{Dot, scatter};

use fp_eval::format::percent;
use maud::{Markup, Render, html};

/// Width of a panel in units, close to pixels.
const NARROW: f64 = 350.0;
/// Width of a chart that takes the page's full width.
const WIDE: f64 = 860.0;
const FONT: f64 = 12.0;
/// Font size of a wide chart, which may be shown slightly smaller than drawn.
const WIDE_FONT: f64 = 13.0;
/// Upper estimate of the width of a character.
const LETTER: f64 = 7.0;
/// Longest name that is written in full, in characters.
const MOST_LETTERS: usize = 25;

/// A chart for narrow and one for wide pages; the style sheet shows the one that fits.
pub(super) fn both(draw: impl Fn(f64) -> Markup) -> Markup {
    html! {
        div.for-wide { (draw(WIDE)) }
        div.for-narrow { (draw(NARROW)) }
    }
}

/// Vertical scale of accuracies, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale with round bounds around all `values`.
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

    /// A horizontal line from `left` to `right` at every tick, with its value in % before it; the
    /// scale extends from `bottom` up to `top`.
    fn rules(self, [left, right]: [f64; 2], [bottom, top]: [f64; 2]) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let y = self.place(tick, bottom, top);
                line.grid x1=(left) x2=(right) y1=(px(y)) y2=(px(y)) {}
                text.tick text-anchor="end" x=(px(left - 5.0)) y=(px(y + 4.0)) {
                    (format!("{:.0}", 100.0 * tick))
                }
            }
        }
    }

    fn place(self, value: f64, from: f64, to: f64) -> f64 {
        let span = (self.high - self.low).max(1e-9);
        from + (value.clamp(self.low, self.high) - self.low) / span * (to - from)
    }
}

/// Parts of a whole as one bar, each with its name and share. Parts are styled by their index.
pub(super) fn stacked_bar(title: &str, parts: &[(String, f64)], width: f64) -> Markup {
    let total: f64 = parts.iter().map(|(_, value)| value).sum();
    let whole = width - 2.0;
    let mut x = 1.0;
    let parts = parts.iter().enumerate().map(|(index, (name, value))| {
        let share = value / total.max(f64::MIN_POSITIVE);
        let drawn = part(index, name, share, [x, share * whole]);
        x += share * whole;
        drawn
    });
    let parts: Vec<Markup> = parts.collect();
    svg(width, 46.0, title, html! { @for part in parts { (part) } })
}

fn part(index: usize, name: &str, share: f64, [x, width]: [f64; 2]) -> Markup {
    html! {
        g {
            title { (name) ": " (percent(share)) " %" }
            rect class={ "part c" (index) } x=(px(x)) y="6" width=(px(width)) height="34" {}
            // A number is only written where it fits.
            @if width > 34.0 {
                text.inside text-anchor="middle" x=(px(x + width / 2.0)) y="27" {
                    (format!("{:.0} %", 100.0 * share))
                }
            }
        }
    }
}

/// A coordinate or length, to a tenth of a unit.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A name that fits: a longer one is shortened in the middle.
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

fn svg(width: f64, height: f64, title: &str, content: impl Render) -> Markup {
    let font = if width > NARROW { WIDE_FONT } else { FONT };
    let view = format!("0 0 {width} {height:.0}");
    html! {
        svg.chart viewBox=(view) font-size=(font) role="img" aria-label=(title) { (content) }
    }
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
}
