//! Parquet files with the columns of the Hugging Face Hub.
//!
//! Files lie in the folder itself or one below it (`data/`, or a folder per
//! configuration), a split in one file or in several of `split-00000-of-00003.parquet`.
//! Which benchmark they hold is told by their columns. A column `prompt` has the whole
//! message where it isn't the usual one, and a column `bbox` has boxes, four numbers each:
//! x, y, width, height in pixels.

mod images;
mod rows;
mod table;
mod write;

pub use images::ImageColumn;
pub use write::export;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::collect::Collector;
use super::image::ImageRef;
use super::textvqa::{WITH_OCR, WITHOUT_OCR};
use super::{Benchmark, DatasetError, Form, Part, ProblemKind, Reading, mmvet};
use rows::Context;
use table::{Cells, Table};

/// Ends the name of GQA's folders of questions, of which another holds the images.
const INSTRUCTIONS: &str = "_instructions";
const IMAGES: &str = "_images";

/// A split: the files that hold it, in order.
struct Split {
    name: String,
    files: Vec<PathBuf>,
}

/// Splits by their name: the file's, after the folder's unless that is `data`.
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

/// `test-00000-of-00002` is a piece of `test`.
fn without_shard(stem: &str) -> &str {
    let pieces = stem.split_once("-of-").and_then(|(head, count)| {
        let (name, index) = head.rsplit_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(count) && is_number(index)).then_some(name)
    });
    pieces.unwrap_or(stem)
}

/// Data sets that a folder has in this form.
///
/// # Errors
/// A file that can't be read or is cut off.
pub(super) fn find(folder: &Path) -> Result<Vec<Part>, DatasetError> {
    let mut parts = Vec::new();
    for split in splits(folder) {
        let table = Table::open(&split.files)?;
        let Some(benchmark) = table.benchmark() else {
            continue;
        };
        let names = match benchmark {
            Benchmark::Textvqa => [WITH_OCR, WITHOUT_OCR]
                .map(|variant| format!("{}-{variant}", split.name))
                .to_vec(),
            _ => vec![split.name],
        };
        parts.extend(names.into_iter().map(|name| Part {
            folder: folder.to_owned(),
            benchmark,
            form: Form::Parquet,
            name,
        }));
    }
    Ok(parts)
}

/// Reads a split; images stay where they are.
pub(super) fn read(
    benchmark: Benchmark,
    folder: &Path,
    part: &str,
) -> Result<Reading, DatasetError> {
    let split = match benchmark {
        Benchmark::Textvqa => part.rsplit_once('-').map_or(part, |(split, _)| split),
        _ => part,
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
    let mut images = Images::of(benchmark, split, &splits, &files)?;
    let rule = match table.has("answers") || table.has("answer") {
        true => benchmark.answer_rule(),
        false => None,
    };
    let context = Context::new(benchmark, part);
    let mut collector = Collector::new("row", rule);
    table.for_each_row(&rows::columns(benchmark), |number, place, row| {
        let sample = row.and_then(|row| {
            let cells = Cells(&row);
            let mut sample = context.sample(number, cells)?;
            sample.image = images.of_row(&sample.image_id, place)?;
            Ok(sample)
        });
        collector.take(number, sample);
    })?;
    let mut files = files;
    files.extend(images.files());
    let mut reading = Reading::new(benchmark, part, folder, files, collector);
    reading.dataset.judge = match (benchmark, rule) {
        (Benchmark::Mmvet, _) => Some(mmvet::JUDGE.to_owned()),
        (_, None) => Some("a server".to_owned()),
        _ => None,
    };
    Ok(reading)
}

/// Where rows have their images.
enum Images {
    /// In each row; rows with the same image's id share the first one's.
    Rows {
        files: Vec<Arc<ImageColumn>>,
        first: HashMap<String, ImageRef>,
    },
    /// In other files, by id.
    Ids {
        files: Vec<PathBuf>,
        by_id: HashMap<String, ImageRef>,
    },
}

impl Images {
    fn of(
        benchmark: Benchmark,
        split: &str,
        splits: &[Split],
        files: &[PathBuf],
    ) -> Result<Images, DatasetError> {
        let columns = |files: &[PathBuf]| -> Vec<Arc<ImageColumn>> {
            files
                .iter()
                .map(|path| Arc::new(ImageColumn::new(path)))
                .collect()
        };
        if benchmark != Benchmark::Gqa {
            return Ok(Images::Rows {
                files: columns(files),
                first: HashMap::new(),
            });
        }
        let other = split.replacen(INSTRUCTIONS, IMAGES, 1);
        let found = splits.iter().find(|candidate| candidate.name == other);
        let Some(found) = found.filter(|_| other != split) else {
            return Err(DatasetError::Missing {
                folder: files.first().cloned().unwrap_or_default(),
                what: "folder of images beside it",
                names: vec![format!("{other}.parquet")],
            });
        };
        let columns = columns(&found.files);
        let mut by_id = HashMap::new();
        Table::open(&found.files)?.for_each_row(&["id"], |_, (file, row), cells| {
            if let Ok(cells) = cells
                && let Ok(id) = Cells(&cells).id("id")
            {
                let file = Arc::clone(&columns[file]);
                by_id.insert(id, ImageRef::Parquet { file, row });
            }
        })?;
        Ok(Images::Ids {
            files: found.files.clone(),
            by_id,
        })
    }

    fn of_row(
        &mut self,
        image_id: &str,
        (file, row): (usize, usize),
    ) -> Result<ImageRef, super::lines::LineFault> {
        match self {
            Images::Rows { files, first } => {
                let new = || ImageRef::Parquet {
                    file: Arc::clone(&files[file]),
                    row,
                };
                if let Some(known) = first.get(image_id) {
                    return Ok(known.clone());
                }
                Ok(first.entry(image_id.to_owned()).or_insert_with(new).clone())
            }
            Images::Ids { by_id, .. } => by_id.get(image_id).cloned().ok_or_else(|| {
                let message = format!("no image {image_id} among the images");
                (ProblemKind::MissingImage, message)
            }),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Images::Rows { .. } => Vec::new(),
            Images::Ids { files, .. } => files.clone(),
        }
    }
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
