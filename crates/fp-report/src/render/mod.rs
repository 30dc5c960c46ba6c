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

pub(crate) use csv::cells_csv;
pub(crate) use figures::figures_csv;
pub(crate) use json::{results_json, timings_json};
pub(crate) use latex::table_tex;
pub(crate) use markdown::summary_md;
pub(crate) use page::{Apart, page};

use fp_eval::efficiency::Efficiency;

use super::analysis::{Analysis, Roster};
use super::measured::MeasuredTimes;
use super::run::Run;

/// What renderers draw from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) run: &'a Run,
    pub(crate) analysis: &'a Analysis,
    pub(crate) roster: &'a Roster,
    /// What the run took; differs from run to run.
    pub(crate) times: Option<&'a MeasuredTimes>,
    /// What was measured of each budget alone, where that was done.
    pub(crate) efficiency: Option<&'a Efficiency>,
}
