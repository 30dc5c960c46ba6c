//! Figures of benchmarks that report more than an accuracy.

use std::collections::{BTreeMap, HashMap};

use super::{Figures, Groups, gold, said};
use crate::dataset::Dataset;
use crate::metric::gqa::{self, GqaExtras, GqaGroups, GqaQuestion, GqaReport, GqaStep, GqaTypes};
use crate::metric::mmbench::{MmbenchReport, MmbenchRow};
use crate::metric::pope::{self, PopeReport, YesNoCounts};
use crate::metric::{AnswerRule, YesNo};
use crate::rescore::RescoreError;
use crate::sample::Sample;

pub(super) const NO_QUESTION: &str = "there is no question";
const NO_YES: &str = "no answer is yes";
const NO_RIGHT_YES: &str = "no answer is yes or no where yes is right";

impl Figures {
    pub(super) fn add_gqa(
        &mut self,
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<(), RescoreError> {
        let questions = dataset.samples.iter();
        let questions: BTreeMap<String, GqaQuestion> = questions
            .map(|sample| (sample.id.clone(), gqa_question(sample)))
            .collect();
        let answers = dataset.samples.iter().zip(texts);
        let predictions: HashMap<String, String> = answers
            .map(|(sample, text)| {
                let text = text.as_deref().unwrap_or_default();
                (sample.id.clone(), gqa::prediction(text))
            })
            .collect();
        let report = GqaReport::new(&questions, &predictions, &GqaExtras::default())?;
        self.add(
            "accuracy (gqa)",
            report.accuracy.percent(),
            "no question is balanced",
        );
        self.add(
            "binary",
            report.binary.percent(),
            "no balanced question has one of two answers",
        );
        self.add(
            "open",
            report.open.percent(),
            "every balanced question has one of two answers",
        );
        self.add(
            "distribution, lower is better",
            report.distribution,
            "no balanced question has a group",
        );
        let is_balanced = dataset
            .samples
            .iter()
            .all(|sample| !sample.keys.contains_key("is_balanced"));
        let no_consistency = if is_balanced {
            "it needs answers to all entailed questions, which a balanced split doesn't ask"
        } else {
            "it needs the entailed questions of each, which aren't read here"
        };
        let no_choices = "it needs the file of choices per question, which isn't read here";
        for (name, because) in [
            ("consistency", no_consistency),
            ("validity", no_choices),
            ("plausibility", no_choices),
            (
                "grounding",
                "it needs attention maps, which answers don't have",
            ),
        ] {
            self.add(name, None, because);
        }
        Ok(())
    }

    pub(super) fn add_pope(
        &mut self,
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<(), RescoreError> {
        self.said = said(dataset, texts, pope::parse);
        let report = pope_report(dataset, &self.said)?;
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        let without = report.categories.iter();
        let without = without.filter(|(_, counts)| counts.f1().is_none());
        let without = without.map(|(category, counts)| format!("{category} ({})", no_f1(counts)));
        let without: Vec<String> = without.collect();
        self.add(
            "mean F1",
            percent(report.mean_f1()),
            &format!("F1 is undefined in {}", without.join(", ")),
        );
        self.add(
            "mean accuracy",
            percent(report.mean_accuracy()),
            NO_QUESTION,
        );
        for (category, counts) in &report.categories {
            for (name, value, undefined) in [
                ("accuracy", counts.accuracy(), NO_QUESTION),
                ("precision", counts.precision(), NO_YES),
                ("recall", counts.recall(), NO_RIGHT_YES),
                ("F1", counts.f1(), no_f1(counts)),
                ("yes ratio", counts.yes_ratio(), NO_QUESTION),
            ] {
                self.add(format!("{category}: {name}"), percent(value), undefined);
            }
        }
        let pooled = pope_report(dataset, &said(dataset, texts, pope::parse_lmms_eval))?.pooled();
        let value = Some(100.0 * pooled.f1_lmms_eval());
        self.add("pooled F1 (pope_lmms_eval)", value, "");
        if let (None, Some(figure)) = (pooled.f1(), self.figures.last_mut()) {
            let because = no_f1(&pooled);
            figure.note = Some(format!(
                "lmms-eval gives 0 where F1 is undefined: {because}"
            ));
        }
        Ok(())
    }

    pub(super) fn add_mmbench(
        &mut self,
        dataset: &Dataset,
        by_rule: &impl Fn(AnswerRule) -> Vec<f64>,
    ) -> Result<(), RescoreError> {
        for rule in [AnswerRule::Mmbench, AnswerRule::MmbenchLmmsEval] {
            let report = mmbench_report(dataset, &by_rule(rule))?;
            let name = rule.name();
            self.add(
                format!("circular ({name})"),
                report.circular.percent(),
                NO_QUESTION,
            );
            self.add(
                format!("vanilla, first rotation ({name})"),
                report.vanilla_first.percent(),
                NO_QUESTION,
            );
            self.add(
                format!("vanilla, all rows ({name})"),
                report.vanilla_all.percent(),
                NO_QUESTION,
            );
            if rule == AnswerRule::Mmbench {
                for (by, scores) in [
                    ("circular by l2-category", report.by_l2_category),
                    ("circular by category", report.by_category),
                ] {
                    if scores.groups.len() > 1 {
                        let by = by.to_owned();
                        self.groups.push(Groups { by, scores });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why F1 is undefined.
fn no_f1(counts: &YesNoCounts) -> &'static str {
    if counts.precision().is_none() {
        NO_YES
    } else if counts.recall().is_none() {
        NO_RIGHT_YES
    } else {
        "precision and recall are both 0"
    }
}

fn pope_report(dataset: &Dataset, said: &[YesNo]) -> Result<PopeReport, RescoreError> {
    let mut report = PopeReport::default();
    for (sample, said) in dataset.samples.iter().zip(said) {
        report.add(&sample.family, *said, gold(sample))?;
    }
    Ok(report)
}

/// MMBench's report of scores by row.
pub(in crate::rescore) fn mmbench_report(
    dataset: &Dataset,
    scores: &[f64],
) -> Result<MmbenchReport, RescoreError> {
    let rows = dataset.samples.iter().zip(scores);
    let rows: Vec<MmbenchRow<'_>> = rows
        .map(|(sample, score)| MmbenchRow {
            // Loading has checked that ids are numbers.
            index: sample.id.parse().unwrap_or_default(),
            is_right: *score > 0.0,
            category: sample.keys.get("category").map_or("", String::as_str),
            l2_category: &sample.family,
        })
        .collect();
    Ok(MmbenchReport::new(&rows)?)
}

/// The official question, with the fields that scoring needs.
pub(in crate::rescore) fn gqa_question(sample: &Sample) -> GqaQuestion {
    let key = |name: &str| sample.keys.get(name).cloned();
    let steps = key("steps")
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(0);
    let step = GqaStep {
        operation: "select".to_owned(),
        argument: String::new(),
    };
    GqaQuestion {
        question: sample
            .question
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
        answer: sample.answers.first().cloned().unwrap_or_default(),
        image_id: sample.image_id.clone(),
        is_balanced: key("is_balanced").is_none(),
        types: GqaTypes {
            structural: sample.family.clone(),
            semantic: key("semantic_type").unwrap_or_default(),
            detailed: String::new(),
        },
        semantic: vec![step; steps],
        groups: GqaGroups {
            global: key("group"),
        },
        entailed: Vec::new(),
        annotations: gqa::GqaAnnotations::default(),
    }
}
