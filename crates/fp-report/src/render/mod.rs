//! An analysis as files: for programs, for papers, for people.

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

/// What renderers draw from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) run: &'a Run,
    pub(crate) analysis: &'a Analysis,
    pub(crate) cell_index: &'a CellIndex,
    /// What the run took; differs from run to run.
    pub(crate) times: Option<&'a MeasuredTimes>,
    /// What was measured of each budget alone, where that was done.
    pub(crate) efficiency: Option<&'a Efficiency>,
}

/// What a run made of the padding of its images, where it made anything of it.
fn masked_padding(spec: &RunSpec) -> Option<String> {
    let config = &spec.config;
    config.mask_padding.then(|| match spec.model.image_aspect {
        Some(ImageAspect::Crop) => {
            "mask_padding had no effect: images were cropped, and none had padding".to_owned()
        }
        _ => "image tokens that show padding alone were no candidates of any method's first \
              stage (mask_padding); methods that take the whole grid of tokens do not apply to \
              images with such tokens"
            .to_owned(),
    })
}

/// How a run cut its images into crops, where its configuration says so.
fn crops(spec: &RunSpec) -> Option<String> {
    let form = spec.config.anyres?;
    let budget = match spec.config.crop_budget {
        None => "numbers of published methods are meant as their authors have them".to_owned(),
        Some(budget) => format!("numbers of published methods are meant {budget}"),
    };
    Some(format!("any-resolution images cut as {form}; {budget}"))
}
