//! One question, as every dataset gives it: about an image, or about a text alone.

use std::collections::BTreeMap;

use crate::dataset::ImageRef;
use crate::metric::{AnswerRule, ocrbench};

/// A question, its image, and what is right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Unique in its dataset.
    pub id: String,
    /// What the samples of one image share: the cluster of every statistic.
    pub image_id: String,
    /// Where the image lies; [`ImageRef::None`] for a text-only question.
    pub image: ImageRef,
    /// Width and height in pixels, where the dataset says it.
    pub image_size: Option<[usize; 2]>,
    /// The user's whole text, instruction included, without the image's placeholder.
    pub question: String,
    /// Answers that count; at least one wherever answers are scored here.
    pub answers: Vec<String>,
    /// Texts of the options A, B, … of a choice; empty for other questions.
    pub choices: Vec<String>,
    /// The kind of question that results are broken down by.
    pub family: String,
    /// Further categories, by name.
    pub keys: BTreeMap<String, String>,
    /// Boxes of what decides the answer, `[x0, y0, x1, y1]` in pixels of the image
    /// as stored; empty where nothing is known or nothing is to be seen.
    pub boxes: Vec<[f64; 4]>,
}

impl Sample {
    /// Whether the question is asked without an image.
    pub fn is_text_only(&self) -> bool {
        self.image == ImageRef::None
    }

    /// Score of an answer by a rule, 0 to 1. OCRBench's rules read formulas, which the
    /// family tells, in another way than texts.
    pub fn score(&self, rule: AnswerRule, answer: &str) -> f64 {
        let is_right: fn(&str, &str) -> bool = match rule {
            AnswerRule::Ocrbench => ocrbench::is_right_expression,
            AnswerRule::OcrbenchLmmsEval => ocrbench::is_right_expression_lmms_eval,
            _ => return rule.score_among(answer, &self.answers, &self.choices),
        };
        if self.family != ocrbench::EXPRESSIONS {
            return rule.score_among(answer, &self.answers, &self.choices);
        }
        let is_right = self.answers.iter().any(|gold| is_right(answer, gold));
        f64::from(u8::from(is_right))
    }
}
