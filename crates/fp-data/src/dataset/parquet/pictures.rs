//! Assigns images to rows.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::schema::{check_column, image_column};
use super::table::{Cells, Table};
use super::types::Kind;
use super::{ImageColumn, Split};
use crate::dataset::image::ImageRef;
use crate::dataset::lines::LineFault;
use crate::dataset::{Benchmark, DatasetError, ProblemKind, Problems};
use crate::hash::sha256_hex;

/// Suffix of GQA's folders of questions; the images are in another folder.
const INSTRUCTIONS: &str = "_instructions";
/// Suffix of GQA's folders of images.
const IMAGES: &str = "_images";

/// Number of hexadecimal digits of a hash that form an image's id: enough to be unique in a
/// dataset.
const ID_DIGITS: usize = 16;

/// The image of a row.
pub(super) struct RowImage {
    pub(super) image: ImageRef,
    /// The problem, where the row's image cell is empty.
    pub(super) absent: Option<String>,
}

/// Where the images of rows are stored.
pub(super) struct Images {
    source: Source,
    has_text_only: bool,
    /// Width and height in pixels, by image id.
    sizes: HashMap<String, [usize; 2]>,
}

enum Source {
    /// In the row itself; rows with the same image id share the first one's image.
    Rows {
        files: Files,
        first: HashMap<String, ImageRef>,
    },
    /// In the row itself, without a column of image ids: rows with equal bytes share an image,
    /// whose id is a hash of the bytes.
    Contents {
        files: Files,
        first: HashMap<String, ImageRef>,
    },
    /// In other files, by image id.
    Ids {
        files: Vec<PathBuf>,
        by_id: HashMap<String, ImageRef>,
    },
}

/// Image columns of the files, and their rows without an image.
struct Files {
    columns: Vec<Arc<ImageColumn>>,
    empty: Vec<HashSet<usize>>,
}

impl Files {
    fn new(paths: &[PathBuf], column: &'static str) -> Result<Files, DatasetError> {
        let columns: Vec<_> = paths
            .iter()
            .map(|path| Arc::new(ImageColumn::of(path, column)))
            .collect();
        let empty = columns.iter().map(|column| column.empty_rows());
        Ok(Files {
            empty: empty.collect::<Result<_, _>>()?,
            columns,
        })
    }

    /// The image of a row that has one.
    fn image(&self, place: (usize, usize)) -> Result<ImageRef, LineFault> {
        if self.is_empty(place) {
            return Err((ProblemKind::MissingImage, self.no_bytes(place)));
        }
        Ok(self.at(place))
    }

    /// The problem of a row without an image.
    fn no_bytes(&self, (file, _): (usize, usize)) -> String {
        format!("column `{}` has no bytes", self.columns[file].column())
    }

    fn is_empty(&self, (file, row): (usize, usize)) -> bool {
        self.empty[file].contains(&row)
    }

    fn at(&self, (file, row): (usize, usize)) -> ImageRef {
        ImageRef::Parquet {
            file: Arc::clone(&self.columns[file]),
            row,
        }
    }
}

impl Images {
    /// Finds the images of a split's rows.
    ///
    /// # Errors
    /// GQA's images aren't beside its questions, or some have no id or the same id.
    pub(super) fn of(
        benchmark: Benchmark,
        split: &str,
        splits: &[Split],
        files: &[PathBuf],
    ) -> Result<Images, DatasetError> {
        let source = match benchmark {
            Benchmark::Gqa => by_id(split, splits, files)?,
            Benchmark::Chartqa | Benchmark::Ocrbench | Benchmark::Ai2d | Benchmark::Mmstar => {
                Source::Contents {
                    files: Files::new(files, image_column(benchmark))?,
                    first: HashMap::new(),
                }
            }
            _ => Source::Rows {
                files: Files::new(files, image_column(benchmark))?,
                first: HashMap::new(),
            },
        };
        Ok(Images {
            source,
            has_text_only: benchmark == Benchmark::Scienceqa,
            sizes: HashMap::new(),
        })
    }

