//! `report.html`: one page that needs nothing else, to be read by people.
//!
//! Written in sections, the verdict first. Charts are SVG, heat maps are tables with
//! shaded cells, so that every number can be read, copied and heard. The script only
//! switches between groups and runs the sample explorer.

mod accuracy;
mod audit;
mod base64;
mod cases;
mod chart;
mod cost;
mod datasets;
mod differences;
mod efficiency;
mod explorer;
mod findings;
mod flips;
mod image_sources;
mod maps;
mod markup;
mod pictures;
mod provenance;
mod quality;
mod roles;

use self::markup::{escape, put};
use self::pictures::Pictures;
use super::Source;
use crate::report::error::ReportError;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Most bytes of pictures in a page.
const MOST_PICTURE_BYTES: usize = 2_200_000;

/// The whole page.
pub(crate) fn page(source: &Source<'_>) -> Result<String, ReportError> {
    let mut body = String::new();
    let mut pictures = Pictures::new(source.run, MOST_PICTURE_BYTES);
    findings::header(source, &mut body);
    accuracy::curves(source, &mut body);
    differences::differences(source, &mut body);
    differences::heat_map(source, &mut body);
    datasets::datasets(source, &mut body);
    findings::best(source, &mut body);
    findings::hypotheses(source, &mut body);
    maps::head_usage(source, &mut body);
    maps::agreement(source, &mut body);
    maps::retention(source, &mut body);
    quality::quality(source, &mut body);
    cost::cost(source, &mut body);
    efficiency::efficiency(source, &mut body);
    flips::flips(source, &mut body);
    audit::audit(source, &mut body);
    cases::cases(source, &mut pictures, &mut body);
    explorer::explorer(source, &mut pictures, &mut body)?;
    provenance::provenance(source, &mut body);
    let title = format!(
        "FinePruner, study {}: {}",
        source.run.spec.config.study.name(),
        source.analysis.verdict.headline
    );
    let mut page = String::with_capacity(body.len() + (3 << 20));
    put!(
        &mut page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\"><title>{}</title><style>\n{STYLE}</style></head>\n<body><a class=\"skip\" href=\"#main\">Skip to the verdict</a>",
        escape(&title)
    );
    navigation(&body, &mut page);
    definitions(source, &pictures, &mut page);
    put!(
        &mut page,
        "<main id=\"main\">\n{body}</main>\n<script>\n{SCRIPT}</script></body></html>\n"
    );
    Ok(page)
}

/// Links to the sections that the page has.
fn navigation(body: &str, page: &mut String) {
    const SECTIONS: [(&str, &str); 18] = [
        ("verdict", "Verdict"),
        ("accuracy", "Accuracy"),
        ("differences", "Differences"),
        ("heat", "Heat map"),
        ("datasets", "Data sets"),
        ("best", "Best of many"),
        ("hypotheses", "Hypotheses"),
        ("heads", "Heads"),
        ("agreement", "Agreement"),
        ("retention", "Retention"),
        ("quality", "Token quality"),
        ("cost", "Time and cost"),
        ("efficiency", "Efficiency"),
        ("flips", "Flips"),
        ("audit", "Audit"),
        ("cases", "Cases"),
        ("explorer", "Explorer"),
        ("run", "What was run"),
    ];
    page.push_str("<nav aria-label=\"Sections\"><div>");
    for (id, name) in SECTIONS {
        if body.contains(&format!(" id=\"{id}\"")) {
            put!(page, "<a href=\"#{id}\">{name}</a>");
        }
    }
    page.push_str("</div></nav>\n");
}

/// Pictures, each once, in units of the grid; everything else refers to them.
fn definitions(source: &Source<'_>, pictures: &Pictures<'_>, page: &mut String) {
    let Some(side) = source
        .run
        .grid_side()
        .filter(|_| !pictures.encoded.is_empty())
    else {
        return;
    };
    page.push_str("<svg width=\"0\" height=\"0\" class=\"ear\" aria-hidden=\"true\"><defs>\n");
    for (index, data) in pictures.encoded.iter().enumerate() {
        put!(
            page,
            "<image id=\"picture-{index}\" width=\"{side}\" height=\"{side}\" href=\"data:image/jpeg;base64,{data}\"/>\n"
        );
    }
    page.push_str("</defs></svg>\n");
}
