//! From a benchmark's name to the file that reads and writes it.

use std::path::Path;

use super::benchmark::Benchmark;
use super::beside::is_letter_of;
use super::export::Exporter;
use super::{
    Dataset, DatasetError, Reading, ai2d, chartqa, docvqa, gqa, infovqa, mmbench, mme, mmmu,
    mmstar, mmvet, ocrbench, plain, pope, refcoco, scienceqa, seedbench, textvqa, vizwiz, vqav2,
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
            Benchmark::Docvqa => docvqa::parts(folder),
            Benchmark::Infovqa => infovqa::parts(folder),
            Benchmark::Chartqa => chartqa::parts(folder),
            Benchmark::Ocrbench => ocrbench::parts(folder),
            Benchmark::Ai2d => ai2d::parts(folder),
            Benchmark::Seedbench => seedbench::parts(folder),
            Benchmark::Mmstar => mmstar::parts(folder),
            Benchmark::Mmmu => mmmu::parts(folder),
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
            Benchmark::Docvqa => docvqa::read(folder, part),
            Benchmark::Infovqa => infovqa::read(folder, part),
            Benchmark::Chartqa => chartqa::read(folder, part),
            Benchmark::Ocrbench => ocrbench::read(folder, part),
            Benchmark::Ai2d => ai2d::read(folder, part),
            Benchmark::Seedbench => seedbench::read(folder, part),
            Benchmark::Mmstar => mmstar::read(folder, part),
            Benchmark::Mmmu => mmmu::read(folder, part),
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
            Benchmark::Docvqa => docvqa::export(dataset, out),
            Benchmark::Infovqa => infovqa::export(dataset, out),
            Benchmark::Chartqa => chartqa::export(dataset, out),
            Benchmark::Ocrbench => ocrbench::export(dataset, out),
            Benchmark::Ai2d => ai2d::export(dataset, out),
            Benchmark::Seedbench => seedbench::export(dataset, out),
            Benchmark::Mmstar => mmstar::export(dataset, out),
            Benchmark::Mmmu => mmmu::export(dataset, out),
        }
    }

    /// Who scores the parts whose answers nobody else knows.
    #[cfg(feature = "parquet")]
    pub(super) const fn judge(self) -> &'static str {
        match self {
            Benchmark::Mmvet => mmvet::JUDGE,
            Benchmark::Docvqa | Benchmark::Infovqa => docvqa::JUDGE,
            Benchmark::Mmmu => mmmu::JUDGE,
            _ => "a server",
        }
    }

    /// Whether its layout has a place for a sample.
    pub(super) fn fits(self, sample: &Sample) -> bool {
        let answers = &sample.answers;
        let is_yes_no = || answers.len() == 1 && YesNo::from_label(&answers[0]).is_some();
        let is_choice = |counts: std::ops::RangeInclusive<usize>| {
            let count = sample.choices.len();
            counts.contains(&count) && is_letter_of(answers, count)
        };
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
            Benchmark::Docvqa | Benchmark::Infovqa => !answers.is_empty(),
            Benchmark::Chartqa => answers.len() == 1,
            Benchmark::Ocrbench => {
                !answers.is_empty() && answers.iter().all(|answer| !answer.trim().is_empty())
            }
            Benchmark::Ai2d | Benchmark::Mmstar => is_choice(2..=26),
            Benchmark::Seedbench => is_choice(4..=4),
            Benchmark::Mmmu => mmmu::fits(sample),
        }
    }
}
