//! From a benchmark's name to the file that reads and writes it.

use std::path::Path;

use super::benchmark::Benchmark;
use super::export::Exporter;
use super::{
    Dataset, DatasetError, Reading, gqa, mmbench, mme, mmvet, plain, pope, refcoco, scienceqa,
    textvqa, vizwiz, vqav2,
};
use crate::metric::YesNo;
use crate::sample::Sample;

impl Benchmark {
    /// What results are called: the benchmark and what sets its parts apart.
    pub(super) fn result_name(self, part: &str) -> String {
        let is = |word: &str| part.split(['-', '_']).any(|part| part == word);
        match self {
            Benchmark::Textvqa if is(textvqa::WITHOUT_OCR) => "textvqa_noocr".to_owned(),
            Benchmark::Textvqa => "textvqa_ocr".to_owned(),
            Benchmark::Mmbench if is("cn") => "mmbench_cn".to_owned(),
            Benchmark::Mmbench => "mmbench_en".to_owned(),
            Benchmark::Scienceqa => "scienceqa_img".to_owned(),
            Benchmark::Refcoco if part.starts_with("refcoco+") => "refcoco+".to_owned(),
            Benchmark::Refcoco if part.starts_with("refcocog") => "refcocog".to_owned(),
            _ => self.name().to_owned(),
        }
    }

    /// Parts of it that a folder has in LLaVA's layout, or the plain form.
    pub(super) fn parts(self, folder: &Path) -> Vec<String> {
        match self {
            Benchmark::Plain => plain::parts(folder),
            Benchmark::Vqav2 => vqav2::parts(folder),
            Benchmark::Gqa => gqa::parts(folder),
            Benchmark::Textvqa => textvqa::parts(folder),
            Benchmark::Pope => pope::parts(folder),
            Benchmark::Mme => mme::parts(folder),
            Benchmark::Scienceqa => scienceqa::parts(folder),
            Benchmark::Mmbench => mmbench::parts(folder),
            Benchmark::Vizwiz => vizwiz::parts(folder),
            Benchmark::Mmvet => mmvet::parts(folder),
            Benchmark::Refcoco => refcoco::parts(folder),
        }
    }

    /// Reads a part.
    pub(super) fn read(self, folder: &Path, part: &str) -> Result<Reading, DatasetError> {
        match self {
            Benchmark::Plain => plain::read(folder),
            Benchmark::Vqav2 => vqav2::read(folder, part),
            Benchmark::Gqa => gqa::read(folder, part),
            Benchmark::Textvqa => textvqa::read(folder, part),
            Benchmark::Pope => pope::read(folder, part),
            Benchmark::Mme => mme::read(folder, part),
            Benchmark::Scienceqa => scienceqa::read(folder, part),
            Benchmark::Mmbench => mmbench::read(folder, part),
            Benchmark::Vizwiz => vizwiz::read(folder, part),
            Benchmark::Mmvet => mmvet::read(folder, part),
            Benchmark::Refcoco => refcoco::read(folder, part),
        }
    }

    /// Writes samples that all fit.
    pub(super) fn write(self, dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
        match self {
            Benchmark::Plain => plain::export(dataset, out),
            Benchmark::Vqav2 => vqav2::export(dataset, out),
            Benchmark::Gqa => gqa::export(dataset, out),
            Benchmark::Textvqa => textvqa::export(dataset, out),
            Benchmark::Pope => pope::export(dataset, out),
            Benchmark::Mme => mme::export(dataset, out),
            Benchmark::Scienceqa => scienceqa::export(dataset, out),
            Benchmark::Mmbench => mmbench::export(dataset, out),
            Benchmark::Vizwiz => vizwiz::export(dataset, out),
            Benchmark::Mmvet => mmvet::export(dataset, out),
            Benchmark::Refcoco => refcoco::export(dataset, out),
        }
    }

    /// Whether its layout has a place for a sample.
    pub(super) fn fits(self, sample: &Sample) -> bool {
        let answers = &sample.answers;
        let is_yes_no = || answers.len() == 1 && YesNo::from_label(&answers[0]).is_some();
        match self {
            Benchmark::Plain | Benchmark::Mmvet => true,
            Benchmark::Vqav2 | Benchmark::Vizwiz => !answers.is_empty(),
            Benchmark::Textvqa => matches!(answers.len(), 1 | 10),
            Benchmark::Gqa => answers.len() == 1,
            Benchmark::Pope | Benchmark::Mme => is_yes_no(),
            Benchmark::Scienceqa => {
                sample.choices.len() >= 2 && super::collect::is_inside(&sample.id)
            }
            Benchmark::Mmbench => mmbench::fits(sample),
            Benchmark::Refcoco => refcoco::fits(sample),
        }
    }
}
