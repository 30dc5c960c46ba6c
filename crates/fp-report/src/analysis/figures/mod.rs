//! Each benchmark's own figures (F1, scores of tasks, circular accuracy and others) for every cell,
//! with tests against the baseline strategy and against no pruning.
//!
//! Figures are computed over complete units (an image with its two questions, a question in all
//! rotations) that a cell answered. A test uses the units that both cells answered.

mod pairs;
mod tested;
mod text;

use std::collections::HashMap;

use fp_data::Sample;
use fp_data::rescore::{AnswerSets, Figure, Part, Questions, SetFigures, UnitCounts, benchmark_of};
use fp_stats::{IntervalKind, PermutationMethod};
use rayon::prelude::*;
use serde::Serialize;

use self::pairs::pairs;
use super::cell_index::CellIndex;
use super::compare::{Outcome, PairedTester};
use super::references::Reference;
use crate::error::ReportError;
use crate::run::Run;
use crate::sample::ReportSample;

/// A benchmark's own figures for every cell.
#[derive(Debug, Clone, Serialize)]
pub struct DatasetFigures {
    /// The dataset, as named in strata.
    pub dataset: String,
    /// Title of the benchmark, as papers write it.
    pub benchmark: &'static str,
    /// Names of the figures, in order.
    pub names: Vec<String>,
    /// Names of the figures that papers print.
    pub headlines: Vec<String>,
    /// Figures that equal the accuracy in the other tables and are not repeated here.
    pub same_as_accuracy: Vec<String>,
    /// Every cell, in the order of the grid.
    pub cells: Vec<CellFigures>,
    /// Tests against the baseline strategy and against no pruning.
    pub comparisons: Vec<FigureComparison>,
    /// Tests that could not be made, each with its reason.
    pub untested: Vec<UntestedFigure>,
    /// Ids of questions that no figure includes, because rescoring an answer gives another score
    /// than the recorded one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradicted: Vec<String>,
}

/// One cell's figures on one dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellFigures {
    /// The cell's id.
    pub cell: String,
    /// Number of questions that the figures cover.
    pub n: usize,
    /// The unit, and the numbers of complete and incomplete units.
    #[serde(flatten)]
    pub units: UnitCounts,
    /// One figure per name in [`DatasetFigures::names`]; accuracies are in percent.
    pub figures: Vec<Figure>,
}

/// Comparison of a with b by one figure, on the units that both answered; in the figure's own unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FigureComparison {
    /// Name of the figure.
    pub figure: String,
    /// The role of b.
    pub reference: Reference,
    /// Label of what is tested.
    pub a: String,
    /// Label of the reference.
    pub b: String,
    /// Tests with the same family are corrected together: those of one figure of one dataset, by
    /// the same rule as for accuracies.
    pub family: String,
    /// Number of images, or of questions in all rotations.
    pub num_images: usize,
    /// Number of those on which a and b differ.
    pub num_disagreeing_images: usize,
    /// The figure of a.
    pub value_a: f64,
    /// The figure of b.
    pub value_b: f64,
    /// a − b.
    pub difference: f64,
    /// Standard error of the difference: clustered for means, from bootstrap draws for other
    /// figures.
    pub standard_error: f64,
    /// Confidence interval of the difference.
    pub interval: Option<[f64; 2]>,
    /// Why there is no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<String>,
    /// Method of the interval.
    pub interval_method: IntervalKind,
    /// Confidence level of the interval.
    pub confidence: f64,
    /// Two-sided p: sign flips per image for means, swapped labels per image for others.
    pub p: f64,
    /// Method of `p`.
    pub method: PermutationMethod,
    /// `p` after Holm's correction over the family.
    pub p_holm: f64,
    /// Number of tests in the family.
    pub family_size: usize,
    /// Better or worse where p after Holm's correction is below α and the interval excludes 0;
    /// equivalent, by the study's margin, only for means.
    pub outcome: Outcome,
}

/// A figure of a pair that could not be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UntestedFigure {
    /// Name of the figure.
    pub figure: String,
    /// The role of b.
    pub reference: Reference,
    /// Label of what was to be tested.
    pub a: String,
    /// Label of the reference.
    pub b: String,
    /// The reason as a sentence.
    pub because: String,
}

/// The figures of all datasets that belong to benchmarks.
pub(crate) fn figures(
    run: &Run,
    cell_index: &CellIndex,
    tester: &PairedTester,
) -> Result<Vec<DatasetFigures>, ReportError> {
    let names = run.dataset_names();
    let mut all = Vec::new();
    for (dataset, name) in names.iter().enumerate() {
        if let Some(answers) = Answers::new(run, dataset) {
            all.push(of_dataset(run, cell_index, tester, name, &answers)?);
        }
    }
    Ok(all)
}

/// All cells' answers on one dataset.
struct Answers {
    sets: AnswerSets,
    /// Indices of its samples in the run's records.
    records: Vec<usize>,
}

impl Answers {
    /// `None` for a dataset that belongs to no benchmark.
    fn new(run: &Run, dataset: usize) -> Option<Answers> {
        let spec = &run.spec.datasets[dataset];
        let benchmark = benchmark_of(&spec.name, spec.answer_rule)?;
        let records = (0..run.records.len()).filter(|&at| run.records[at].dataset == dataset);
        let records: Vec<usize> = records.collect();
        let questions = Questions {
            benchmark,
            answer_rule: spec.answer_rule,
            samples: records.iter().map(|&at| sample(&run.records[at])).collect(),
            // Runs of earlier versions don't record that a limit omitted samples.
            is_cut: spec.subset.is_some()
                || run.spec.config.limit == Some(spec.num_samples)
                || !run.is_complete(),
        };
        let sets = AnswerSets::new(questions, run.spec.grid.cells.len(), |cell, question| {
            let at = records[question];
            Some((run.columns.text(cell, at)?, run.columns.scores[cell][at]?))
        });
        Some(Answers { sets, records })
    }
}

