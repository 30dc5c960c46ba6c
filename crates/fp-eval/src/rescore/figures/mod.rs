//! The figures that a benchmark reports, from the answers to its questions.

use std::collections::{BTreeMap, HashMap};

use super::RescoreError;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::gqa::{self, GqaExtras, GqaGroups, GqaQuestion, GqaReport, GqaStep, GqaTypes};
use crate::metric::mmbench::{MmbenchReport, MmbenchRow};
use crate::metric::mme::{self, MmeAnswer, MmePairing, MmeReport, MmeTask};
use crate::metric::pope::{self, PopeReport};
use crate::metric::{AnswerRule, Breakdown, GroupScore, YesNo};
use crate::sample::Sample;

/// One number.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its value; none where it is undefined.
    pub value: Option<f64>,
}

/// Scores by group.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Groups {
    /// What the groups are by.
    pub by: String,
    /// Their scores, 0 to 1.
    #[serde(flatten)]
    pub scores: Breakdown,
}

/// Everything that a benchmark reports. The first figure is the one that papers print.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figures {
    /// Figures; accuracies in percent.
    pub figures: Vec<Figure>,
    /// Breakdowns.
    pub groups: Vec<Groups>,
    /// Score of each question, 0 to 1, by the benchmark's own rule.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// What each answer says to a yes-or-no question; empty for others.
    #[serde(skip)]
    pub(super) said: Vec<YesNo>,
}

