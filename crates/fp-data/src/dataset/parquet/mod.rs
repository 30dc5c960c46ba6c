//! Parquet files with the columns used on the Hugging Face Hub.
//!
//! Files are in the folder itself or one level below (`data/`, or a folder per configuration), a
//! split in one file or in several named `split-00000-of-00003.parquet`. The benchmark is
//! recognised by the columns. An additional column `prompt` holds the whole message where it isn't
//! the usual one, and a column `bbox` holds boxes of four numbers each: x, y, width, height in
//! pixels.

mod as_json;
mod images;
mod pages;
mod pictures;
mod reader;
mod rows;
mod schema;
mod table;
mod types;
mod write;

pub use as_json::json_rows;
pub use images::ImageColumn;
pub use write::export;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::beside::LeftOut;
use super::collect::Collector;
use super::lines::LineFault;
use super::textvqa::{WITH_OCR, WITHOUT_OCR};
use super::{Benchmark, DatasetError, DatasetSplit, Form, ProblemKind, Reading, mmbench};
use crate::metric::refcoco;
use crate::sample::Sample;
use pictures::Images;
use rows::Context;
use table::{Cells, Table};

/// A split: its files, in order.
struct Split {
    name: String,
    files: Vec<PathBuf>,
}

/// Splits by name: that of the file, prefixed by the folder's unless that is `data`.
fn splits(folder: &Path) -> Vec<Split> {
    let mut splits: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut add = |prefix: &str, path: PathBuf| {
        let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
        if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
            && is_parquet
        {
            let name = format!("{prefix}{}", without_shard(stem));
            splits.entry(name).or_default().push(path);
        }
    };
    for path in entries(folder) {
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str());
            let prefix = match name.unwrap_or_default() {
                "data" => String::new(),
                name => format!("{name}/"),
            };
            for path in entries(&path) {
                add(&prefix, path);
            }
        } else {
            add("", path);
        }
    }
    let sorted = |(name, mut files): (String, Vec<PathBuf>)| {
        files.sort();
        Split { name, files }
    };
    splits.into_iter().map(sorted).collect()
}

/// The split of a shard: `test` for `test-00000-of-00002`.
fn without_shard(stem: &str) -> &str {
    let pieces = stem.split_once("-of-").and_then(|(head, count)| {
        let (name, index) = head.rsplit_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(count) && is_number(index)).then_some(name)
    });
    pieces.unwrap_or(stem)
}

/// Contents of a folder in this form.
pub(super) struct Found {
    /// Datasets.
    pub(super) splits: Vec<DatasetSplit>,
    /// Why the first file with unknown columns is no dataset.
    pub(super) unknown: Option<DatasetError>,
    /// Errors of files that can't be read or are cut off.
    pub(super) errors: Vec<DatasetError>,
}

/// Inspects every Parquet file of a folder.
pub(super) fn find(folder: &Path) -> Found {
    let mut found = Found {
        splits: Vec::new(),
        unknown: None,
        errors: Vec::new(),
    };
    for split in splits(folder) {
        let table = match Table::open(&split.files) {
            Ok(table) => table,
            Err(error) => {
                found.errors.push(error);
                continue;
            }
        };
        let Some(benchmark) = table.benchmark() else {
            found.unknown.get_or_insert_with(|| table.unknown());
            continue;
        };
        let names = match benchmark {
            Benchmark::Textvqa => [WITH_OCR, WITHOUT_OCR]
                .map(|variant| format!("{}-{variant}", split.name))
                .to_vec(),
            _ => vec![split.name],
        };
        found
            .splits
            .extend(names.into_iter().map(|name| DatasetSplit {
                folder: folder.to_owned(),
                benchmark,
                form: Form::Parquet,
                name,
            }));
    }
    found
}

/// Reads a split, without its images.
pub(super) fn read(
    benchmark: Benchmark,
    folder: &Path,
    split: &str,
) -> Result<Reading, DatasetError> {
    Reading::scored_or_not(|is_scored| read_rows(benchmark, folder, split, is_scored))
}

