//! GQA's official measures, over balanced questions.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use super::grounding::grounding;
use super::question::{GqaChoices, GqaQuestion, GqaScene};
use crate::metric::breakdown::{Breakdown, GroupScore};
use crate::metric::error::MetricError;

/// Valid answers to "what do they have in common".
const COMMON: [&str; 3] = ["color", "material", "shape"];

/// Inputs of the optional measures; each is left out where its input is missing.
#[derive(Debug, Clone, Default)]
pub struct GqaExtras<'a> {
    /// Whether the predictions cover all entailed questions.
    pub has_consistency: bool,
    /// Valid and plausible answers by question id.
    pub choices: Option<&'a BTreeMap<String, GqaChoices>>,
    /// Input of grounding.
    pub attention: Option<GqaAttention<'a>>,
}

/// Input of grounding.
#[derive(Debug, Clone, Copy)]
pub struct GqaAttention<'a> {
    /// Scene graphs by image id.
    pub scenes: &'a BTreeMap<String, GqaScene>,
    /// Attention by question id, `[column][row]` over a square map.
    pub maps: &'a BTreeMap<String, Vec<Vec<f64>>>,
}

/// GQA's measures. Scores are from 0 to 1; papers print percent.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct GqaReport {
    /// All questions.
    pub accuracy: GroupScore,
    /// Binary questions.
    pub binary: GroupScore,
    /// Open questions.
    pub open: GroupScore,
    /// By structural type.
    pub by_structural_type: Breakdown,
    /// By semantic type.
    pub by_semantic_type: Breakdown,
    /// By the number of steps.
    pub by_steps: BTreeMap<usize, GroupScore>,
    /// By the number of words.
    pub by_words: BTreeMap<usize, GroupScore>,
    /// Distance between the distributions of answers and golds: the chi-square statistic averaged
    /// over groups, weighted by their size, over 100. Lower is better; `None` where no question has
    /// a group.
    pub distribution: Option<f64>,
    /// Share of right answers among the questions entailed by those answered rightly.
    pub consistency: Option<GroupScore>,
    /// Share of answers within the scope of the question.
    pub validity: Option<GroupScore>,
    /// Share of answers that are reasonable.
    pub plausibility: Option<GroupScore>,
    /// Attention on the regions that question and answer point to.
    pub grounding: Option<GroupScore>,
}

impl GqaReport {
    /// Scores `predictions`, by question id, as normalised by [`super::prediction`].
    ///
    /// # Errors
    /// A balanced question without a prediction; with extras, one without its choices, scene,
    /// object, attention, or entailed questions.
    pub fn new<S: BuildHasher>(
        questions: &BTreeMap<String, GqaQuestion>,
        predictions: &std::collections::HashMap<String, String, S>,
        extras: &GqaExtras<'_>,
    ) -> Result<Self, MetricError> {
        let mut report = GqaReport::default();
        let answer_to = |id: &str| {
            predictions
                .get(id)
                .map(String::as_str)
                .ok_or_else(|| MetricError::Unpaired {
                    what: "GQA question",
                    id: id.to_owned(),
                    problem: "has no prediction",
                })
        };
        let is_right = |id: &str| {
            let question = find(questions, id, "GQA question", "is entailed, but not given")?;
            Ok::<_, MetricError>(answer_to(id)? == question.answer)
        };
        let mut golds: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        let mut answers = golds.clone();
        for (id, question) in questions
            .iter()
            .filter(|(_, question)| question.is_balanced)
        {
            let prediction = answer_to(id)?;
            let is_this_right = prediction == question.answer;
            report.add(question, score(is_this_right));
            if let Some(group) = question.groups.global.as_deref() {
                *golds
                    .entry(group)
                    .or_default()
                    .entry(&question.answer)
                    .or_default() += 1;
                *answers
                    .entry(group)
                    .or_default()
                    .entry(prediction)
                    .or_default() += 1;
            }
            if let Some(choices) = extras.choices {
                let choices = find(choices, id, "GQA question", "has no choices")?;
                let belongs = |group: &[String]| {
                    if question.asks_what_is_common() {
                        COMMON.contains(&prediction)
                    } else {
                        group.iter().any(|choice| choice == prediction)
                    }
                };
                add(&mut report.validity, score(belongs(&choices.valid)));
                add(&mut report.plausibility, score(belongs(&choices.plausible)));
            }
            if let Some(GqaAttention { scenes, maps }) = extras.attention {
                let scene = find(
                    scenes,
                    &question.image_id,
                    "GQA image",
                    "has no scene graph",
                )?;
                let map = find(maps, id, "GQA question", "has no attention")?;
                add(&mut report.grounding, grounding(question, scene, map)?);
            }
            let mut others = question
                .entailed
                .iter()
                .filter(|other| *other != id)
                .peekable();
            if extras.has_consistency && is_this_right && others.peek().is_some() {
                let mut entailed = GroupScore::default();
                for other in others {
                    entailed.add(score(is_right(other)?));
                }
                add(&mut report.consistency, entailed.mean().unwrap_or_default());
            }
        }
        report.distribution = chi_square(&golds, &answers).map(|mean| mean / 100.0);
        Ok(report)
    }

    fn add(&mut self, question: &GqaQuestion, score: f64) {
        self.accuracy.add(score);
        if question.is_open() {
            &mut self.open
        } else {
            &mut self.binary
        }
        .add(score);
        self.by_structural_type
            .add(&question.types.structural, score);
        self.by_semantic_type.add(&question.types.semantic, score);
        self.by_steps
            .entry(question.num_steps())
            .or_default()
            .add(score);
        self.by_words
            .entry(question.num_words())
            .or_default()
            .add(score);
    }
}

