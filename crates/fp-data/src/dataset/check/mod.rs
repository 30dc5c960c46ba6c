//! Finds everything that is wrong with a dataset: its lines, its images, its boxes.

mod boxes;
mod copies;
mod findings;
mod images;

pub use findings::{
    Finding, Findings, ImageFault, ImageNote, ImageNotes, ImageProblem, ImageProblems,
};

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fp_scoring::error_text;

use super::{DatasetError, DatasetSplit, ImageRef, ProblemKind, Problems, Reading, find_all};
use findings::Used;

/// How thoroughly images are inspected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CheckDepth {
    /// Headers and the structure of the whole file.
    #[default]
    Header,
    /// In addition, every pixel is decoded.
    Decode,
}

/// A dataset with everything that is wrong with it.
#[derive(Debug)]
pub struct Checked {
    /// The part that could be read; `None` where not even the questions could.
    pub reading: Option<Reading>,
    /// Problems of whole files, each naming its file.
    pub errors: Vec<String>,
    /// Lines with a problem, boxes and sizes included.
    pub problems: Problems,
    /// Images with a problem.
    pub images: ImageProblems,
    /// Images that can be used, with a remark.
    pub image_notes: ImageNotes,
    /// Number of a benchmark's boxes that extend beyond their image and are clipped.
    pub num_cut_boxes: usize,
}

impl Checked {
    /// Whether nothing is wrong.
    pub fn is_right(&self) -> bool {
        self.errors.is_empty() && self.problems.is_empty() && self.images.is_empty()
    }

    /// Whether a study on it can run: nothing is wrong, and its answers can be scored.
    pub fn is_complete(&self) -> bool {
        let dataset = self.reading.as_ref().map(|reading| &reading.dataset);
        let has_answers = |judge: &Option<String>| judge.is_none();
        self.is_right() && dataset.is_some_and(|dataset| has_answers(&dataset.judge))
    }
}

/// Reads a dataset and checks all of it. Images are inspected in parallel.
pub fn check(split: &DatasetSplit, depth: CheckDepth) -> Checked {
    match split.read() {
        Ok(reading) => check_reading(reading, depth),
        Err(error) => Checked {
            reading: None,
            errors: vec![error_text(&error)],
            problems: Problems::default(),
            images: ImageProblems::default(),
            image_notes: ImageNotes::default(),
            num_cut_boxes: 0,
        },
    }
}

fn check_reading(reading: Reading, depth: CheckDepth) -> Checked {
    let samples = &reading.dataset.samples;
    let mut errors: Vec<String> = reading
        .faults
        .iter()
        .map(|fault| error_text(fault.as_ref()))
        .collect();
    if samples.is_empty() && reading.problems.is_empty() {
        let file = reading.dataset.files.first();
        let name = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        errors.push(format!("{name}no question in it"));
    }
    let mut places: HashMap<&ImageRef, usize> = HashMap::new();
    let mut distinct: Vec<&ImageRef> = Vec::new();
    let of_sample: Vec<usize> = samples
        .iter()
        .map(|sample| {
            *places.entry(&sample.image).or_insert_with(|| {
                distinct.push(&sample.image);
                distinct.len() - 1
            })
        })
        .collect();
    let mut uses = vec![0_usize; distinct.len()];
    let mut first = vec![""; distinct.len()];
    for (&place, sample) in of_sample.iter().zip(samples) {
        if uses[place] == 0 {
            first[place] = &sample.id;
        }
        uses[place] += 1;
    }
    let used = |place: usize| Used {
        image: distinct[place],
        question: first[place],
        num_questions: uses[place],
    };
    let looked = images::look_at(&distinct, depth);
    let mut images = ImageProblems::default();
    let mut image_notes = ImageNotes::default();
    for (place, looked) in looked.iter().enumerate() {
        if let Err((fault, message)) = &looked.found {
            images.add(*fault, used(place), message);
        }
        for (note, message) in &looked.notes {
            image_notes.add(*note, used(place), message);
        }
    }
    for (copy, original) in copies::copies(&distinct, &looked) {
        let name = distinct[original].name(&reading.dataset.folder);
        image_notes.add(ImageNote::Copy, used(copy), &format!("the same as {name}"));
    }
    let mut late = boxes::Late::new(reading.dataset.benchmark);
    for (index, (sample, place)) in samples.iter().zip(&of_sample).enumerate() {
        if let Some(Ok(size)) = looked.get(*place).map(|looked| &looked.found) {
            let number = reading.numbers.get(index).copied().unwrap_or(index + 1);
            late.check(number, sample, *size);
        }
    }
    let num_cut_boxes = late.num_cut_boxes;
    let problems = merged(&reading.problems, late.found);
    Checked {
        errors,
        problems,
        images,
        image_notes,
        num_cut_boxes,
        reading: Some(reading),
    }
}

/// Problems found while reading and later ones, in the order of the file.
fn merged(read: &Problems, later: Vec<(usize, ProblemKind, String)>) -> Problems {
    if later.is_empty() {
        return read.clone();
    }
    let mut all: Vec<(usize, ProblemKind, String)> = read
        .first()
        .iter()
        .map(|problem| (problem.line, problem.kind, problem.message.clone()))
        .collect();
    all.extend(later);
    all.sort_by_key(|(line, ..)| *line);
    let mut problems = Problems::of(read.unit());
    for (line, kind, message) in all {
        problems.add(line, kind, message);
    }
    // Problems beyond those kept in full are still counted.
    problems.add_counts_beyond(read);
    problems
}

/// A dataset in a folder, or the problem of a file that might be one.
#[derive(Debug)]
pub enum Location {
    /// A dataset.
    Split(DatasetSplit),
    /// The folder or file, and its problem.
    Damaged(PathBuf, String),
}

/// Datasets in a folder, or else in its subfolders.
#[derive(Debug, Default)]
pub struct Places {
    /// Datasets, and problems that keep files from being datasets.
    pub found: Vec<Location>,
    /// Subfolders in which nothing is recognised.
    pub unknown: Vec<PathBuf>,
}

/// Datasets of the folder, or of its subfolders where it holds none itself.
///
/// # Errors
/// A folder that can't be read.
pub fn places(folder: &Path) -> std::io::Result<Places> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    let mut places = Places::default();
    let near = places.add(folder);
    if places.has_part() {
        return Ok(places);
    }
    for folder in folders {
        let before = places.found.len();
        let near = places.add(&folder);
        places.found.extend(near);
        if places.found.len() == before {
            places.unknown.push(folder);
        }
    }
    // A stray file beside folders of datasets is no error.
    if !places.has_part() {
        places.found.extend(near);
    }
    Ok(places)
}

impl Places {
    /// Adds the contents of a folder; returns the problems of files with nearly the names of a
    /// benchmark's files.
    fn add(&mut self, folder: &Path) -> Vec<Location> {
        let (splits, errors) = find_all(folder);
        self.found.extend(splits.into_iter().map(Location::Split));
        let mut near = Vec::new();
        for error in errors {
            let place = Location::Damaged(folder.to_owned(), error_text(&error));
            match error {
                DatasetError::NearMiss { .. } => near.push(place),
                _ => self.found.push(place),
            }
        }
        near
    }

    /// Whether there is any dataset.
    pub fn has_part(&self) -> bool {
        let is_split = |place: &Location| matches!(place, Location::Split(_));
        self.found.iter().any(is_split)
    }
}
