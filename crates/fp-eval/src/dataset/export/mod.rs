//! Writing a data set in another layout.
//!
//! Every layout is written so that reading it gives the same prompts, answers, images
//! and, where it has a place for them, boxes. Ids are kept where the layout lets them
//! be anything.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::image::{ImageRef, extension};
use super::tsv::write_row;
use super::{Benchmark, Dataset, DatasetError, mme};
use crate::metric::textvqa::{NUM_GOLDS, question_key};
use crate::metric::vqa::INSTRUCTION;
use crate::sample::Sample;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The folder.
    pub folder: PathBuf,
    /// Samples that were written.
    pub num_samples: usize,
    /// Their images.
    pub num_images: usize,
    /// Samples that the layout has no place for.
    pub num_left_out: usize,
    /// What the layout asks of a sample, where some were left out.
    pub reason: Option<&'static str>,
}

/// Writes the samples that fit a benchmark's layout to a folder that is new or empty.
///
/// # Errors
/// A folder that holds something, no sample that fits, an image that can't be read, a
/// file that can't be written.
pub fn export(
    dataset: &Dataset,
    benchmark: Benchmark,
    folder: &Path,
) -> Result<Exported, DatasetError> {
    let fitting = fitting(dataset, benchmark)?;
    let mut out = Exporter::new(folder)?;
    benchmark.write(&fitting, &mut out)?;
    Ok(out.exported(dataset, &fitting, benchmark))
}

/// The data set with only the samples that a layout has a place for.
pub(super) fn fitting(dataset: &Dataset, benchmark: Benchmark) -> Result<Dataset, DatasetError> {
    let mut asked = HashSet::new();
    let is_new = |sample: &Sample, asked: &mut HashSet<(String, String)>| {
        let key = question_key(&sample.question).unwrap_or_else(|_| sample.question.to_lowercase());
        benchmark != Benchmark::Textvqa || asked.insert((sample.image_id.clone(), key))
    };
    let mut fitting = Dataset {
        samples: Vec::new(),
        ..dataset.clone_head()
    };
    for sample in &dataset.samples {
        let sample = match sample.choices.is_empty() {
            true => Sample {
                choices: choices_of(&sample.question),
                ..sample.clone()
            },
            false => sample.clone(),
        };
        if benchmark.fits(&sample) && is_new(&sample, &mut asked) {
            fitting.samples.push(sample);
        }
    }
    if benchmark == Benchmark::Mme {
        let pairs = mme::pairs(&fitting);
        let samples = pairs
            .into_iter()
            .map(|index| fitting.samples[index].clone());
        fitting.samples = samples.collect();
    }
    if fitting.samples.is_empty() {
        return Err(DatasetError::NothingFits {
            name: dataset.name.clone(),
            count: dataset.samples.len(),
            layout: benchmark.title(),
            reason: benchmark.needs(),
        });
    }
    Ok(fitting)
}

impl Dataset {
    /// Everything but the samples.
    pub(super) fn clone_head(&self) -> Dataset {
        Dataset {
            name: self.name.clone(),
            split: self.split.clone(),
            benchmark: self.benchmark,
            answer_rule: self.answer_rule,
            judge: self.judge.clone(),
            families: self.families.clone(),
            license: self.license.clone(),
            source: self.source.clone(),
            folder: self.folder.clone(),
            files: self.files.clone(),
            notes: self.notes.clone(),
            samples: Vec::new(),
        }
    }
}

/// Options that a prompt lists as lines `A. …`, `B. …`, in that order.
fn choices_of(question: &str) -> Vec<String> {
    let mut letters = 'A'..='Z';
    let mut letter = letters.next();
    let mut choices = Vec::new();
    for line in question.lines() {
        let text = letter.and_then(|letter| line.strip_prefix(letter)?.strip_prefix(". "));
        match text {
            Some(text) => {
                choices.push(text.to_owned());
                letter = letters.next();
            }
            None if choices.is_empty() => {}
            None => break,
        }
    }
    choices
}

/// A question without the instruction that layouts put behind it.
pub(super) fn bare_question(question: &str) -> &str {
    let bare = question.strip_suffix(INSTRUCTION);
    bare.and_then(|text| text.strip_suffix('\n'))
        .unwrap_or(question)
}

/// As many answers as VQA accuracy is defined for: a single one stands ten times.
pub(super) fn ten(answers: &[String]) -> Vec<&str> {
    match answers {
        [only] => vec![only; NUM_GOLDS],
        several => several.iter().map(String::as_str).collect(),
    }
}

/// Writes files into one folder.
#[derive(Debug)]
pub(super) struct Exporter {
    pub(super) folder: PathBuf,
    /// By folder and image: the file's name.
    images: HashMap<(String, ImageRef), String>,
    used: HashSet<PathBuf>,
}

