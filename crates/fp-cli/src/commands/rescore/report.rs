//! The tables of `finepruner rescore`.

use fp_data::dataset::Dataset;
use fp_data::rescore::{Comparison, Figures, Scored};
use fp_eval::format::{fixed, p_fixed, signed};

use super::{health, reported};
use crate::table::table;

/// Decimals of p values.
const P_DIGITS: usize = 4;
/// Files per table.
const FILES_PER_TABLE: usize = 4;
/// Placeholder for an undefined figure; the reason is below the table.
pub(super) const MISSING: &str = "–";

/// Tables of figures, breakdowns and comparisons; `order` says what a and b are.
pub(super) fn text(
    dataset: &Dataset,
    scored: &[Scored],
    comparisons: &[Comparison],
    order: &str,
) -> String {
    let mut text = format!(
        "{} ({}), {} questions\n",
        dataset.name,
        dataset.split,
        dataset.samples.len()
    );
    for note in &dataset.notes {
        text += &format!("note: {note}\n");
    }
    text += &notes(scored);
    for scored in scored.chunks(FILES_PER_TABLE) {
        text += &format!("\n{}\n", figures(scored));
        text += &undefined(scored);
        text += &figure_notes(scored);
        for place in 0..scored[0].figures.groups.len() {
            text += &format!("\n{}\n", groups(scored, place));
        }
        text += &reported::text(scored);
        text += &health::text(scored);
    }
    if !comparisons.is_empty() {
        text += &format!("\n{}\n", pairs(comparisons));
        text += &no_test(comparisons);
        text += &no_interval(comparisons);
        text += &format!(
            "\nDifferences a − b ({order}) in percentage points, clustered by image: score \
             interval, sign-flip p, and p after Holm's correction over these pairs. The last \
             column counts the questions that only a and only b answers correctly."
        );
        if comparisons.iter().any(|pair| pair.headline.is_some()) {
            text += " For headline, which is not a mean over questions: bootstrap interval \
                     and label-swap p.";
        }
        let is_soft = |pair: &Comparison| {
            let paired = pair.paired.as_ref();
            paired.is_some_and(|paired| paired.discordant.is_none())
        };
        if comparisons.iter().any(is_soft) {
            text += &format!(" {MISSING} is printed where some score is neither 0 nor 1.");
        }
        text += "\n";
    }
    text
}

/// Evidence for the matching of answers, each note once with the files it applies to.
fn notes(scored: &[Scored]) -> String {
    let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
    for scored in scored {
        for note in &scored.joined.notes {
            match notes.iter_mut().find(|(other, _)| other == note) {
                Some((_, names)) => names.push(&scored.name),
                None => notes.push((note, vec![&scored.name])),
            }
        }
    }
    let line = |(note, names): (&str, Vec<&str>)| format!("note: {}: {note}\n", names.join(", "));
    notes.into_iter().map(line).collect()
}

fn header<'a>(first: &'a str, scored: &'a [Scored]) -> Vec<&'a str> {
    let names = scored.iter().map(|scored| scored.name.as_str());
    std::iter::once(first).chain(names).collect()
}

fn right(scored: &[Scored]) -> Vec<usize> {
    (1..=scored.len()).collect()
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| fixed(value, 2))
}

/// Reasons for undefined figures, each once with the figures and files it applies to.
fn undefined(scored: &[Scored]) -> String {
    let mut text = String::new();
    for figure in &scored[0].figures.figures {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for scored in scored {
            let mut all = scored.figures.figures.iter();
            let of = all.find(|other| other.name == figure.name);
            let Some(because) = of.and_then(|of| of.undefined.as_deref()) else {
                continue;
            };
            match reasons.iter_mut().find(|(other, _)| *other == because) {
                Some((_, names)) => names.push(&scored.name),
                None => reasons.push((because, vec![&scored.name])),
            }
        }
        for (because, names) in reasons {
            let of = if names.len() == scored.len() {
                String::new()
            } else {
                format!(" of {}", names.join(", "))
            };
            text += &format!("{MISSING} {}{of}: {because}\n", figure.name);
        }
    }
    text
}

