//! One question of any dataset: about an image, or text-only.

use std::collections::BTreeMap;

use crate::dataset::ImageRef;
use crate::metric::{AnswerRule, ocrbench};

/// A question, its image, and the right answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Unique in its dataset.
    pub id: String,
    /// Id that the samples on one image share: the cluster of every statistic.
    pub image_id: String,
    /// Location of the image; [`ImageRef::None`] for a text-only question.
    pub image: ImageRef,
    /// Width and height in pixels, if the dataset states them.
    pub image_size: Option<[usize; 2]>,
    /// The whole prompt, instruction included, without the image placeholder.
    pub question: String,
    /// Accepted answers; at least one wherever answers are scored here.
    pub answers: Vec<String>,
    /// Texts of the options A, B, … of a choice; empty for other questions.
    pub choices: Vec<String>,
    /// The kind of question, by which results are broken down.
    pub family: String,
    /// Further categories, by name.
    pub keys: BTreeMap<String, String>,
    /// Boxes of the evidence, `[x0, y0, x1, y1]` in pixels of the stored image; empty where the
    /// evidence is unknown or absent.
    pub boxes: Vec<[f64; 4]>,
}

impl Sample {
    /// Whether the question is asked without an image.
    pub fn is_text_only(&self) -> bool {
        self.image == ImageRef::None
    }

    /// Score of an answer by a rule, 0 to 1. OCRBench's rules score formulas, which are recognised
    /// by the family, differently from texts.
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