impl Exporter {
    pub(super) fn new(folder: &Path) -> Result<Exporter, DatasetError> {
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

    /// What came of it.
    pub(super) fn exported(
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

    /// Copies a sample's image into a folder, once, and gives its name there.
    pub(super) fn image(&mut self, sample: &Sample, dir: &str) -> Result<String, DatasetError> {
        let key = (dir.to_owned(), sample.image.clone());
        if let Some(name) = self.images.get(&key) {
            return Ok(name.clone());
        }
        let stem = super::llava::stem(&sample.image_id);
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let stem: String = stem
            .chars()
            .map(|c| if allowed(c) { c } else { '_' })
            .collect();
        let name = self.own_image(sample, dir, &stem)?;
        self.images.insert(key, name.clone());
        Ok(name)
    }

    /// Copies a sample's image under a name of its own, without ending.
    pub(super) fn own_image(
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
    pub(super) fn base64(&self, sample: &Sample) -> Result<String, DatasetError> {
        Ok(STANDARD.encode(read_image(sample)?))
    }

    /// Width and height of a sample's image.
    pub(super) fn size(&self, sample: &Sample) -> Result<[usize; 2], DatasetError> {
        match sample.image_size {
            Some(size) => Ok(size),
            None => image_size(sample),
        }
    }

    /// An id as a number where it is one.
    #[expect(clippy::unused_self, reason = "reads as the other parts of a line do")]
    pub(super) fn id(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if number.to_string() == id => json!(number),
            _ => json!(id),
        }
    }

    /// A line of LLaVA's question files.
    pub(super) fn question(
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
    pub(super) fn add_boxes(&self, sample: &Sample, entry: &mut Value) {
        if !sample.boxes.is_empty() {
            entry["bbox"] = json!(widths(&sample.boxes));
        }
    }

    /// Writes a file of JSON.
    pub(super) fn json(&self, name: &str, value: &Value) -> Result<(), DatasetError> {
        self.text(name, &value.to_string())
    }

    /// Writes a file.
    pub(super) fn text(&self, name: &str, text: &str) -> Result<(), DatasetError> {
        let (mut file, path) = self.create(name)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.flush());
        written.map_err(cant_write(&path))
    }

    /// Begins a file with an object a line.
    pub(super) fn lines(&self, name: &str) -> Result<LineWriter, DatasetError> {
        let (file, path) = self.create(name)?;
        Ok(LineWriter { file, path })
    }

    /// Begins a table with tabs.
    pub(super) fn table(&self, name: &str, header: &[&str]) -> Result<TableWriter, DatasetError> {
        let (file, path) = self.create(name)?;
        let mut table = TableWriter { file, path };
        table.write(header)?;
        Ok(table)
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
pub(super) fn widths(boxes: &[[f64; 4]]) -> Vec<[f64; 4]> {
    let width = |&[x0, y0, x1, y1]: &[f64; 4]| [x0, y0, x1 - x0, y1 - y0];
    boxes.iter().map(width).collect()
}

/// The bytes of a sample's image.
pub(super) fn read_image(sample: &Sample) -> Result<Vec<u8>, DatasetError> {
    sample.image.read().map_err(|source| DatasetError::Io {
        path: sample.image.container().to_owned(),
        source,
    })
}

fn image_size(sample: &Sample) -> Result<[usize; 2], DatasetError> {
    let bytes = read_image(sample)?;
    let reader = ::image::ImageReader::new(std::io::Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(::image::ImageError::from);
    match reader.and_then(::image::ImageReader::into_dimensions) {
        Ok((width, height)) => Ok([width as usize, height as usize]),
        Err(error) => Err(DatasetError::Content {
            path: sample.image.container().to_owned(),
            reason: format!("image {}: {error}", sample.image),
        }),
    }
}

/// A file with an object a line.
#[derive(Debug)]
pub(super) struct LineWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl LineWriter {
    pub(super) fn write(&mut self, line: &Value) -> Result<(), DatasetError> {
        writeln!(self.file, "{line}").map_err(cant_write(&self.path))
    }

    pub(super) fn finish(mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(cant_write(&self.path))
    }
}

/// A table with tabs.
#[derive(Debug)]
pub(super) struct TableWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl TableWriter {
    pub(super) fn write(&mut self, cells: &[&str]) -> Result<(), DatasetError> {
        write_row(&mut self.file, cells).map_err(cant_write(&self.path))
    }

    pub(super) fn finish(mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(cant_write(&self.path))
    }
}

pub(super) fn cant_write(path: &Path) -> impl FnOnce(std::io::Error) -> DatasetError {
    let path = path.to_owned();
    move |source| DatasetError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_lines_with_letters_in_order() {
        assert_eq!(
            choices_of("What?\nA. red\nB. blue sky\nAnswer."),
            ["red", "blue sky"]
        );
        assert_eq!(choices_of("What?\nA. red\nC. blue"), ["red"]);
        assert!(choices_of("A or B?").is_empty());
    }

    #[test]
    fn only_a_whole_instruction_goes() {
        let whole = format!("What?\n{INSTRUCTION}");
        assert_eq!(bare_question(&whole), "What?");
        let beside = format!("What? {INSTRUCTION}");
        assert_eq!(bare_question(&beside), beside);
    }

    #[test]
    fn one_answer_stands_ten_times() {
        assert_eq!(ten(&["a".to_owned()]), ["a"; 10]);
        assert_eq!(ten(&["a".to_owned(), "b".to_owned()]), ["a", "b"]);
    }
}
