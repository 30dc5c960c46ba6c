//! Question files in LLaVA's form whose reference answers are in a separate file, and questions
//! that are left out on purpose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::annotations::Annotations;
use super::collect::Collector;
use super::lines::LineFault;
use super::llava::{Question, for_each_question, image_folders};
use super::{Benchmark, DatasetError, Reading};
use crate::sample::Sample;

/// What happens to a question.
pub(super) enum Taken {
    /// It is asked.
    Asked(Box<Sample>),
    /// It is left out, for this reason (a clause).
    LeftOut(&'static str),
}

impl Taken {
    pub(super) fn asked(sample: Sample) -> Taken {
        Taken::Asked(Box::new(sample))
    }
}

/// Numbers of questions that are left out, by reason.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    counts: BTreeMap<&'static str, usize>,
}

impl LeftOut {
    pub(super) fn add(&mut self, reason: &'static str) {
        *self.counts.entry(reason).or_default() += 1;
    }

    /// A note per reason, of `total` questions.
    pub(super) fn notes(&self, total: usize) -> Vec<String> {
        let note = |(reason, count): (&&str, &usize)| {
            format!("{count} of {total} questions {reason} and are skipped")
        };
        self.counts.iter().map(note).collect()
    }
}

/// Location of a split's questions and images.
pub(super) struct Lines<'a> {
    pub(super) benchmark: Benchmark,
    pub(super) folder: &'a Path,
    pub(super) split: &'a str,
    /// The question file.
    pub(super) questions: PathBuf,
    /// Files that the reference answers come from.
    pub(super) annotations: Vec<PathBuf>,
    /// Folders below `folder` that may hold the images.
    pub(super) images: &'a [&'a str],
}

impl Lines<'_> {
    /// Reads every line. `make` returns what is known of a question besides its line: its id, its
    /// text, its boxes and its image. The image's id is its name unless `make` returns another.
    pub(super) fn read(
        self,
        mut make: impl FnMut(&Question) -> Result<Taken, LineFault>,
    ) -> Result<Reading, DatasetError> {
        let images = image_folders(self.folder, self.images);
        let mut collector = Collector::new("line", self.benchmark.answer_rule());
        let mut left_out = LeftOut::default();
        let mut total = 0;
        for_each_question(&self.questions, |number, question| {
            total = number;
            let sample = question.and_then(|question| {
                collector.refuse_known(&question.question_id.clone().into_text())?;
                let made = match make(&question)? {
                    Taken::Asked(made) => *made,
                    Taken::LeftOut(reason) => {
                        left_out.add(reason);
                        return Ok(None);
                    }
                };
                let image = collector.image(&images, image_name(&question.image, self.images))?;
                let of_line = question.into_sample(image);
                Ok(Some(Sample {
                    id: of_line.id,
                    image_id: match made.image_id.as_str() {
                        "" => of_line.image_id,
                        _ => made.image_id.clone(),
                    },
                    image: of_line.image,
                    question: of_line.question,
                    boxes: of_line.boxes,
                    ..made
                }))
            });
            if let Some(sample) = sample.transpose() {
                collector.take(number, sample);
            }
        })?;
        let mut files = vec![self.questions];
        files.extend(self.annotations);
        let mut reading = Reading::new(self.benchmark, self.split, self.folder, files, collector);
        reading.dataset.notes.extend(left_out.notes(total));
        Ok(reading)
    }
}

impl Lines<'_> {
    /// As [`Lines::read`], with the annotation that has the question's id.
    pub(super) fn read_with<T>(
        self,
        mut golds: Annotations<T>,
        mut make: impl FnMut(&Question, T) -> Result<Taken, LineFault>,
    ) -> Result<Reading, DatasetError> {
        let mut reading = self.read(|question| {
            let entry = golds.take(&question.question_id.clone().into_text())?;
            make(question, entry)
        })?;
        reading.dataset.notes.extend(golds.note());
        Ok(reading)
    }
}

/// An image's name within its folder, where a file names the folder too.
pub(super) fn image_name<'a>(name: &'a str, folders: &[&str]) -> &'a str {
    let inside = folders
        .iter()
        .find_map(|folder| name.strip_prefix(folder)?.strip_prefix('/'));
    inside.unwrap_or(name)
}

/// The kinds of one question joined into one family, such as `form+layout`.
pub(super) fn family(kinds: &[String]) -> String {
    if kinds.is_empty() {
        "default".to_owned()
    } else {
        kinds.join(KINDS)
    }
}

/// Separator between the kinds of a [`family`].
pub(crate) const KINDS: &str = "+";

/// Whether the only answer is the letter of an option: A to that of the last one.
pub(super) fn is_letter_of(answers: &[String], num_options: usize) -> bool {
    let mut letters = ('A'..='Z').take(num_options);
    matches!(answers, [only] if letters.any(|letter| only.chars().eq([letter])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_their_folder() {
        assert_eq!(
            image_name("documents/a.png", &["documents", "images"]),
            "a.png"
        );
        assert_eq!(
            image_name("documentsa.png", &["documents"]),
            "documentsa.png"
        );
        assert_eq!(image_name("other/a.png", &["documents"]), "other/a.png");
    }

    #[test]
    fn notes_say_how_many_and_why() {
        let mut left_out = LeftOut::default();
        for reason in ["are long", "are short", "are long"] {
            left_out.add(reason);
        }
        assert_eq!(
            left_out.notes(9),
            [
                "2 of 9 questions are long and are skipped",
                "1 of 9 questions are short and are skipped"
            ]
        );
    }

    #[test]
    fn letters() {
        let answers = |text: &str| [text.to_owned()];
        assert!(is_letter_of(&answers("B"), 2) && !is_letter_of(&answers("C"), 2));
        assert!(!is_letter_of(&answers("BB"), 4) && !is_letter_of(&[], 4));
    }
}
