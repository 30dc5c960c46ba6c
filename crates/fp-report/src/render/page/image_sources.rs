//! Location of the images of records, found as the study found them.

use fp_data::dataset::{self, Dataset, ImageRef};
use fp_eval::study::dataset_selector;

use crate::run::Run;
use crate::sample::ReportSample;

/// Images of a run's records.
#[derive(Debug)]
pub(super) struct ImageSources<'a> {
    run: &'a Run,
    /// Datasets whose images are inside other files, by number; read when the first such image is
    /// requested.
    datasets: Vec<Option<Result<Dataset, String>>>,
}

impl<'a> ImageSources<'a> {
    pub(super) fn new(run: &'a Run) -> ImageSources<'a> {
        ImageSources {
            run,
            datasets: run.spec.datasets.iter().map(|_| None).collect(),
        }
    }

    /// The image of a record, or why it isn't available.
    pub(super) fn of(&mut self, record: &ReportSample) -> Result<ImageRef, String> {
        let path = self.run.image_path(record);
        if path.is_file() {
            return Ok(ImageRef::from(path));
        }
        // The name of a position inside another file doesn't give the file's form.
        if !record.image.contains('#') {
            return Err(format!("{} is not there", path.display()));
        }
        let spec = &self.run.spec;
        let dataset = self.datasets[record.dataset]
            .get_or_insert_with(|| open(&spec.config.datasets[record.dataset]))
            .as_ref()
            .map_err(String::clone)?;
        // Looked up by id, since a run may cover only some samples. If the data were changed since,
        // a different image must not be shown beside an answer.
        let same = dataset.samples.iter().find(|sample| {
            sample.id == record.id && sample.image.name(&dataset.folder) == record.image
        });
        same.map(|sample| sample.image.clone())
            .ok_or_else(|| format!("{} has changed since the run", path.display()))
    }
}

fn open(name: &str) -> Result<Dataset, String> {
    let selector = dataset_selector(name).map_err(|error| fp_scoring::error_text(&error))?;
    dataset::open(&selector).map_err(|error| fp_scoring::error_text(&error))
}
