//! Computes everything in a report from a run's records: pure functions of the records and the
//! run's specification.

mod agreement;
mod answer_health;
mod answer_types;
mod answers;
mod at_best_heads;
mod audit;
mod best;
mod cell_index;
mod cells;
mod compare;
mod described;
mod difficult;
mod estimate;
mod evidence;
mod failures;
mod figures;
mod flips;
mod gather;
mod halves;
mod hypotheses;
mod image_ranges;
mod kept;
mod left_out;
mod methods;
mod near_ties;
mod noise;
mod on_same;
mod references;
mod relative;
mod samples;
mod scores;
mod static_heads;
mod steadiness;
mod strata;
mod text_only;
mod tokens;
mod verdict;

pub use agreement::{AgreementMatrix, SAME_IN_PRACTICE, StrategyPair};
pub use answer_health::LoudAnswers;
pub use answer_types::BY_ANSWER_TYPE;
pub use answers::{
    ALL_QUESTIONS, EXCESS_SHARE, FEWEST_ANSWERS, FrequentAnswer, GainByAnswer, ONE_ANSWER_SHARE,
};
pub use at_best_heads::AtBestHeads;
pub use audit::{CellAudit, DEGENERATE_SHARE, HeadUsage, LookAudit, LookWeight};
pub use best::{BestCell, BestOfMany};
pub use cells::{CellSummary, RandomControl, StratumAccuracy};
pub use compare::{Comparison, Outcome, POWER, Undecided, Untested, WhyUndecided, WhyUntested};
pub use described::{MeanAttention, MeanDiversity};
pub use difficult::{CHOOSING_CONTROLS, DifficultAccuracy, DifficultBudget, DifficultSamples};
pub use estimate::Estimate;
pub use failures::{FailedSample, Failures, FailuresOfKind};
pub use figures::{CellFigures, DatasetFigures, FigureComparison, UntestedFigure};
pub use flips::{CellFlips, Flips, RIGHT, StratumFlips};
pub use halves::Halves;
pub use hypotheses::{Answer, Hypothesis};
pub use image_ranges::{ImageRange, image_ranges};
pub use methods::{MethodEntry, MethodTests};
pub use near_ties::{MOST_LISTED, NearTie, NearTies};
pub use noise::{AnswerDifference, NoiseFloor};
pub use on_same::OnSameQuestions;
pub use references::{Reference, ReferenceComparisons};
pub use relative::RelativeAccuracy;
pub use samples::SampleCounts;
pub use static_heads::StaticHeadsTests;
pub use strata::{BY_DATASET, Strata, Stratum};
pub use text_only::{OverallAccuracy, TextOnly};
pub(crate) use tokens::RASTER;
pub use tokens::{MeanOverlap, MeanSpread, Retention, TokenQuality};
pub use verdict::Verdict;

pub(crate) use cell_index::CellIndex;
pub(crate) use compare::{Beats, Pair, PairedTester};
pub(crate) use gather::NearTieSink;
pub(crate) use kept::kept_tokens;
pub(crate) use methods::{method_headline, samples_of_tests};
pub(crate) use scores::{Column, Scores};

use fp_eval::study::CountedCost;
use serde::Serialize;

use self::left_out::LeftOut;
use super::error::ReportError;
use super::published::{BesideGrounds, PublishedComparison, beside};
use super::run::Run;

