//! Checks that every loader applies to a question: its image exists, its id is new, its answers can
//! be scored.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use super::image::ImageRef;
use super::lines::LineFault;
use super::{ProblemKind, Problems};
use crate::metric::AnswerRule;
use crate::sample::Sample;

/// The samples read so far, and the problems of those that can't be used.
#[derive(Debug)]
pub(super) struct Collector {
    /// How answers are scored; `None` where there are no reference answers.
    rule: Option<AnswerRule>,
    ids: HashSet<String>,
    /// Path of each image name; most images are named several times.
    images: HashMap<String, Option<PathBuf>>,
    /// Images that were not found, each with its message.
    absent: HashMap<ImageRef, String>,
    pub(super) problems: Problems,
    pub(super) samples: Vec<Sample>,
    /// Questions that are asked without an image.
    pub(super) text_only: Vec<Sample>,
    /// Questions whose only problem is that their image is missing, each with the number of samples
    /// before it.
    pub(super) without_file: Vec<(usize, Sample)>,
    /// Number of the line or row that each sample came from.
    pub(super) numbers: Vec<usize>,
}

impl Collector {
    /// Creates a collector of questions whose source is called `unit`, such as `line`.
    pub(super) fn new(unit: &'static str, rule: Option<AnswerRule>) -> Self {
        Collector {
            rule,
            ids: HashSet::new(),
            images: HashMap::new(),
            absent: HashMap::new(),
            problems: Problems::of(unit),
            samples: Vec::new(),
            text_only: Vec::new(),
            without_file: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Records a problem of a question.
    pub(super) fn fault(&mut self, number: usize, (kind, message): LineFault) {
        self.problems.add(number, kind, message);
    }

    /// Looks for an image by its name in several folders, without opening it. A missing image gets
    /// its path in the first folder; its questions are set apart when they are pushed.
    pub(super) fn image(&mut self, folders: &[PathBuf], name: &str) -> Result<ImageRef, LineFault> {
        if !is_inside(name) {
            return Err((
                ProblemKind::InvalidValue,
                format!("image {name:?} is not a path inside the folder of images"),
            ));
        }
        if !self.images.contains_key(name) {
            let mut places = folders.iter().map(|folder| folder.join(name));
            let found = places.find(|path| path.is_file());
            self.images.insert(name.to_owned(), found);
        }
        if let Some(Some(path)) = self.images.get(name) {
            return Ok(ImageRef::File(path.clone()));
        }
        let places: Vec<PathBuf> = folders.iter().map(|folder| folder.join(name)).collect();
        let told: Vec<String> = places.iter().map(|at| at.display().to_string()).collect();
        let image = ImageRef::File(places.into_iter().next().unwrap_or_default());
        self.note_absent(&image, format!("no image {}", told.join(" nor ")));
        Ok(image)
    }

    /// Records that an image is missing.
    pub(super) fn note_absent(&mut self, image: &ImageRef, message: String) {
        self.absent.entry(image.clone()).or_insert(message);
    }

    /// Refuses an id that an earlier question has.
    pub(super) fn refuse_known(&self, id: &str) -> Result<(), LineFault> {
        if self.ids.contains(id) {
            let message = format!("id {id:?} is already used by an earlier question");
            Err((ProblemKind::DuplicateId, message))
        } else {
            Ok(())
        }
    }

    /// Adds a question, unless something is wrong with it; all problems are recorded.
    pub(super) fn push(&mut self, number: usize, sample: Sample) {
        if self.note_faults(number, &sample) {
            return;
        }
        self.ids.insert(sample.id.clone());
        if self.absent.contains_key(&sample.image) {
            self.without_file.push((self.samples.len(), sample));
        } else if sample.is_text_only() {
            self.text_only.push(sample);
        } else {
            self.samples.push(sample);
            self.numbers.push(number);
        }
    }

    /// Records everything that is wrong with a question; returns whether anything is, apart from a
    /// missing image.
    pub(super) fn note_faults(&mut self, number: usize, sample: &Sample) -> bool {
        let mut faults = self.faults_of(sample);
        faults.extend(self.refuse_known(&sample.id).err());
        let has_faults = !faults.is_empty();
        let absent = self.absent.get(&sample.image).cloned();
        faults.extend(absent.map(|message| (ProblemKind::MissingImage, message)));
        for fault in faults {
            self.fault(number, fault);
        }
        has_faults
    }

    /// Adds a question as a loader made it, or records its problem.
    pub(super) fn take(&mut self, number: usize, sample: Result<Sample, LineFault>) {
        match sample {
            Ok(sample) => self.push(number, sample),
            Err(fault) => self.fault(number, fault),
        }
    }

    fn faults_of(&self, sample: &Sample) -> Vec<LineFault> {
        let mut faults = Vec::new();
        let mut invalid = |message: String| faults.push((ProblemKind::InvalidValue, message));
        if sample.id.is_empty() {
            invalid("the id is empty".to_owned());
        }
        if sample.question.contains(fp_image::IMAGE_PLACEHOLDER) {
            invalid(format!(
                "the question contains {}, which the prompt template inserts",
                fp_image::IMAGE_PLACEHOLDER
            ));
        }
        for area in sample.boxes.iter().filter(|area| !is_box(area)) {
            invalid(format!(
                "box {area:?} is empty or not finite; a box is [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
            ));
        }
        let checked = self
            .rule
            .map(|rule| rule.check_answers(&sample.answers, &sample.choices));
        if let Some(Err(error)) = checked {
            let error = fp_scoring::error_text(&error);
            faults.push(if sample.answers.is_empty() {
                (ProblemKind::MissingAnswer, format!("no answer: {error}"))
            } else {
                (ProblemKind::InvalidValue, error)
            });
        }
        faults
    }
}

fn is_box(&[x0, y0, x1, y1]: &[f64; 4]) -> bool {
    [x0, y0, x1, y1].iter().all(|value| value.is_finite()) && x0 < x1 && y0 < y1
}

/// Whether a path stays inside the folder that it is relative to.
pub(super) fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// The image id of a text-only question, unique to it.
pub(super) fn text_only_image_id(id: &str) -> String {
    format!("text-only:{id}")
}

/// Numbers the uses of ids that are not unique: `a#0`, `a#1`, …
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    counts: HashMap<String, usize>,
}

impl Occurrences {
    /// The next unique name of `id`.
    pub(crate) fn next(&mut self, id: &str) -> String {
        let count = match self.counts.get_mut(id) {
            Some(count) => count,
            None => self.counts.entry(id.to_owned()).or_default(),
        };
        *count += 1;
        format!("{id}#{}", *count - 1)
    }
}
