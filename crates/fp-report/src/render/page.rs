//! `report.html`: one page to be read by people, which asks for nothing of a network.
//!
//! Written in sections, the verdict first. Charts are SVG, heat maps are tables with
//! shaded cells, so that every number can be read, copied and heard. The scripts make
//! tables sortable, switch between groups, and run the sample explorer; what it shows
//! lies in files beside the page where that is much.

mod accuracy;
mod audit;
mod cases;
mod chart;
mod cost;
mod datasets;
mod differences;
mod efficiency;
mod explorer;
mod findings;
mod flips;
mod grid;
mod image_sources;
mod maps;
mod markup;
mod navigation;
mod pictures;
mod provenance;
mod quality;
mod readings;
mod roles;
mod table;

use self::markup::{escape, put};
use self::pictures::Pictures;
use super::Source;
use crate::error::ReportError;

const STYLES: [&str; 4] = [
    include_str!("page/style/base.css"),
    include_str!("page/style/tables.css"),
    include_str!("page/style/charts.css"),
    include_str!("page/style/explorer.css"),
];
const SCRIPTS: [&str; 4] = [
    include_str!("page/script/page.js"),
    include_str!("page/script/tables.js"),
    include_str!("page/script/explorer.js"),
    include_str!("page/script/start.js"),
];

/// Most bytes of pictures in a page and beside it.
const MOST_PICTURE_BYTES: usize = 64 << 20;

/// The page and what belongs to it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    /// Files beside it; none where the page holds everything.
    pub(crate) apart: Vec<Apart>,
}

/// A file beside the page.
#[derive(Debug)]
pub(crate) struct Apart {
    /// In the folder [`crate::SAMPLES_FOLDER`].
    pub(crate) name: String,
    pub(crate) content: String,
}

/// The whole page.
pub(crate) fn page(source: &Source<'_>) -> Result<Page, ReportError> {
    let mut body = String::new();
    let mut pictures = Pictures::new(source.run, MOST_PICTURE_BYTES);
    findings::header(source, &mut body);
    accuracy::curves(source, &mut body);
    differences::differences(source, &mut body);
    grid::grid(source, &mut body);
    datasets::datasets(source, &mut body);
    findings::best(source, &mut body);
    findings::hypotheses(source, &mut body);
    maps::head_usage(source, &mut body);
    maps::agreement(source, &mut body);
    maps::retention(source, &mut body);
    quality::quality(source, &mut body);
    cost::cost(source, &mut body);
    efficiency::efficiency(source, &mut body);
    readings::difficult(source, &mut body);
    readings::answer_types(source, &mut body);
    flips::flips(source, &mut body);
    audit::audit(source, &mut body);
    cases::cases(source, &mut pictures, &mut body);
    let apart = explorer::explorer(source, &mut pictures, &mut body)?;
    provenance::provenance(source, &mut body)?;
    let title = format!(
        "FinePruner, study {}: {}",
        source.run.spec.config.study.name(),
        source.analysis.verdict.headline
    );
    let mut html = String::with_capacity(body.len() + (4 << 20));
    put!(
        &mut html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\"><title>{}</title><style>\n{}</style></head>\n<body><a class=\"skip\" href=\"#main\">Skip to the verdict</a>\n",
        escape(&title),
        STYLES.concat()
    );
    navigation::navigation(&body, &mut html);
    definitions(source, &pictures, &mut html);
    put!(
        &mut html,
        "<main id=\"main\" tabindex=\"-1\">\n{body}</main>\n<script>\n{}</script></body></html>\n",
        SCRIPTS.concat()
    );
    Ok(Page { html, apart })
}

/// Pictures, each once, in units of the grid; everything else refers to them.
fn definitions(source: &Source<'_>, pictures: &Pictures<'_>, page: &mut String) {
    let Some(side) = source
        .run
        .grid_side()
        .filter(|_| pictures.of_page().next().is_some())
    else {
        return;
    };
    page.push_str("<svg width=\"0\" height=\"0\" class=\"ear\" aria-hidden=\"true\"><defs>\n");
    for (index, data) in pictures.of_page() {
        put!(
            page,
            "<image id=\"picture-{index}\" width=\"{side}\" height=\"{side}\" href=\"data:image/jpeg;base64,{data}\"/>\n"
        );
    }
    page.push_str("</defs></svg>\n");
}
