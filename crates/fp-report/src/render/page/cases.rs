//! Case studies: samples on which an answer flips, with each cell's visual input.

use fp_eval::study::{RunRecord, SampleRecord};
use maud::{Markup, html};

use super::markup::{Section, section};
use super::pictures::Pictures;
use super::roles::{ascending_budgets, protagonists};
use super::view::{View, views};
use crate::analysis::{RIGHT, kept_tokens};
use crate::error::ReportError;
use crate::lookup::records_of;
use crate::render::Source;

/// Number of cases per kind.
const PER_KIND: usize = 2;

/// Description of a kind of case, and whether a sample is one, given the correctness without
/// pruning, under the candidate, under the baseline, and under the oracle.
type Kind = (&'static str, fn(bool, bool, bool, Option<bool>) -> bool);

const KINDS: [Kind; 5] = [
    (
        "Correct because of the tokens kept",
        |vanilla, candidate, baseline, _| vanilla && candidate && !baseline,
    ),
    (
        "Correct under the baseline only",
        |vanilla, candidate, baseline, _| vanilla && !candidate && baseline,
    ),
    (
        "Wrong under both, although the evidence tokens alone suffice",
        |vanilla, candidate, baseline, oracle| {
            vanilla && !candidate && !baseline && oracle == Some(true)
        },
    ),
    ("Won by pruning", |vanilla, candidate, _, _| {
        !vanilla && candidate
    }),
    (
        "Wrong even without pruning",
        |vanilla, candidate, baseline, _| !vanilla && !candidate && !baseline,
    ),
];

/// The cells of a case, with their names.
struct Cast {
    vanilla: usize,
    candidate: usize,
    baseline: usize,
    oracle: Option<usize>,
    shown: Vec<(String, usize)>,
}

fn cast(source: &Source<'_>) -> Option<(String, Cast)> {
    let cell_index = source.cell_index;
    // The tightest budget shows the largest effects.
    let budget = *ascending_budgets(source).first()?;
    let (candidate, baseline) = protagonists(source, budget);
    let (candidate, baseline) = (candidate?, baseline?);
    let mut shown = vec![
        ("vanilla".to_owned(), cell_index.vanilla?),
        (candidate.name(source), candidate.cell),
        (baseline.name(source), baseline.cell),
    ];
    for (name, cell) in [
        ("all_heads", cell_index.all_heads[budget]),
        ("random", cell_index.random[budget].first().copied()),
        ("oracle", cell_index.oracle[budget]),
    ] {
        shown.extend(cell.map(|cell| (name.to_owned(), cell)));
    }
    let at = format!(
        "{}: the strategy and the baseline with the highest means there ({} and {})",
        cell_index.budgets[budget],
        candidate.name(source),
        baseline.name(source)
    );
    Some((
        at,
        Cast {
            vanilla: cell_index.vanilla?,
            candidate: candidate.cell,
            baseline: baseline.cell,
            oracle: cell_index.oracle[budget],
            shown,
        },
    ))
}

pub(super) fn cases(
    source: &Source<'_>,
    pictures: &mut Pictures<'_>,
) -> Result<Option<Section>, ReportError> {
    let Some((at, cast)) = cast(source) else {
        return Ok(None);
    };
    let found = choose(source, &cast);
    if found.is_empty() {
        return Ok(None);
    }
    let lead = format!(
        "At {at}. Dropped patches are dark; boxes frame the evidence. Chosen by rule: the first samples of each kind, of different families where possible."
    );
    let samples = found.iter().map(|(_, sample)| &source.run.records[*sample]);
    if samples
        .clone()
        .all(|sample| views(source.run, sample).is_empty())
    {
        return Ok(None);
    }
    let indices: Vec<usize> = samples.clone().map(|sample| sample.index).collect();
    let records = records_of(source.run, &indices)?;
    let mut cases: Vec<Markup> = Vec::new();
    for (((kind, _), sample), record) in found.iter().zip(samples).zip(&records) {
        let picture = pictures.in_page(sample);
        let views = views(source.run, sample);
        cases.push(case(picture, &views, &cast, kind, record));
    }
    let content = html! { @for case in cases { (case) } };
    Ok(Some(section("cases", "Case studies", &lead, content)))
}

/// Kinds and samples; those with boxes first, then by index.
fn choose(source: &Source<'_>, cast: &Cast) -> Vec<(&'static str, usize)> {
    let records = &source.run.records;
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|&sample| records[sample].boxes.is_empty());
    let mut found: Vec<(&'static str, usize)> = Vec::new();
    for (kind, fits) in KINDS {
        let fitting: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&sample| {
                let right = |cell: usize| Some(source.run.columns.scores[cell][sample]? >= RIGHT);
                let all = (
                    right(cast.vanilla),
                    right(cast.candidate),
                    right(cast.baseline),
                );
                matches!(all, (Some(v), Some(c), Some(b))
                    if fits(v, c, b, cast.oracle.and_then(right)))
            })
            .collect();
        let mut chosen: Vec<usize> = Vec::new();
        for wants_new_family in [true, false] {
            for &sample in &fitting {
                let family = &records[sample].family;
                let is_known = chosen.iter().any(|&other| records[other].family == *family);
                if chosen.len() < PER_KIND
                    && !chosen.contains(&sample)
                    && (!wants_new_family || !is_known)
                {
                    chosen.push(sample);
                }
            }
        }
        found.extend(chosen.into_iter().map(|sample| (kind, sample)));
    }
    found
}

fn case(
    picture: Option<usize>,
    views: &[View],
    cast: &Cast,
    kind: &str,
    record: &SampleRecord,
) -> Markup {
    let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
    html! {
        article.case {
            p.kind { (kind) " · " (record.family) " · " (record.id) }
            h3 { (record.question) }
            p { "Right answer: " b { (record.answers.join(" / ")) } }
            div.maps {
                @for (name, cell) in &cast.shown {
                    @if let Some(run) = record.run_of(*cell) {
                        figure {
                            (drawn(views, picture, kept_tokens(record, *cell), num_tokens, name))
                            figcaption { (name) br; (answer(run)) }
                        }
                    }
                }
            }
        }
    }
}

fn answer(run: &RunRecord) -> Markup {
    let (sign, word) = if run.score >= RIGHT {
        ("✓", "right")
    } else {
        ("✗", "wrong")
    };
    html! {
        span class=(word) {
            span aria-hidden="true" { (sign) } " "
            @if run.text.is_empty() { "(empty)" } @else { (run.text) }
            span.ear { " (" (word) ")" }
        }
    }
}

/// The picture of each grid with dropped patches darkened and boxes framed.
fn drawn(
    views: &[View],
    picture: Option<usize>,
    kept: Option<&[usize]>,
    num_tokens: usize,
    name: &str,
) -> Markup {
    let what = match kept {
        None => "every patch".to_owned(),
        Some(kept) => format!("{} of {num_tokens} patches kept", kept.len()),
    };
    html! {
        @for (index, view) in views.iter().enumerate() {
            @let grid = match views.len() {
                1 => String::new(),
                count => format!(", grid {} of {count}", index + 1),
            };
            (view.draw(picture, kept, &format!("{name}: {what}{grid}")))
        }
    }
}