    /// The image of a row; its id is set where no column has it. An empty image cell means a
    /// text-only question where the benchmark has such questions.
    pub(super) fn of_row(
        &mut self,
        image_id: &mut String,
        place: (usize, usize),
    ) -> Result<RowImage, LineFault> {
        let present = |image| RowImage {
            image,
            absent: None,
        };
        match &mut self.source {
            Source::Rows { files, .. } if files.is_empty(place) && self.has_text_only => {
                Ok(present(ImageRef::None))
            }
            Source::Rows { files, .. } | Source::Contents { files, .. }
                if files.is_empty(place) =>
            {
                Ok(RowImage {
                    image: files.at(place),
                    absent: Some(files.no_bytes(place)),
                })
            }
            Source::Contents { files, first } => {
                let image = files.at(place);
                let bytes = image
                    .read()
                    .map_err(|error| (ProblemKind::MissingImage, error.to_string()))?;
                *image_id = sha256_hex(&bytes)[..ID_DIGITS].to_owned();
                let first = first.entry(image_id.clone()).or_insert(image);
                Ok(present(first.clone()))
            }
            Source::Rows { files, first } => {
                let image = files.at(place);
                let first = first.entry(image_id.to_owned()).or_insert(image);
                Ok(present(first.clone()))
            }
            Source::Ids { by_id, .. } => {
                let image = by_id.get(image_id.as_str()).cloned().ok_or_else(|| {
                    let message = format!("no image {image_id} among the images");
                    (ProblemKind::MissingImage, message)
                })?;
                Ok(present(image))
            }
        }
    }

    /// Width and height of an image in pixels; opens the image.
    pub(super) fn size(
        &mut self,
        image_id: &str,
        image: &ImageRef,
    ) -> Result<[usize; 2], LineFault> {
        if let Some(size) = self.sizes.get(image_id) {
            return Ok(*size);
        }
        let size = image
            .size()
            .map_err(|error| (ProblemKind::MissingImage, fp_scoring::error_text(&error)))?;
        self.sizes.insert(image_id.to_owned(), size);
        Ok(size)
    }

    /// Files that hold images, other than those of the rows.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Rows { .. } | Source::Contents { .. } => Vec::new(),
            Source::Ids { files, .. } => files.clone(),
        }
    }
}

/// GQA's images, which are in a separate folder.
fn by_id(split: &str, splits: &[Split], files: &[PathBuf]) -> Result<Source, DatasetError> {
    let other = split.replacen(INSTRUCTIONS, IMAGES, 1);
    let found = splits.iter().find(|candidate| candidate.name == other);
    let Some(found) = found.filter(|_| other != split) else {
        return Err(DatasetError::Missing {
            folder: files.first().cloned().unwrap_or_default(),
            what: "folder of images beside it",
            names: vec![format!("{other}.parquet")],
        });
    };
    let table = Table::open(&found.files)?;
    table.check(|path, schema| {
        check_column(path, schema, "id", Kind::Id, true)?;
        check_column(path, schema, "image", Kind::Image, true)
    })?;
    let files = Files::new(&found.files, "image")?;
    let mut by_id = HashMap::new();
    let mut problems = Problems::of("row");
    table.for_each_row(&["id"], |number, place, row| {
        let image = Cells(row).id("id").and_then(|id| {
            let image = files.image(place)?;
            match by_id.insert(id.clone(), image) {
                None => Ok(()),
                Some(_) => {
                    let message = format!("image {id} is already used by an earlier row");
                    Err((ProblemKind::DuplicateId, message))
                }
            }
        });
        if let Err((kind, message)) = image {
            problems.add(number, kind, message);
        }
    })?;
    if problems.is_empty() {
        Ok(Source::Ids {
            files: found.files.clone(),
            by_id,
        })
    } else {
        Err(DatasetError::Lines {
            path: found.files.first().cloned().unwrap_or_default(),
            problems,
        })
    }
}
