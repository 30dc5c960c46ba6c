//! Case studies: samples on which something flips, with what each cell saw.

use super::markup::{escape, put, section};
use super::pictures::{Pictures, boxes_on_grid};
use super::roles::{ascending_budgets, protagonists};
use crate::analysis::{RIGHT, kept_tokens};
use crate::render::Source;
use fp_eval::study::SampleRecord;

/// Cases per kind.
const PER_KIND: usize = 2;

/// What a case shows, and when a sample does: right without pruning, under the
/// candidate, under the baseline, and under the oracle.
type Kind = (&'static str, fn(bool, bool, bool, Option<bool>) -> bool);

const KINDS: [Kind; 5] = [
    (
        "Right by the choice of tokens",
        |vanilla, candidate, baseline, _| vanilla && candidate && !baseline,
    ),
    ("The other way round", |vanilla, candidate, baseline, _| {
        vanilla && !candidate && baseline
    }),
    (
        "Lost under both, though the evidence alone would do",
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

/// Cells of a case, each with its name.
struct Cast {
    vanilla: usize,
    candidate: usize,
    baseline: usize,
    oracle: Option<usize>,
    shown: Vec<(String, usize)>,
}

fn cast(source: &Source<'_>) -> Option<(String, Cast)> {
    let roster = source.roster;
    // The tightest budget shows most.
    let budget = *ascending_budgets(source).first()?;
    let (candidate, baseline) = protagonists(source, budget);
    let (candidate, baseline) = (candidate?, baseline?);
    let mut shown = vec![
        ("vanilla".to_owned(), roster.vanilla?),
        (candidate.name(source), candidate.cell),
        (baseline.name(source), baseline.cell),
    ];
    for (name, cell) in [
        ("all_heads", roster.all_heads[budget]),
        ("random", roster.random[budget].first().copied()),
        ("oracle", roster.oracle[budget]),
    ] {
        shown.extend(cell.map(|cell| (name.to_owned(), cell)));
    }
    let at = format!(
        "{}: the strategy and the baseline with the highest means there ({} and {})",
        roster.budgets[budget],
        candidate.name(source),
        baseline.name(source)
    );
    Some((
        at,
        Cast {
            vanilla: roster.vanilla?,
            candidate: candidate.cell,
            baseline: baseline.cell,
            oracle: roster.oracle[budget],
            shown,
        },
    ))
}

pub(super) fn cases(source: &Source<'_>, pictures: &mut Pictures<'_>, out: &mut String) {
    let (Some((at, cast)), Some(side)) = (cast(source), source.run.grid_side()) else {
        return;
    };
    let found = choose(source, &cast);
    if found.is_empty() {
        return;
    }
    section(
        out,
        "cases",
        "Case studies",
        &format!(
            "At {at}. Dropped patches are dark; boxes frame the evidence. Chosen by rule: the first samples of each kind, of different families where possible."
        ),
    );
    for (kind, sample) in found {
        let record = &source.run.records[sample];
        case(source, pictures, &cast, kind, record, side, out);
    }
    out.push_str("</section>\n");
}

fn is_right(record: &SampleRecord, cell: usize) -> Option<bool> {
    Some(record.run_of(cell)?.score >= RIGHT)
}

/// Kind and sample; those with boxes first, then by index.
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
                let right = |cell: usize| is_right(&records[sample], cell);
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
    source: &Source<'_>,
    pictures: &mut Pictures<'_>,
    cast: &Cast,
    kind: &str,
    record: &SampleRecord,
    side: usize,
    out: &mut String,
) {
    put!(
        out,
        "<article class=\"case\"><p class=\"kind\">{} · {} · {}</p><h3>{}</h3><p>Right answer: <b>{}</b></p><div class=\"maps\">\n",
        escape(kind),
        escape(&record.family),
        escape(&record.id),
        escape(&record.question),
        escape(&record.answers.join(" / "))
    );
    let picture = pictures.in_page(record);
    let boxes = boxes_on_grid(source.run, record);
    for (name, cell) in &cast.shown {
        let Some(run) = record.run_of(*cell) else {
            continue;
        };
        let right = run.score >= RIGHT;
        let (sign, word) = if right {
            ("✓", "right")
        } else {
            ("✗", "wrong")
        };
        let kept = kept_tokens(record, *cell);
        put!(
            out,
            "<figure>{}<figcaption>{}<br><span class=\"{word}\"><span aria-hidden=\"true\">{sign}</span> {}<span class=\"ear\"> ({word})</span></span></figcaption></figure>\n",
            view(picture, &boxes, kept, side, name),
            escape(name),
            escape(if run.text.is_empty() {
                "(empty)"
            } else {
                &run.text
            })
        );
    }
    out.push_str("</div></article>\n");
}

/// The picture with dropped patches darkened and boxes framed.
fn view(
    picture: Option<usize>,
    boxes: &[[f64; 4]],
    kept: Option<&[usize]>,
    side: usize,
    name: &str,
) -> String {
    let what = match kept {
        None => "every patch".to_owned(),
        Some(kept) => format!("{} of {} patches kept", kept.len(), side * side),
    };
    let mut svg = format!(
        "<svg class=\"view\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{}: {what}\"><rect class=\"ground\" width=\"{side}\" height=\"{side}\"/>",
        escape(name)
    );
    if let Some(picture) = picture {
        put!(&mut svg, "<use href=\"#picture-{picture}\"/>");
    }
    if let Some(kept) = kept {
        let mut path = String::new();
        for token in (0..side * side).filter(|token| !kept.contains(token)) {
            put!(&mut path, "M{} {}h1v1h-1z", token % side, token / side);
        }
        put!(&mut svg, "<path class=\"dropped\" d=\"{path}\"/>");
    }
    for [x, y, width, height] in boxes {
        put!(
            &mut svg,
            "<rect class=\"box\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"/>"
        );
    }
    svg.push_str("</svg>");
    svg
}
