//! Maps a benchmark's name to the module that reads and writes it.

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
    /// Name in results: the benchmark, and what distinguishes its splits.
    pub(super) fn result_name(self, split: &str) -> String {
        let is = |word: &str| split.split(['-', '_']).any(|split| split == word);
        match self {
            Benchmark::Textvqa if is(textvqa::WITHOUT_OCR) => "textvqa_noocr".to_owned(),
            Benchmark::Textvqa => "textvqa_ocr".to_owned(),
            Benchmark::Mmbench if is("cn") => "mmbench_cn".to_owned(),
            Benchmark::Mmbench => "mmbench_en".to_owned(),
            Benchmark::Scienceqa => "scienceqa_img".to_owned(),
            Benchmark::Refcoco if split.starts_with("refcoco+") => "refcoco+".to_owned(),
            Benchmark::Refcoco if split.starts_with("refcocog") => "refcocog".to_owned(),
            _ => self.name().to_owned(),
        }
    }

    /// Splits that a folder holds in LLaVA's layout or the plain form.
    pub(super) fn splits(self, folder: &Path) -> Vec<String> {
        match self {
            Benchmark::Plain => plain::splits(folder),
            Benchmark::Vqav2 => vqav2::splits(folder),
            Benchmark::Gqa => gqa::splits(folder),
            Benchmark::Textvqa => textvqa::splits(folder),
            Benchmark::Pope => pope::splits(folder),
            Benchmark::Mme => mme::splits(folder),
            Benchmark::Scienceqa => scienceqa::splits(folder),
            Benchmark::Mmbench => mmbench::splits(folder),
            Benchmark::Vizwiz => vizwiz::splits(folder),
            Benchmark::Mmvet => mmvet::splits(folder),
            Benchmark::Refcoco => refcoco::splits(folder),
            Benchmark::Docvqa => docvqa::splits(folder),
            Benchmark::Infovqa => infovqa::splits(folder),
            Benchmark::Chartqa => chartqa::splits(folder),
            Benchmark::Ocrbench => ocrbench::splits(folder),
            Benchmark::Ai2d => ai2d::splits(folder),
            Benchmark::Seedbench => seedbench::splits(folder),
            Benchmark::Mmstar => mmstar::splits(folder),
            Benchmark::Mmmu => mmmu::splits(folder),
        }
    }

    /// Reads a split.
    pub(super) fn read(self, folder: &Path, split: &str) -> Result<Reading, DatasetError> {
        match self {
            Benchmark::Plain => plain::read(folder),
            Benchmark::Vqav2 => vqav2::read(folder, split),
            Benchmark::Gqa => gqa::read(folder, split),
            Benchmark::Textvqa => textvqa::read(folder, split),
            Benchmark::Pope => pope::read(folder, split),
            Benchmark::Mme => mme::read(folder, split),
            Benchmark::Scienceqa => scienceqa::read(folder, split),
            Benchmark::Mmbench => mmbench::read(folder, split),
            Benchmark::Vizwiz => vizwiz::read(folder, split),
            Benchmark::Mmvet => mmvet::read(folder, split),
            Benchmark::Refcoco => refcoco::read(folder, split),
            Benchmark::Docvqa => docvqa::read(folder, split),
            Benchmark::Infovqa => infovqa::read(folder, split),
            Benchmark::Chartqa => chartqa::read(folder, split),
            Benchmark::Ocrbench => ocrbench::read(folder, split),
            Benchmark::Ai2d => ai2d::read(folder, split),
            Benchmark::Seedbench => seedbench::read(folder, split),
            Benchmark::Mmstar => mmstar::read(folder, split),
            Benchmark::Mmmu => mmmu::read(folder, split),
        }
    }

    /// Writes samples, all of which fit the layout.
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

    /// Who scores the splits whose reference answers are not published.
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