/// Notes on values, with the figures and files they apply to.
fn figure_notes(scored: &[Scored]) -> String {
    let mut text = String::new();
    for scored in scored {
        for figure in &scored.figures.figures {
            if let Some(note) = &figure.note {
                text += &format!("* {} of {}: {note}\n", figure.name, scored.name);
            }
        }
    }
    text
}

/// Why pairs have no test.
fn no_test(comparisons: &[Comparison]) -> String {
    let lines = comparisons.iter().filter_map(|pair| {
        let because = pair.no_paired.as_ref()?;
        Some(format!(
            "{MISSING} score of {} − {}: {because}\n",
            pair.a, pair.b
        ))
    });
    lines.collect()
}

/// Why headline figures have no interval, or can't be compared.
fn no_interval(comparisons: &[Comparison]) -> String {
    let lines = comparisons.iter().filter_map(|pair| {
        let no_interval = pair.headline.as_ref().and_then(|of| of.no_interval);
        let no_interval = no_interval.map(|reason| reason.to_string());
        let because = pair.no_headline.clone().or(no_interval)?;
        Some(format!(
            "{MISSING} headline of {} − {}: {because}\n",
            pair.a, pair.b
        ))
    });
    lines.collect()
}

fn figures(scored: &[Scored]) -> String {
    let rows: Vec<Vec<String>> = scored[0]
        .figures
        .figures
        .iter()
        .map(|figure| {
            let of = |figures: &Figures| {
                let mut all = figures.figures.iter();
                number(
                    all.find(|other| other.name == figure.name)
                        .and_then(|f| f.value),
                )
            };
            let values = scored.iter().map(|scored| of(&scored.figures));
            std::iter::once(figure.name.clone()).chain(values).collect()
        })
        .collect();
    table(&header("figure", scored), &rows, &right(scored))
}

fn groups(scored: &[Scored], place: usize) -> String {
    let first = &scored[0].figures.groups[place];
    let rows: Vec<Vec<String>> = first
        .scores
        .groups
        .iter()
        .map(|(name, group)| {
            let of = |scored: &Scored| {
                let groups = scored.figures.groups.get(place)?;
                groups.scores.groups.get(name)?.percent()
            };
            let values = scored.iter().map(|scored| number(of(scored)));
            let name = format!("{name} ({})", group.count);
            std::iter::once(name).chain(values).collect()
        })
        .collect();
    let by = format!("by {}", first.by);
    table(&header(&by, scored), &rows, &right(scored))
}

fn pairs(comparisons: &[Comparison]) -> String {
    let points = |value: f64| signed(100.0 * value, 2);
    let mut rows = Vec::new();
    let missing = || MISSING.to_owned();
    for pair in comparisons {
        let mut row = vec![
            format!("{} − {}", pair.a, pair.b),
            "score".to_owned(),
            pair.difference.map_or_else(missing, points),
        ];
        row.extend(match &pair.paired {
            Some(paired) => [
                format!(
                    "{} to {}",
                    points(paired.interval.low),
                    points(paired.interval.high)
                ),
                p_fixed(paired.p, P_DIGITS),
                pair.p_holm.map_or_else(missing, |p| p_fixed(p, P_DIGITS)),
                paired
                    .discordant
                    .map_or_else(missing, |d| format!("{}, {}", d.b, d.c)),
            ],
            None => [MISSING; 4].map(str::to_owned),
        });
        rows.push(row);
        let row = |cells: [String; 3]| {
            let name = [String::new(), "headline".to_owned()];
            let rest = [String::new(), String::new()];
            name.into_iter().chain(cells).chain(rest).collect()
        };
        if let Some(headline) = &pair.headline {
            rows.push(row([
                signed(headline.difference, 2),
                headline.interval.map_or_else(
                    || MISSING.to_owned(),
                    |interval| {
                        format!(
                            "{} to {}",
                            signed(interval.low, 2),
                            signed(interval.high, 2)
                        )
                    },
                ),
                p_fixed(headline.p, P_DIGITS),
            ]));
        } else if pair.no_headline.is_some() {
            rows.push(row([MISSING; 3].map(str::to_owned)));
        }
    }
    let header = [
        "a − b",
        "of",
        "difference",
        "95 % interval",
        "p",
        "p (Holm)",
        "only a, b",
    ];
    table(&header, &rows, &[2, 3, 4, 5, 6])
}
