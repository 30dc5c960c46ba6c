//! Renders an analysis as files for programs, papers and readers.

mod beside;
mod csv;
mod datasets;
mod difficult;
mod efficiency;
mod figures;
mod json;
mod latex;
mod markdown;
mod methods;
mod page;
mod published;

pub use json::RESULTS_VERSION;

pub(crate) use csv::{cells_csv, line as csv_line};
pub(crate) use figures::figures_csv;
pub(crate) use json::{results_json, timings_json};
pub(crate) use latex::table_tex;
pub(crate) use markdown::summary_md;
pub(crate) use page::{Apart, page};

use fp_eval::efficiency::Efficiency;
use fp_eval::study::RunSpec;
use fp_image::ImageAspect;

use super::analysis::{Analysis, CellIndex};
use super::measured::MeasuredTimes;
use super::run::Run;

/// The input of renderers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) run: &'a Run,
    pub(crate) analysis: &'a Analysis,
    pub(crate) cell_index: &'a CellIndex,
    /// Times of the run; they differ from run to run.
    pub(crate) times: Option<&'a MeasuredTimes>,
    /// Measured efficiency of each budget, if it was measured.
    pub(crate) efficiency: Option<&'a Efficiency>,
}

/// How a run treated the padding of its images, if it did so in a special way.
fn masked_padding(spec: &RunSpec) -> Option<String> {
    let config = &spec.config;
    config.mask_padding.then(|| match spec.model.image_aspect {
        Some(ImageAspect::Crop) => {
            "mask_padding had no effect: images were cropped, and none had padding".to_owned()
        }
        _ => "image tokens that show only padding were not candidates of any method's first \
              stage (mask_padding); methods that need the whole grid of tokens do not apply to \
              images with such tokens"
            .to_owned(),
    })
}

/// How a run cut its images into crops, where its configuration says so.
fn crops(spec: &RunSpec) -> Option<String> {
    let form = spec.config.anyres?;
    let budget = match spec.config.crop_budget {
        None => "numbers of published methods apply as their authors define them".to_owned(),
        Some(budget) => format!("numbers of published methods apply {budget}"),
    };
    Some(format!("any-resolution images cut as {form}; {budget}"))
}