/// All results from a run's records.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// The conclusions, as sentences.
    pub verdict: Verdict,
    /// Equivalence margin: differences up to this count as none; 0 to 1.
    pub margin: f64,
    /// Numbers of samples, images and failures.
    pub samples: SampleCounts,
    /// Text-only questions; `None` where the data have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_only: Option<TextOnly>,
    /// Positions of the image tokens in the sequences, by dataset.
    pub image_ranges: Vec<ImageRange>,
    /// Groupings of samples.
    pub strata: Vec<Strata>,
    /// Accuracy of every cell.
    pub cells: Vec<CellSummary>,
    /// Cells relative to no pruning; empty for a single dataset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relative: Vec<RelativeAccuracy>,
    /// Each benchmark's own figures besides the accuracy; empty where no dataset belongs to a
    /// benchmark.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<DatasetFigures>,
    /// Published results of the same methods, budgets and benchmarks; `None` where there are none
    /// and the run is not about published methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedComparison>,
    /// The control of chance, over seeds.
    pub random: Vec<RandomControl>,
    /// Every studied cell against its references.
    pub references: Vec<ReferenceComparisons>,
    /// Comparisons among the controls.
    pub controls: Vec<Comparison>,
    /// Whole methods against the reference and against chance, by budget; empty in runs with only
    /// strategies and controls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodTests>,
    /// Comparisons that could not be made, each with its reason: those with references, among
    /// controls, of kept evidence, of the best of many and of hypotheses.
    pub untested: Vec<Untested>,
    /// The best of many strategies, selected and tested on separate halves.
    pub best: Option<BestOfMany>,
    /// Head strategies against their static variants; `None` in runs without such cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_heads: Option<StaticHeadsTests>,
    /// Every cell on the samples that an uninformed selection of tokens gets wrong; `None` without
    /// a filtering control.
    pub difficult: Option<DifficultSamples>,
    /// Remarkably frequent answers: degenerate ones, and those that account for a gain.
    pub frequent_answers: Vec<FrequentAnswer>,
    /// Findings that explain a cell's score other than by the image; empty where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answer_health: Vec<LoudAnswers>,
    /// The registered hypotheses, answered.
    pub hypotheses: Vec<Hypothesis>,
    /// Agreement of kept tokens at each budget and head count.
    pub agreement: Vec<AgreementMatrix>,
    /// Agreement of each pair over all budgets and head counts.
    pub pairs: Vec<StrategyPair>,
    /// How selections were decided.
    pub audit: Vec<CellAudit>,
    /// Answers that rounding may have decided: their number, and the first ones.
    pub near_ties: NearTies,
    /// Rows that query strategies read.
    pub looks: Vec<LookAudit>,
    /// Frequency of each head's selection.
    pub head_usage: Vec<HeadUsage>,
    /// Quality of the kept tokens.
    pub token_quality: Vec<TokenQuality>,
    /// Evidence kept, against chance.
    pub recall_against_random: Vec<Comparison>,
    /// Frequency with which each token was kept.
    pub retention: Vec<Retention>,
    /// Computed costs of cells.
    pub costs: Vec<CountedCost>,
    /// Flips against no pruning.
    pub flips: Vec<CellFlips>,
    /// Differences between two runs of the same study, if a second one was given.
    pub noise_floor: Option<NoiseFloor>,
    /// Failures; `results.json` lists them before everything else.
    #[serde(skip)]
    pub failures: Failures,
    /// Missing answers on samples that others answered, for the verdict.
    #[serde(skip)]
    left_out: LeftOut,
}

/// Analyses a run; `repetition` is a second run of the same study, for the noise floor.
///
/// # Errors
/// Records that don't fit the run, or a repetition with other cells.
pub fn analyse(run: &Run, repetition: Option<&Run>) -> Result<Analysis, ReportError> {
    analyse_with(run, repetition, &mut |_| Ok(()))
}