/// The question of a record. Records don't store the options of choices separately.
fn sample(record: &ReportSample) -> Sample {
    Sample {
        id: record.id.clone(),
        image_id: record.image_id.clone(),
        image_size: record.image_size,
        question: record.question.clone(),
        answers: record.answers.clone(),
        family: record.family.clone(),
        keys: record.keys.clone(),
        boxes: record.boxes.clone(),
        ..Sample::default()
    }
}

/// Figures of cells, on the subsets of a dataset's questions over which they are computed.
struct Scored<'a> {
    answers: &'a Answers,
    /// The distinct parts.
    parts: Vec<Part>,
    /// Index of a part by which questions are answered.
    known: HashMap<Vec<bool>, usize>,
    /// Figures by part and cell, or why they can't be computed.
    figures: HashMap<(usize, usize), Result<SetFigures, String>>,
}

impl Scored<'_> {
    /// The part of the questions that all of `cells` answered.
    fn part(&mut self, cells: &[usize]) -> usize {
        let answered = self.answers.sets.answered(cells);
        if let Some(&known) = self.known.get(&answered) {
            return known;
        }
        self.parts.push(self.answers.sets.part(&answered));
        self.known.insert(answered, self.parts.len() - 1);
        self.parts.len() - 1
    }

    /// Computes the figures of cells on parts, unless they are known already.
    fn compute(&mut self, wanted: impl IntoIterator<Item = (usize, usize)>) {
        let mut wanted: Vec<(usize, usize)> = wanted.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|key| !self.figures.contains_key(key));
        let computed: Vec<_> = wanted
            .into_par_iter()
            .map(|(part, cell)| ((part, cell), self.of(&self.parts[part], cell)))
            .collect();
        self.figures.extend(computed);
    }

    fn of(&self, part: &Part, cell: usize) -> Result<SetFigures, String> {
        if part.places.is_empty() {
            return Err(match part.counts.num_left_out {
                0 => "there is no answer".to_owned(),
                answers => format!(
                    "no unit is complete: metrics are over {}, and none of the {answers} answers belongs to one",
                    part.counts.unit.plural(),
                ),
            });
        }
        let figures = self.answers.sets.figures(part, cell);
        figures.map_err(|error| fp_scoring::error_text(&error))
    }
}

fn of_dataset(
    run: &Run,
    cell_index: &CellIndex,
    tester: &PairedTester,
    name: &str,
    answers: &Answers,
) -> Result<DatasetFigures, ReportError> {
    let cells = &run.spec.grid.cells;
    let mut scored = Scored {
        answers,
        parts: Vec::new(),
        known: HashMap::new(),
        figures: HashMap::new(),
    };
    let part_of: Vec<usize> = (0..cells.len()).map(|cell| scored.part(&[cell])).collect();
    scored.compute(part_of.iter().copied().zip(0..));
    let of = |cell: usize| &scored.figures[&(part_of[cell], cell)];
    let mut names: Vec<String> = Vec::new();
    for cell in 0..cells.len() {
        let figures = of(cell).iter().flat_map(|set| &set.figures.figures);
        for figure in figures {
            if !names.contains(&figure.name) {
                names.push(figure.name.clone());
            }
        }
    }
    let headlines = answers.sets.headlines(&names);
    let is_accuracy = |name: &String| {
        let mut computed =
            (0..cells.len()).filter_map(|cell| Some((cell, of(cell).as_ref().ok()?)));
        computed.all(|(cell, set)| {
            let mut figures = set.figures.figures.iter();
            figures
                .find(|figure| figure.name == *name)
                .is_some_and(|figure| answers.sets.is_plain_accuracy(figure, cell))
        })
    };
    let (same_as_accuracy, names): (Vec<String>, Vec<String>) =
        names.into_iter().partition(is_accuracy);
    let of_cells = cells.iter().enumerate().map(|(index, cell)| {
        let part = &scored.parts[part_of[index]];
        CellFigures {
            cell: cell.id.clone(),
            n: part.places.len(),
            units: part.counts,
            figures: names.iter().map(|name| figure(of(index), name)).collect(),
        }
    });
    let mut figures = DatasetFigures {
        dataset: name.to_owned(),
        benchmark: answers.sets.benchmark().title(),
        headlines: headlines
            .into_iter()
            .filter(|name| !same_as_accuracy.contains(name))
            .collect(),
        same_as_accuracy,
        cells: of_cells.collect(),
        comparisons: Vec::new(),
        untested: Vec::new(),
        contradicted: answers
            .sets
            .contradicted()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        names,
    };
    let pairs = pairs(run, cell_index, &mut scored);
    tested::test(run, tester, &mut scored, &pairs, &mut figures)?;
    Ok(figures)
}

/// A cell's figure by name, or the reason why it has none.
fn figure(set: &Result<SetFigures, String>, name: &str) -> Figure {
    let undefined = match set {
        Err(reason) => reason.clone(),
        Ok(set) => {
            let mut figures = set.figures.figures.iter();
            if let Some(figure) = figures.find(|figure| figure.name == name) {
                return figure.clone();
            }
            "the questions that the cell answered don't give it".to_owned()
        }
    };
    Figure {
        name: name.to_owned(),
        value: None,
        undefined: Some(undefined),
        note: None,
    }
}
