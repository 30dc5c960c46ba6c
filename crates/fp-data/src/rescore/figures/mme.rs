//! MME's scores per task, and their sums.

use std::collections::BTreeMap;

use super::{Figures, gold, said};
use crate::dataset::Dataset;
use crate::metric::mme::{self, MmeAnswer, MmePairing, MmeReport, MmeTask};
use crate::rescore::RescoreError;

/// Number of tasks in a total.
const NUM_TASKS: usize = mme::PERCEPTION.len() + mme::COGNITION.len();
/// Name of the total.
pub(in crate::rescore) const TOTAL: &str = "perception + cognition";

impl Figures {
    pub(super) fn add_mme(
        &mut self,
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<(), RescoreError> {
        self.said = said(dataset, texts, mme::parse);
        let mut by_task: BTreeMap<&str, Vec<MmeAnswer<'_>>> = BTreeMap::new();
        for (sample, said) in dataset.samples.iter().zip(&self.said) {
            by_task.entry(&sample.family).or_default().push(MmeAnswer {
                image: &sample.image_id,
                gold: gold(sample),
                said: *said,
            });
        }
        let unpaired = unpaired_tasks(dataset);
        let mut report = MmeReport::default();
        for (task, answers) in &by_task {
            if !unpaired.contains_key(task) {
                let counts = MmeTask::count(answers, MmePairing::ByImage)?;
                report.tasks.insert((*task).to_owned(), counts);
            }
        }
        let why = |tasks: &[&'static str]| why_no_sum(tasks, &report, &unpaired);
        match report.total() {
            Some(total) => self.add(TOTAL, Some(total), ""),
            None => {
                let sum = report.tasks.values().map(MmeTask::score).sum();
                let is_any = !report.tasks.is_empty();
                self.add(
                    partial_sum(report.tasks.len()),
                    is_any.then_some(sum),
                    "no task has a score",
                );
                let missing = missing(&mme::PERCEPTION, &report);
                let num_missing = missing.len() + self::missing(&mme::COGNITION, &report).len();
                let because = format!(
                    "{num_missing} of MME's {NUM_TASKS} tasks have no score here, see below"
                );
                self.add(TOTAL, None, &because);
            }
        }
        self.add("perception", report.perception(), &why(&mme::PERCEPTION));
        self.add("cognition", report.cognition(), &why(&mme::COGNITION));
        for task in by_task.keys() {
            let counts = report.tasks.get(*task);
            let because = unpaired.get(task).map_or("", String::as_str);
            self.add(
                format!("{task}: score"),
                counts.map(MmeTask::score),
                because,
            );
            let plus = counts.map(|counts| 100.0 * counts.accuracy_plus());
            self.add(format!("{task}: accuracy+"), plus, because);
        }
        Ok(())
    }
}

/// Suffix of a sum over fewer tasks than MME has.
const NO_TOTAL: &str = ", no total";

/// Name of the sum over `num_tasks` of MME's tasks, fewer than all.
pub(in crate::rescore) fn partial_sum(num_tasks: usize) -> String {
    match num_tasks {
        1 => format!("the only task there is{NO_TOTAL}"),
        count => format!("sum of the {count} tasks there are{NO_TOTAL}"),
    }
}

/// Whether a figure of MME is a sum over perception and cognition, complete or not.
pub(in crate::rescore) fn is_sum(name: &str) -> bool {
    name == TOTAL || name.ends_with(NO_TOTAL)
}

/// Tasks without a score, and why: they have an image without exactly two questions.
pub(in crate::rescore) fn unpaired_tasks(dataset: &Dataset) -> BTreeMap<&str, String> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for sample in &dataset.samples {
        *counts
            .entry((&sample.family, &sample.image_id))
            .or_default() += 1;
    }
    let mut unpaired = BTreeMap::new();
    for ((task, image), count) in counts.into_iter().filter(|(_, count)| *count != 2) {
        unpaired.entry(task).or_insert_with(|| {
            let questions = if count == 1 { "question" } else { "questions" };
            format!("image {image} has {count} {questions} that can be used, not 2")
        });
    }
    unpaired
}

fn missing(tasks: &[&'static str], report: &MmeReport) -> Vec<&'static str> {
    let is_missing = |task: &&str| !report.tasks.contains_key(*task);
    tasks.iter().copied().filter(is_missing).collect()
}

fn why_no_sum(
    tasks: &[&'static str],
    report: &MmeReport,
    unpaired: &BTreeMap<&str, String>,
) -> String {
    let missing = missing(tasks, report);
    let (unpaired, absent): (Vec<&str>, Vec<&str>) = missing
        .into_iter()
        .partition(|task| unpaired.contains_key(task));
    let mut reasons = Vec::new();
    if !absent.is_empty() {
        reasons.push(format!("there is no question of {}", absent.join(", ")));
    }
    if !unpaired.is_empty() {
        reasons.push(format!("{} has no score", unpaired.join(", ")));
    }
    reasons.join("; ")
}