/// As [`analyse`]; every near-tie is passed to `near_ties`, in the order of the samples.
pub(crate) fn analyse_with(
    run: &Run,
    repetition: Option<&Run>,
    near_ties: NearTieSink<'_>,
) -> Result<Analysis, ReportError> {
    let statistics = &run.spec.config.statistics;
    let confidence = statistics.confidence;
    let cell_index = CellIndex::new(&run.spec.config, &run.spec.grid);
    let scores = Scores::new(run);
    let tester = PairedTester::new(statistics, run.spec.config.seed, scores.clusters.clone());
    let mut gathered = gather::gather(run, &cell_index, near_ties)?;
    let strata = strata::strata(run, &gathered.evidence);
    let cells = cells::summaries(run, &cell_index, &scores, &strata, confidence)?;
    let (agreement, pairs) = agreement::agreement(&cell_index, &gathered.groups);
    let best = best::best_of_many(run, &cell_index, &scores, &tester)?;
    let difficult =
        difficult::difficult_samples(run, &cell_index, &scores, &tester, best.as_ref())?;
    let static_heads = static_heads::static_heads_tests(run, &cell_index, &scores, &tester)?;
    let hypotheses = hypotheses::answers(&hypotheses::Grounds {
        run,
        cell_index: &cell_index,
        scores: &scores,
        tester: &tester,
        strata: &strata,
        pairs: &pairs,
    })?;
    let (references, mut untested) =
        references::against_references(run, &cell_index, &scores, &tester)?;
    let controls = references::controls(run, &cell_index, &scores, &tester)?;
    untested.extend(controls.untested);
    let costs: Vec<CountedCost> = gathered.cells.iter().map(|sums| sums.cost.mean()).collect();
    let grounds = methods::MethodGrounds {
        run,
        cell_index: &cell_index,
        scores: &scores,
        tester: &tester,
        costs: &costs,
    };
    let reference = |budget: usize| methods::reference_cell(run, &cell_index, budget);
    let methods = methods::method_tests(&grounds, &reference)?;
    untested.extend(methods.iter().flat_map(|tests| tests.untested.clone()));
    let recall = tokens::recall_against_random(run, &cell_index, &gathered, &tester)?;
    untested.extend(recall.untested);
    if let Some(best) = &best {
        untested.extend(best.untested.iter().cloned());
    }
    if let Some(difficult) = &difficult {
        untested.extend(difficult.untested.iter().cloned());
    }
    if let Some(tests) = &static_heads {
        untested.extend(tests.untested.iter().cloned());
    }
    let of_hypotheses = hypotheses
        .iter()
        .flat_map(|hypothesis| &hypothesis.untested);
    untested.extend(of_hypotheses.cloned());
    let figures = figures::figures(run, &cell_index, &tester)?;
    let published = beside(&BesideGrounds {
        run,
        cell_index: &cell_index,
        cells: &cells,
        figures: &figures,
        costs: &costs,
    })?;
    let mut analysis = Analysis {
        verdict: Verdict::default(),
        margin: tester.margin(),
        samples: SampleCounts::new(run, &scores),
        text_only: TextOnly::of(run, &scores),
        image_ranges: image_ranges(run),
        relative: relative::relative_accuracies(&cells, cell_index.vanilla),
        figures,
        published,
        random: cells::random_controls(&cell_index, &scores, &cells, confidence)?,
        references,
        controls: controls.comparisons,
        methods,
        untested,
        best,
        static_heads,
        difficult,
        frequent_answers: answers::frequent_answers(run, &cell_index, &scores, &strata),
        answer_health: answer_health::loud_answers(run),
        hypotheses,
        agreement,
        pairs,
        audit: audit::cell_audits(run, &gathered),
        near_ties: std::mem::take(&mut gathered.near_ties),
        looks: audit::look_audits(&gathered),
        head_usage: audit::head_usage(&cell_index, &gathered),
        token_quality: tokens::token_quality(run, &gathered),
        recall_against_random: recall.comparisons,
        retention: tokens::retention(run, &gathered),
        costs,
        flips: flips::flips(run, &scores, &strata, cell_index.vanilla),
        noise_floor: repetition
            .map(|repetition| noise::noise_floor(run, repetition))
            .transpose()?,
        failures: Failures::of(run),
        left_out: std::mem::take(&mut gathered.left_out),
        strata,
        cells,
    };
    analysis.verdict = verdict::verdict(run, &cell_index, &analysis);
    Ok(analysis)
}

/// Only the accuracy of every cell.
pub(crate) fn summaries(run: &Run) -> Result<Vec<CellSummary>, ReportError> {
    let confidence = run.spec.config.statistics.confidence;
    let cell_index = CellIndex::new(&run.spec.config, &run.spec.grid);
    cells::summaries(run, &cell_index, &Scores::new(run), &[], confidence)
}

impl Analysis {
    /// The summary of a cell.
    pub fn cell(&self, id: &str) -> Option<&CellSummary> {
        self.cells.iter().find(|cell| cell.id == id)
    }

    /// The comparison of a cell with a reference.
    pub fn comparison(&self, reference: Reference, cell_id: &str) -> Option<&Comparison> {
        let set = self
            .references
            .iter()
            .find(|set| set.reference == reference)?;
        set.of(cell_id)
    }
}