fn read_rows(
    benchmark: Benchmark,
    folder: &Path,
    split: &str,
    is_scored: bool,
) -> Result<Reading, DatasetError> {
    let split = match benchmark {
        Benchmark::Textvqa => split.rsplit_once('-').map_or(split, |(split, _)| split),
        _ => split,
    };
    let missing = || DatasetError::Missing {
        folder: folder.to_owned(),
        what: "Parquet file",
        names: vec![
            format!("{split}.parquet"),
            format!("data/{split}-*.parquet"),
        ],
    };
    let splits = splits(folder);
    let found = splits.iter().find(|candidate| candidate.name == split);
    let files = found.ok_or_else(missing)?.files.clone();
    let table = Table::open(&files)?;
    table.check(|path, schema| schema::check(path, schema, benchmark))?;
    let mut images = Images::of(benchmark, split, &splits, &files)?;
    let has_answers = table.has("answers") || table.has("answer");
    let rule = benchmark.answer_rule().filter(|_| has_answers && is_scored);
    let context = Context::new(benchmark, split);
    let mut collector = Collector::new("row", rule);
    let columns = schema::columns(benchmark).into_iter().map(|(name, _)| name);
    let image_column = schema::image_column(benchmark);
    let columns: Vec<&str> = columns.filter(|name| *name != image_column).collect();
    let mut asked = HashSet::new();
    let mut left_out = LeftOut::default();
    let mut total = 0;
    let mut num_questions = 0;
    table.for_each_row(&columns, |number, place, row| {
        total = number;
        // Rows are counted over all files of a split; the message adds the row within the file.
        let in_file = |(kind, message): LineFault| match files.len() {
            1 => (kind, message),
            _ => {
                let (file, row) = (files[place.0].display(), place.1 + 1);
                (kind, format!("row {row} of {file}: {message}"))
            }
        };
        match context.left_out(Cells(row)) {
            Ok(Some(reason)) => {
                left_out.add(reason);
                return;
            }
            Ok(None) => {}
            Err(fault) => {
                collector.fault(number, in_file(fault));
                return;
            }
        }
        let samples = context.samples(number, Cells(row)).and_then(|samples| {
            let with_image = |mut sample: Sample| {
                // Both questions on an image have its id; id and text together are unique.
                let text = (sample.image_id.clone(), sample.question.clone());
                if benchmark == Benchmark::Mme && !asked.insert(text) {
                    let message = format!(
                        "{:?} of {} is asked twice",
                        sample.question, sample.image_id
                    );
                    return Err((ProblemKind::DuplicateId, message));
                }
                let found = images.of_row(&mut sample.image_id, place)?;
                sample.image = found.image;
                if let Some(message) = found.absent {
                    let (_, message) = in_file((ProblemKind::MissingImage, message));
                    collector.note_absent(&sample.image, message);
                } else if benchmark == Benchmark::Refcoco {
                    let size = images.size(&sample.image_id, &sample.image)?;
                    let corners = sample.boxes.iter();
                    sample.answers = corners.map(|area| refcoco::answer(*area, size)).collect();
                    sample.image_size = Some(size);
                }
                Ok(sample)
            };
            samples
                .into_iter()
                .map(with_image)
                .collect::<Result<Vec<_>, _>>()
        });
        match samples {
            Ok(samples) => {
                num_questions += samples.len();
                for sample in samples {
                    collector.push(number, sample);
                }
            }
            Err(fault) => collector.fault(number, in_file(fault)),
        }
    })?;
    let mut files = files;
    files.extend(images.files());
    let mut reading = Reading::new(benchmark, split, folder, files, collector);
    let notes = match benchmark {
        Benchmark::Refcoco => vec![super::refcoco::NOTE.to_owned()],
        Benchmark::Mmbench => mmbench::notes(reading.dataset.samples.iter()),
        _ => Vec::new(),
    };
    reading.dataset.notes.extend(notes);
    reading.dataset.notes.extend(left_out.notes(total));
    reading.dataset.note_text_only(num_questions);
    let is_judged = rule.is_none() || benchmark == Benchmark::Mmvet;
    reading.dataset.judge = is_judged.then(|| benchmark.judge().to_owned());
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_belong_to_their_split() {
        assert_eq!(without_shard("test-00000-of-00002"), "test");
        assert_eq!(without_shard("test_dev"), "test_dev");
        assert_eq!(without_shard("one-of-many"), "one-of-many");
    }
}
