//! Published and re-run figures beside those of the run.

use fp_eval::format::fixed;
use maud::{Markup, html};

use super::markup::{Field, Section, Table, section};
use crate::published::PublishedComparison;
use crate::render::Source;
use crate::render::published::{LEGEND, described, questions};

/// `None` where the run is about nothing that was published.
pub(super) fn published(source: &Source<'_>) -> Option<Section> {
    let published = source.analysis.published.as_ref()?;
    let content = match &published.why_none {
        Some(why) => html! { p { (why) } },
        None => rows(published),
    };
    let title = "Published and re-run figures";
    let lead = published.model.unwrap_or_default();
    Some(section("published", title, lead, content))
}

fn rows(published: &PublishedComparison) -> Markup {
    let mut table = Table::new(
        "Published and re-run figures",
        "plain",
        &[
            "cell",
            "dataset",
            "figure",
            "B",
            "questions",
            "measured here",
            "published",
            "its budget",
            "origin",
            "source",
        ],
    );
    let one = |value: f64| Field::exact(fixed(value, 1), value);
    for own in &published.figures {
        for other in &own.published {
            table.row([
                Field::Head(own.cell.clone()),
                Field::Text(own.dataset.clone()),
                Field::Text(own.column.title().to_owned()),
                one(own.average_visual_tokens),
                Field::Number(questions(own)),
                one(own.measured),
                one(other.value),
                Field::count(other.visual_tokens),
                Field::Text(other.origin.name().to_owned()),
                Field::Text(described(other)),
            ]);
        }
    }
    html! {
        p.small { (LEGEND) }
        (table)
    }
}