impl Figures {
    /// Scores answers, `[questions]`; none is wrong under every rule.
    pub(super) fn new(
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<Figures, RescoreError> {
        let by_rule = |rule: AnswerRule| scores(dataset, texts, rule);
        let rule = dataset.answer_rule;
        let mut figures = Figures {
            figures: Vec::new(),
            groups: Vec::new(),
            scores: by_rule(rule),
            said: Vec::new(),
        };
        match dataset.benchmark {
            Benchmark::Gqa => figures.add_gqa(dataset, texts)?,
            Benchmark::Pope => figures.add_pope(dataset, texts)?,
            Benchmark::Mme => figures.add_mme(dataset, texts)?,
            Benchmark::Mmbench => figures.add_mmbench(dataset, &by_rule)?,
            _ => figures.add_accuracy(rule.name(), &by_rule(rule)),
        }
        for &other in dataset.benchmark.other_rules() {
            // MMBench's headline is another one, and has its own variants above.
            if dataset.benchmark != Benchmark::Mmbench {
                figures.add_accuracy(other.name(), &by_rule(other));
            }
        }
        figures.add_groups("family", dataset, |sample| Some(&sample.family));
        let keys = [
            "question_type",
            "category",
            "semantic_type",
            "steps",
            "subject",
            "topic",
        ];
        for key in keys {
            figures.add_groups(key, dataset, |sample| sample.keys.get(key));
        }
        Ok(figures)
    }

    /// The figure that papers print.
    pub fn headline(&self) -> Option<&Figure> {
        self.figures.first()
    }

    fn add(&mut self, name: impl Into<String>, value: Option<f64>) {
        let name = name.into();
        self.figures.push(Figure { name, value });
    }

    fn add_accuracy(&mut self, rule: &str, scores: &[f64]) {
        let mut mean = GroupScore::default();
        scores.iter().for_each(|score| mean.add(*score));
        self.add(format!("accuracy ({rule})"), mean.percent());
    }

    fn add_groups<'a>(
        &mut self,
        by: &str,
        dataset: &'a Dataset,
        group: impl Fn(&'a Sample) -> Option<&'a String>,
    ) {
        let mut scores = Breakdown::default();
        for (sample, score) in dataset.samples.iter().zip(&self.scores) {
            if let Some(group) = group(sample) {
                scores.add(group, *score);
            }
        }
        if scores.groups.len() > 1 {
            let by = by.to_owned();
            self.groups.push(Groups { by, scores });
        }
    }

    fn add_gqa(&mut self, dataset: &Dataset, texts: &[Option<String>]) -> Result<(), RescoreError> {
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
        self.add("accuracy (gqa)", report.accuracy.percent());
        self.add("binary", report.binary.percent());
        self.add("open", report.open.percent());
        self.add("distribution, lower is better", report.distribution);
        Ok(())
    }

    fn add_pope(
        &mut self,
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<(), RescoreError> {
        self.said = said(dataset, texts, pope::parse);
        let report = pope_report(dataset, &self.said)?;
        self.add("mean F1", report.mean_f1().map(|f1| 100.0 * f1));
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        self.add("mean accuracy", percent(report.mean_accuracy()));
        for (category, counts) in &report.categories {
            for (name, value) in [
                ("accuracy", counts.accuracy()),
                ("precision", counts.precision()),
                ("recall", counts.recall()),
                ("F1", counts.f1()),
                ("yes ratio", counts.yes_ratio()),
            ] {
                self.add(format!("{category}: {name}"), percent(value));
            }
        }
        let pooled = pope_report(dataset, &said(dataset, texts, pope::parse_lmms_eval))?.pooled();
        self.add("pooled F1 (pope_lmms_eval)", percent(pooled.f1()));
        Ok(())
    }

    fn add_mme(&mut self, dataset: &Dataset, texts: &[Option<String>]) -> Result<(), RescoreError> {
        self.said = said(dataset, texts, mme::parse);
        let mut by_task: BTreeMap<&str, Vec<MmeAnswer<'_>>> = BTreeMap::new();
        for (sample, said) in dataset.samples.iter().zip(&self.said) {
            by_task.entry(&sample.family).or_default().push(MmeAnswer {
                image: &sample.image_id,
                gold: gold(sample),
                said: *said,
            });
        }
        let mut report = MmeReport::default();
        for (task, answers) in by_task {
            let task_report = MmeTask::count(&answers, MmePairing::ByImage)?;
            report.tasks.insert(task.to_owned(), task_report);
        }
        let all = report.tasks.values().map(MmeTask::score).sum();
        match report.total() {
            Some(total) => self.add("perception + cognition", Some(total)),
            None => self.add("sum over the tasks there are", Some(all)),
        }
        self.add("perception", report.perception());
        self.add("cognition", report.cognition());
        for (task, counts) in &report.tasks {
            self.add(format!("{task}: score"), Some(counts.score()));
            self.add(
                format!("{task}: accuracy+"),
                Some(100.0 * counts.accuracy_plus()),
            );
        }
        Ok(())
    }

    fn add_mmbench(
        &mut self,
        dataset: &Dataset,
        by_rule: &impl Fn(AnswerRule) -> Vec<f64>,
    ) -> Result<(), RescoreError> {
        for rule in [AnswerRule::Mmbench, AnswerRule::MmbenchLmmsEval] {
            let report = mmbench_report(dataset, &by_rule(rule))?;
            let name = rule.name();
            self.add(format!("circular ({name})"), report.circular.percent());
            self.add(
                format!("vanilla, first rotation ({name})"),
                report.vanilla_first.percent(),
            );
            self.add(
                format!("vanilla, all rows ({name})"),
                report.vanilla_all.percent(),
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

fn scores(dataset: &Dataset, texts: &[Option<String>], rule: AnswerRule) -> Vec<f64> {
    let answers = dataset.samples.iter().zip(texts);
    let score = |(sample, text): (&Sample, &Option<String>)| match text {
        Some(text) => sample.score(rule, text),
        None => 0.0,
    };
    answers.map(score).collect()
}

/// What is said. A missing answer is the wrong one of both: saying neither would leave
/// recall as it is, and an empty text is yes to some.
fn said(dataset: &Dataset, texts: &[Option<String>], parse: impl Fn(&str) -> YesNo) -> Vec<YesNo> {
    let answers = dataset.samples.iter().zip(texts);
    let said = |(sample, text): (&Sample, &Option<String>)| match (text, gold(sample)) {
        (Some(text), _) => parse(text),
        (None, YesNo::Yes) => YesNo::No,
        (None, _) => YesNo::Yes,
    };
    answers.map(said).collect()
}

/// What is right; loading made sure that it is yes or no.
pub(super) fn gold(sample: &Sample) -> YesNo {
    let answer = sample.answers.first();
    answer
        .and_then(|answer| YesNo::from_label(answer))
        .unwrap_or(YesNo::Other)
}

fn pope_report(dataset: &Dataset, said: &[YesNo]) -> Result<PopeReport, RescoreError> {
    let mut report = PopeReport::default();
    for (sample, said) in dataset.samples.iter().zip(said) {
        report.add(&sample.family, *said, gold(sample))?;
    }
    Ok(report)
}

/// MMBench's report of scores by row.
pub(super) fn mmbench_report(
    dataset: &Dataset,
    scores: &[f64],
) -> Result<MmbenchReport, RescoreError> {
    let rows = dataset.samples.iter().zip(scores);
    let rows: Vec<MmbenchRow<'_>> = rows
        .map(|(sample, score)| MmbenchRow {
            // Loading made sure that ids are numbers.
            index: sample.id.parse().unwrap_or_default(),
            is_right: *score > 0.0,
            category: sample.keys.get("category").map_or("", String::as_str),
            l2_category: &sample.family,
        })
        .collect();
    Ok(MmbenchReport::new(&rows)?)
}

/// The official question, as far as scores need it.
fn gqa_question(sample: &Sample) -> GqaQuestion {
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
