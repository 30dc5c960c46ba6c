//! MME: two questions per image, one to affirm and one to deny.

use std::collections::BTreeMap;

use super::error::MetricError;
use super::pope::YesNoCounts;
use super::vqa::{INSTRUCTION, question_text as with_instruction};
use super::yes_no::YesNo;

/// The instruction at the end of every official question.
pub const OFFICIAL_INSTRUCTION: &str = "Please answer yes or no.";

/// Tasks whose sum is the perception score.
pub const PERCEPTION: [&str; 10] = [
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
];

/// Tasks whose sum is the cognition score.
pub const COGNITION: [&str; 4] = [
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
];

/// The official parsing: in lower case, `yes` or else `no` within the first four characters. So
/// `Now` is no, and an answer after four spaces is neither.
pub fn parse(answer: &str) -> YesNo {
    yes_or_no_in_prefix(&answer.to_lowercase())
}

/// lmms-eval's parsing: as the official one, after trimming and removing full stops; also accepts
/// `y` and `n`.
pub fn parse_lmms_eval(answer: &str) -> YesNo {
    let lower = answer.to_lowercase();
    match super::python_text::strip(&lower).replace('.', "").as_str() {
        "y" => YesNo::Yes,
        "n" => YesNo::No,
        answer => yes_or_no_in_prefix(answer),
    }
}

fn yes_or_no_in_prefix(lower: &str) -> YesNo {
    let prefix: String = lower.chars().take(4).collect();
    if prefix.contains("yes") {
        YesNo::Yes
    } else if prefix.contains("no") {
        YesNo::No
    } else {
        YesNo::Other
    }
}

/// A question without either instruction: official questions and LLaVA's prompts are matched by it.
pub fn official_question(text: &str) -> String {
    let text = text
        .replace(OFFICIAL_INSTRUCTION, "")
        .replace(INSTRUCTION, "");
    super::python_text::strip(&text).to_owned()
}

/// The prompt: the official question with LLaVA's instruction in place of its own.
pub fn question_text(official_question: &str) -> String {
    let question = official_question.replace(OFFICIAL_INSTRUCTION, "");
    with_instruction(super::python_text::strip(&question))
}

/// One answer of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MmeAnswer<'a> {
    /// The image's file or id.
    pub image: &'a str,
    /// The right answer.
    pub gold: YesNo,
    /// The given answer.
    pub said: YesNo,
}

/// How answers are grouped by image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MmePairing {
    /// Two consecutive answers, whatever their image's name: the official tool.
    Consecutive,
    /// Two answers with the same image: lmms-eval and VLMEvalKit.
    ByImage,
}

/// Results of one task.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MmeTask {
    /// Counts by right answer; yes is positive.
    pub counts: YesNoCounts,
    /// Number of images.
    pub num_images: usize,
    /// Number of images with both answers right.
    pub num_both_right: usize,
}

impl MmeTask {
    /// Counts the answers of one task.
    ///
    /// # Errors
    /// No answers, an image without exactly two, a gold label that is neither yes nor no.
    pub fn count(answers: &[MmeAnswer<'_>], pairing: MmePairing) -> Result<Self, MetricError> {
        if answers.is_empty() {
            return Err(MetricError::Empty {
                what: "answers of an MME task",
            });
        }
        let mut counts = YesNoCounts::default();
        for answer in answers {
            counts.add(answer.said, answer.gold)?;
        }
        let is_right = |answer: &MmeAnswer<'_>| answer.said == answer.gold;
        let unpaired = |image: &str| MetricError::Unpaired {
            what: "MME image",
            id: image.to_owned(),
            problem: "does not have exactly two answers",
        };
        let mut num_both_right = 0;
        let num_images = match pairing {
            MmePairing::Consecutive => {
                for pair in answers.chunks(2) {
                    let [first, second] = pair else {
                        return Err(unpaired(pair[0].image));
                    };
                    num_both_right += usize::from(is_right(first) && is_right(second));
                }
                answers.len() / 2
            }
            MmePairing::ByImage => {
                let mut images: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
                for answer in answers {
                    images
                        .entry(answer.image)
                        .or_default()
                        .push(is_right(answer));
                }
                for (image, right) in &images {
                    let [first, second] = right[..] else {
                        return Err(unpaired(image));
                    };
                    num_both_right += usize::from(first && second);
                }
                images.len()
            }
        };
        Ok(MmeTask {
            counts,
            num_images,
            num_both_right,
        })
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.counts.accuracy().unwrap_or_default()
    }

    /// Share of images with both answers right.
    pub fn accuracy_plus(&self) -> f64 {
        self.num_both_right as f64 / self.num_images as f64
    }

    /// 100 · accuracy + 100 · accuracy plus, at most 200.
    pub fn score(&self) -> f64 {
        100.0 * self.accuracy() + 100.0 * self.accuracy_plus()
    }
}

/// Results of all tasks.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MmeReport {
    /// By task.
    pub tasks: BTreeMap<String, MmeTask>,
}

