//! The tables of `finepruner rescore`.

use fp_data::dataset::Dataset;
use fp_data::rescore::{Comparison, Figures, Scored};

use crate::table::table;

/// Files beside each other in one table.
const FILES_PER_TABLE: usize = 4;

/// Figures, breakdowns and comparisons.
pub(super) fn text(dataset: &Dataset, scored: &[Scored], comparisons: &[Comparison]) -> String {
    let mut text = format!(
        "{} ({}), {} questions\n",
        dataset.name,
        dataset.split,
        dataset.samples.len()
    );
    for note in &dataset.notes {
        text += &format!("note: {note}\n");
    }
    for scored in scored.chunks(FILES_PER_TABLE) {
        text += &format!("\n{}\n", figures(scored));
        for place in 0..scored[0].figures.groups.len() {
            text += &format!("\n{}\n", groups(scored, place));
        }
    }
    if !comparisons.is_empty() {
        text += &format!("\n{}\n", pairs(comparisons));
        text += "\nDifferences a − b in percentage points, clustered by image: bootstrap interval, \
                 sign-flip p, and p after Holm's correction over these pairs. The last column \
                 counts the questions that only a and only b answers correctly.\n";
    }
    text
}

fn header<'a>(first: &'a str, scored: &'a [Scored]) -> Vec<&'a str> {
    let names = scored.iter().map(|scored| scored.name.as_str());
    std::iter::once(first).chain(names).collect()
}

fn right(scored: &[Scored]) -> Vec<usize> {
    (1..=scored.len()).collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
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
    let points = |value: f64| format!("{:+.2}", 100.0 * value);
    let mut rows = Vec::new();
    for pair in comparisons {
        let paired = &pair.paired;
        let discordant = paired.discordant;
        rows.push(vec![
            format!("{} − {}", pair.a, pair.b),
            "score".to_owned(),
            points(paired.difference),
            format!(
                "{} to {}",
                points(paired.interval.low),
                points(paired.interval.high)
            ),
            format!("{:.4}", paired.p),
            format!("{:.4}", pair.p_holm),
            discordant.map_or_else(|| "–".to_owned(), |d| format!("{}, {}", d.b, d.c)),
        ]);
        if let Some(headline) = &pair.headline {
            rows.push(vec![
                String::new(),
                "headline".to_owned(),
                format!("{:+.2}", headline.difference),
                headline.interval.map_or_else(
                    || "–".to_owned(),
                    |interval| format!("{:+.2} to {:+.2}", interval.low, interval.high),
                ),
                format!("{:.4}", headline.p),
                String::new(),
                String::new(),
            ]);
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