fn score(is_right: bool) -> f64 {
    f64::from(u8::from(is_right))
}

fn add(scores: &mut Option<GroupScore>, score: f64) {
    scores.get_or_insert_default().add(score);
}

fn find<'a, T>(
    map: &'a BTreeMap<String, T>,
    id: &str,
    what: &'static str,
    problem: &'static str,
) -> Result<&'a T, MetricError> {
    map.get(id).ok_or_else(|| MetricError::Unpaired {
        what,
        id: id.to_owned(),
        problem,
    })
}

/// Mean over groups of Σ (answers − golds)²/golds over the golds' values, weighted by group size.
fn chi_square(
    golds: &BTreeMap<&str, BTreeMap<&str, usize>>,
    answers: &BTreeMap<&str, BTreeMap<&str, usize>>,
) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (group, golds) in golds {
        let (mut statistic, mut size) = (0.0, 0.0);
        for (answer, &expected) in golds {
            let observed = answers.get(group).and_then(|answers| answers.get(answer));
            let expected = expected as f64;
            let apart = observed.map_or(0.0, |&observed| observed as f64) - expected;
            statistic += apart * apart / expected;
            size += expected;
        }
        sum += statistic * size;
        total += size;
    }
    (total > 0.0).then(|| sum / total)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A question with structural type, group and answer; its text is "Is it?".
    fn question(structural: &str, group: Option<&str>, answer: &str) -> GqaQuestion {
        serde_json::from_value(serde_json::json!({
            "question": "Is it?",
            "answer": answer,
            "imageId": "7",
            "isBalanced": true,
            "types": { "structural": structural, "semantic": "obj", "detailed": "x" },
            "semantic": [
                { "operation": "select", "argument": "dog (1)" },
                { "operation": "exist", "argument": "?" },
            ],
            "groups": { "global": group },
        }))
        .unwrap()
    }

    fn answers(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(id, answer)| ((*id).to_owned(), (*answer).to_owned()))
            .collect()
    }

    fn questions(list: Vec<GqaQuestion>) -> BTreeMap<String, GqaQuestion> {
        list.into_iter()
            .enumerate()
            .map(|(i, question)| (i.to_string(), question))
            .collect()
    }

    #[test]
    fn three_questions_by_hand() {
        let mut questions = questions(vec![
            question("query", Some("g"), "red"),
            question("query", Some("g"), "blue"),
            question("verify", None, "yes"),
            question("verify", None, "yes"),
        ]);
        questions.get_mut("3").unwrap().is_balanced = false;
        let predictions = answers(&[("0", "red"), ("1", "red"), ("2", "yes")]);
        let report = GqaReport::new(&questions, &predictions, &GqaExtras::default()).unwrap();
        assert_eq!((report.accuracy.sum, report.accuracy.count), (2.0, 3));
        assert_eq!(
            (report.open.mean(), report.binary.mean()),
            (Some(0.5), Some(1.0))
        );
        assert_eq!(report.by_structural_type.mean("query"), Some(0.5));
        assert_eq!(report.by_semantic_type.groups["obj"].count, 3);
        assert_eq!(report.by_steps.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(report.by_words.keys().copied().collect::<Vec<_>>(), [2]);
        // Golds red 1, blue 1; answers red 2: 1 + 1, over 100.
        assert_eq!(report.distribution, Some(0.02));
        assert_eq!((report.consistency, report.validity), (None, None));
    }

    #[test]
    fn consistency_validity_and_plausibility_by_hand() {
        let mut list = vec![
            question("query", None, "red"),
            question("verify", None, "yes"),
            question("verify", None, "no"),
        ];
        list[0].entailed = ["0", "1", "2"].map(str::to_owned).to_vec();
        list[1].entailed = vec!["1".to_owned()];
        list[2].types.detailed = "twoCommon".to_owned();
        let questions = questions(list);
        let predictions = answers(&[("0", "red"), ("1", "yes"), ("2", "shape")]);
        let choices: BTreeMap<String, GqaChoices> = (0..3)
            .map(|id: u8| {
                let choices = GqaChoices {
                    valid: vec!["red".to_owned(), "yes".to_owned()],
                    plausible: vec!["red".to_owned()],
                };
                (id.to_string(), choices)
            })
            .collect();
        let extras = GqaExtras {
            has_consistency: true,
            choices: Some(&choices),
            attention: None,
        };
        let report = GqaReport::new(&questions, &predictions, &extras).unwrap();
        // Only the first question entails others: one of two is right.
        assert_eq!(report.consistency.unwrap().mean(), Some(0.5));
        assert_eq!(report.consistency.unwrap().count, 1);
        // "shape" is among the things that two objects may have in common.
        assert_eq!(report.validity.unwrap().mean(), Some(1.0));
        assert_eq!(report.plausibility.unwrap().mean(), Some(2.0 / 3.0));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut list = vec![question("query", None, "red")];
        let error = GqaReport::new(
            &questions(list.clone()),
            &answers(&[]),
            &GqaExtras::default(),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("\"0\" has no prediction"),
            "{error}"
        );
        list[0].entailed = vec!["9".to_owned()];
        let extras = GqaExtras {
            has_consistency: true,
            ..GqaExtras::default()
        };
        let predictions = answers(&[("0", "red")]);
        let error = GqaReport::new(&questions(list), &predictions, &extras).unwrap_err();
        assert!(error.to_string().contains("\"9\" is entailed"), "{error}");
    }
}
