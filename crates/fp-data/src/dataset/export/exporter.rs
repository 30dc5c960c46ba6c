//! The folder that a dataset is exported to: its images, lines and files.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Exported;
use super::writers::{LineWriter, TableWriter, cant_write};
use crate::dataset::image::{ImageRef, extension};
use crate::dataset::llava::stem;
use crate::dataset::{Benchmark, Dataset, DatasetError};
use crate::sample::Sample;

/// Writes files into one folder.
#[derive(Debug)]
pub(in crate::dataset) struct Exporter {
    pub(in crate::dataset) folder: PathBuf,
    /// Name of the file, by folder and image.
    images: HashMap<(String, ImageRef), String>,
    used: HashSet<PathBuf>,
}

impl Exporter {
    pub(in crate::dataset) fn new(folder: &Path) -> Result<Exporter, DatasetError> {
        fs::create_dir_all(folder).map_err(cant_write(folder))?;
        let mut entries = fs::read_dir(folder).map_err(cant_write(folder))?;
        if entries.next().is_some() {
            return Err(DatasetError::NotEmpty {
                path: folder.to_owned(),
            });
        }
        Ok(Exporter {
            folder: folder.to_owned(),
            images: HashMap::new(),
            used: HashSet::new(),
        })
    }

    /// Summary of what was written.
    pub(in crate::dataset) fn exported(
        &self,
        all: &Dataset,
        fitting: &Dataset,
        benchmark: Benchmark,
    ) -> Exported {
        let images: HashSet<&ImageRef> = fitting.samples.iter().map(|s| &s.image).collect();
        let num_left_out = all.samples.len() - fitting.samples.len();
        Exported {
            folder: self.folder.clone(),
            num_samples: fitting.samples.len(),
            num_images: images.len(),
            num_left_out,
            reason: (num_left_out > 0).then(|| benchmark.needs()),
        }
    }

    /// Copies a sample's image into a folder once, and returns its name there.
    pub(in crate::dataset) fn image(
        &mut self,
        sample: &Sample,
        dir: &str,
    ) -> Result<String, DatasetError> {
        let key = (dir.to_owned(), sample.image.clone());
        if let Some(name) = self.images.get(&key) {
            return Ok(name.clone());
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let stem: String = stem(&sample.image_id)
            .chars()
            .map(|c| if allowed(c) { c } else { '_' })
            .collect();
        let name = self.own_image(sample, dir, &stem)?;
        self.images.insert(key, name.clone());
        Ok(name)
    }

    /// Copies a sample's image under the given name, to which the extension is added.
    pub(in crate::dataset) fn own_image(
        &mut self,
        sample: &Sample,
        dir: &str,
        stem: &str,
    ) -> Result<String, DatasetError> {
        let bytes = read_image(sample)?;
        let ending = extension(&bytes);
        let dir = self.folder.join(dir);
        fs::create_dir_all(&dir).map_err(cant_write(&dir))?;
        let mut name = format!("{stem}.{ending}");
        let mut number = 1;
        while !self.used.insert(dir.join(&name)) {
            name = format!("{stem}-{number}.{ending}");
            number += 1;
        }
        let path = dir.join(&name);
        fs::write(&path, bytes).map_err(cant_write(&path))?;
        Ok(name)
    }

    /// A sample's image in Base64.
    pub(in crate::dataset) fn base64(&self, sample: &Sample) -> Result<String, DatasetError> {
        Ok(STANDARD.encode(read_image(sample)?))
    }

    /// Width and height of a sample's image.
    pub(in crate::dataset) fn size(&self, sample: &Sample) -> Result<[usize; 2], DatasetError> {
        match sample.image_size {
            Some(size) => Ok(size),
            None => sample
                .image
                .size()
                .map_err(|error| DatasetError::Unreadable {
                    path: sample.image.to_string().into(),
                    reason: "it isn't a whole image".to_owned(),
                    source: error.into(),
                }),
        }
    }

    /// An id as a JSON number if it is one.
    #[expect(clippy::unused_self, reason = "reads as the other parts of a line do")]
    pub(in crate::dataset) fn id(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if number.to_string() == id => json!(number),
            _ => json!(id),
        }
    }

    /// A line of LLaVA's question files.
    pub(in crate::dataset) fn question(
        &self,
        sample: &Sample,
        id: &Value,
        image: &str,
        category: &str,
    ) -> Value {
        let mut line = json!({
            "question_id": id,
            "image": image,
            "text": sample.question,
            "category": category,
        });
        self.add_boxes(sample, &mut line);
        line
    }

    /// Adds a sample's boxes to an entry, as `[x, y, width, height]`.
    #[expect(clippy::unused_self, reason = "reads as the other parts of a line do")]
    pub(in crate::dataset) fn add_boxes(&self, sample: &Sample, entry: &mut Value) {
        if !sample.boxes.is_empty() {
            entry["bbox"] = json!(widths(&sample.boxes));
        }
    }

    /// Writes a file of JSON.
    pub(in crate::dataset) fn json(&self, name: &str, value: &Value) -> Result<(), DatasetError> {
        self.text(name, &value.to_string())
    }

    /// Writes a file.
    pub(in crate::dataset) fn text(&self, name: &str, text: &str) -> Result<(), DatasetError> {
        let (mut file, path) = self.create(name)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.flush());
        written.map_err(cant_write(&path))
    }

    /// Begins a file with one JSON object per line.
    pub(in crate::dataset) fn lines(&self, name: &str) -> Result<LineWriter, DatasetError> {
        let (file, path) = self.create(name)?;
        Ok(LineWriter::new(file, path))
    }

    /// Begins a tab-separated table.
    pub(in crate::dataset) fn table(
        &self,
        name: &str,
        header: &[&str],
    ) -> Result<TableWriter, DatasetError> {
        let (file, path) = self.create(name)?;
        TableWriter::new(file, path, header)
    }

    fn create(&self, name: &str) -> Result<(BufWriter<File>, PathBuf), DatasetError> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(cant_write(folder))?;
        }
        let file = File::create(&path).map_err(cant_write(&path))?;
        Ok((BufWriter::new(file), path))
    }
}

/// Boxes as `[x, y, width, height]`.
pub(in crate::dataset) fn widths(boxes: &[[f64; 4]]) -> Vec<[f64; 4]> {
    let width = |&[x0, y0, x1, y1]: &[f64; 4]| [x0, y0, x1 - x0, y1 - y0];
    boxes.iter().map(width).collect()
}

/// The bytes of a sample's image.
pub(in crate::dataset) fn read_image(sample: &Sample) -> Result<Vec<u8>, DatasetError> {
    sample.image.read().map_err(|source| DatasetError::Io {
        path: sample.image.container().to_owned(),
        source,
    })
}