impl MmeReport {
    /// Sum over the ten perception tasks, at most 2000; `None` if one is missing.
    pub fn perception(&self) -> Option<f64> {
        self.sum(&PERCEPTION)
    }

    /// Sum over the four cognition tasks, at most 800; `None` if one is missing.
    pub fn cognition(&self) -> Option<f64> {
        self.sum(&COGNITION)
    }

    /// Perception plus cognition; the official tool prints no such total.
    pub fn total(&self) -> Option<f64> {
        Some(self.perception()? + self.cognition()?)
    }

    fn sum(&self, tasks: &[&str]) -> Option<f64> {
        tasks
            .iter()
            .map(|task| Some(self.tasks.get(*task)?.score()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_an_answer() {
        for (answer, official, lmms_eval) in [
            ("Yes", YesNo::Yes, YesNo::Yes),
            ("NO.", YesNo::No, YesNo::No),
            ("  Yes", YesNo::Other, YesNo::Yes),
            (" Yes", YesNo::Yes, YesNo::Yes),
            ("Noon", YesNo::No, YesNo::No),
            ("Snow", YesNo::No, YesNo::No),
            ("N.", YesNo::Other, YesNo::No),
            ("y", YesNo::Other, YesNo::Yes),
            ("...no", YesNo::Other, YesNo::No),
            ("I say yes", YesNo::Other, YesNo::Other),
            ("", YesNo::Other, YesNo::Other),
        ] {
            assert_eq!(parse(answer), official, "{answer:?}");
            assert_eq!(parse_lmms_eval(answer), lmms_eval, "{answer:?}");
        }
    }

    fn answer(image: &str, gold: YesNo, said: YesNo) -> MmeAnswer<'_> {
        MmeAnswer { image, gold, said }
    }

    #[test]
    fn a_task_by_hand() {
        let answers = [
            answer("a", YesNo::Yes, YesNo::Yes),
            answer("a", YesNo::No, YesNo::No),
            answer("b", YesNo::Yes, YesNo::Other),
            answer("b", YesNo::No, YesNo::No),
        ];
        let task = MmeTask::count(&answers, MmePairing::Consecutive).unwrap();
        assert_eq!((task.accuracy(), task.accuracy_plus()), (0.75, 0.5));
        assert_eq!(task.score(), 125.0);
        assert_eq!(
            (task.counts.other_positive, task.counts.other_negative),
            (1, 0)
        );
        assert_eq!(task.counts.recall(), Some(1.0));
        assert_eq!(MmeTask::count(&answers, MmePairing::ByImage).unwrap(), task);
        // In another order, only grouping by image still scores it correctly.
        let shuffled = [answers[0], answers[3], answers[2], answers[1]];
        let by_image = MmeTask::count(&shuffled, MmePairing::ByImage).unwrap();
        assert_eq!(by_image, task);
    }

    #[test]
    fn incomplete_tasks_are_errors_and_incomplete_sums_have_no_value() {
        let one = [answer("a", YesNo::Yes, YesNo::Yes)];
        assert!(MmeTask::count(&one, MmePairing::Consecutive).is_err());
        assert!(MmeTask::count(&one, MmePairing::ByImage).is_err());
        assert!(MmeTask::count(&[], MmePairing::ByImage).is_err());
        let pair = [one[0], answer("a", YesNo::No, YesNo::Yes)];
        let task = MmeTask::count(&pair, MmePairing::Consecutive).unwrap();
        let mut report = MmeReport::default();
        for name in COGNITION {
            report.tasks.insert(name.to_owned(), task);
        }
        assert_eq!(
            (report.cognition(), report.perception()),
            (Some(200.0), None)
        );
        assert_eq!(report.total(), None);
    }

    #[test]
    fn messages() {
        assert_eq!(
            question_text("Is it red?  Please answer yes or no."),
            format!("Is it red?\n{INSTRUCTION}")
        );
    }
}
