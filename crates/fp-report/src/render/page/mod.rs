//! `report.html`: one page for readers, which loads nothing from a network.
//!
//! It consists of sections, with the verdict first. Charts are SVG and heat maps are tables with
//! shaded cells, so that every number can be read, copied and read aloud. The scripts make tables
//! sortable, switch between groups, and run the sample explorer, whose data are in files beside the
//! page if they are large.

mod accuracy;
mod audit;
mod cases;
mod chart;
mod cost;
mod datasets;
mod differences;
mod efficiency;
mod explorer;
mod figures;
mod findings;
mod flips;
mod grid;
mod image_sources;
mod maps;
mod markup;
mod methods;
mod navigation;
mod pictures;
mod provenance;
mod published;
mod quality;
mod readings;
mod roles;
mod static_heads;
mod table;
mod view;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::markup::Section;
use self::pictures::Pictures;
use super::Source;
use crate::error::ReportError;

const STYLES: [&str; 4] = [
    include_str!("style/base.css"),
    include_str!("style/tables.css"),
    include_str!("style/charts.css"),
    include_str!("style/explorer.css"),
];
const SCRIPTS: [&str; 4] = [
    include_str!("script/page.js"),
    include_str!("script/tables.js"),
    include_str!("script/explorer.js"),
    include_str!("script/start.js"),
];

/// Most bytes of pictures in the page and beside it.
const MOST_PICTURE_BYTES: usize = 64 << 20;

/// The page and the files beside it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    /// Files beside it; empty where the page contains everything.
    pub(crate) apart: Vec<Apart>,
}

/// A file beside the page.
#[derive(Debug)]
pub(crate) struct Apart {
    /// Name in the folder [`crate::SAMPLES_FOLDER`].
    pub(crate) name: String,
    pub(crate) content: String,
}

/// The whole page.
pub(crate) fn page(source: &Source<'_>) -> Result<Page, ReportError> {
    let mut pictures = Pictures::new(source.run, MOST_PICTURE_BYTES);
    let cases = cases::cases(source, &mut pictures)?;
    let (explorer, apart) = explorer::explorer(source, &mut pictures)?;
    let sections = [
        Some(findings::header(source)),
        Some(accuracy::curves(source)),
        differences::differences(source),
        Some(grid::grid(source)),
        Some(methods::methods(source)),
        datasets::datasets(source),
        figures::figures(source),
        published::published(source),
        findings::best(source),
        static_heads::static_heads(source),
        findings::hypotheses(source),
        maps::head_usage(source),
        maps::agreement(source),
        maps::retention(source),
        quality::quality(source),
        Some(cost::cost(source)),
        efficiency::efficiency(source),
        readings::difficult(source),
        readings::answer_types(source),
        flips::flips(source),
        Some(audit::audit(source)),
        cases,
        Some(explorer),
        Some(provenance::provenance(source)?),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let study = source.run.spec.config.study.name();
    let html = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "FinePruner, study " (study) ": " (source.analysis.verdict.headline) }
                style { "\n" (PreEscaped(STYLES.concat())) }
            }
            "\n"
            body {
                a.skip href="#main" { "Skip to the verdict" }
                "\n"
                (navigation::navigation(&sections))
                (definitions(&pictures))
                main #main tabindex="-1" {
                    "\n"
                    @for section in &sections { (section.markup) }
                }
                "\n"
                script { "\n" (PreEscaped(SCRIPTS.concat())) }
            }
        }
        "\n"
    };
    Ok(Page {
        html: html.into_string(),
        apart,
    })
}

/// The distinct pictures as unit squares; where they are shown, they are stretched over the cells.
fn definitions(pictures: &Pictures<'_>) -> Markup {
    html! {
        @if pictures.of_page().next().is_some() {
            svg.ear width="0" height="0" aria-hidden="true" {
                defs {
                    @for (index, data) in pictures.of_page() {
                        @let data = format!("data:image/jpeg;base64,{data}");
                        image id={ "picture-" (index) } width="1" height="1"
                            preserveAspectRatio="none" href=(data) {}
                        "\n"
                    }
                }
            }
            "\n"
        }
    }
}
