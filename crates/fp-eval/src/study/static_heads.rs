//! Heads ranked once on the half to choose by, for the static variants of head strategies.
//!
//! The ranking comes before the first answer and is stored in the run's folder, so that a
//! resumed run and every shard answer by the same heads. A shard ranks over the whole half,
//! not over its piece of it.

use std::path::Path;

use fp_data::Sample;
use fp_scoring::methods::FixedHeads;
use fp_scoring::{HeadRanking, HeadStrategy, PlanError, QueryStrategy, ScoringError};
use serde::{Deserialize, Serialize};

use super::answering::Answering;
use super::config::StudyConfig;
use super::engine::{HeadScores, RankedRule, rank};
use super::error::StudyError;
use super::folder::write_whole;
use super::grid::Grid;
use super::halves::Halves;
use super::loading::jobs;
use super::method::Method;
use super::order::image_groups;
use super::prepare::Prepared;

/// The heads of a run's static variants.
pub const STATIC_HEADS_FILE: &str = "static_heads.json";

/// The heads of static variants, and the samples that they were ranked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticHeads {
    /// How the images were split.
    pub halves: Halves,
    /// Samples of the half to choose by.
    pub num_samples: usize,
    /// Those of them that could not be read or run.
    pub num_failed: usize,
    /// Why the first of these failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// One entry for each layer, query strategy, h and head strategy.
    pub rankings: Vec<StaticRanking>,
}

/// The heads of one static variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRanking {
    /// Scores the heads.
    pub head_strategy: HeadStrategy,
    /// Chooses the rows that they are scored on.
    pub query_strategy: QueryStrategy,
    /// h.
    pub num_selected_heads: usize,
    /// K.
    pub prune_layer: usize,
    /// The h heads with the highest means, ascending.
    pub heads: Vec<usize>,
    /// Mean score of each head, `[H]`.
    pub mean_scores: Vec<f64>,
    /// Samples that have scores.
    pub num_scored: usize,
}

impl StaticRanking {
    fn is_of(&self, rule: &RankedRule) -> bool {
        let key = (
            self.head_strategy,
            self.query_strategy,
            self.num_selected_heads,
            self.prune_layer,
        );
        key == (
            rule.head_strategy,
            rule.query_strategy,
            rule.num_selected_heads,
            rule.prune_layer,
        )
    }
}

impl StaticHeads {
    /// The method of a rule's heads.
    pub(super) fn method(&self, name: &str, rule: &RankedRule) -> Result<FixedHeads, PlanError> {
        let found = self.rankings.iter().find(|ranking| ranking.is_of(rule));
        let found = found.ok_or_else(|| PlanError::Setting {
            method: name.to_owned(),
            reason: "its heads were not ranked".to_owned(),
        })?;
        FixedHeads::of_heads(name, &found.heads)
    }

    /// Reads what a run ranked; none where it ranked nothing yet.
    ///
    /// # Errors
    /// A file that can't be read or isn't of a run.
    pub fn read(folder: &Path) -> Result<Option<StaticHeads>, StudyError> {
        let path = folder.join(STATIC_HEADS_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StudyError::io("read", path)(error)),
        };
        let heads = serde_json::from_slice(&text).map_err(StudyError::json(path))?;
        Ok(Some(heads))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), StudyError> {
        let path = folder.join(STATIC_HEADS_FILE);
        let mut text = serde_json::to_vec_pretty(self).map_err(StudyError::json(&path))?;
        text.push(b'\n');
        write_whole(&path, &text)
    }
}

/// The rules that a grid has static variants of, each once.
pub(super) fn rules(grid: &Grid, config: &StudyConfig) -> Vec<RankedRule> {
    let mut rules: Vec<RankedRule> = Vec::new();
    for cell in &grid.cells {
        if let Method::Static { .. } = cell.method
            && let Some(rule) = RankedRule::of(cell, config)
            && !rules.contains(&rule)
        {
            rules.push(rule);
        }
    }
    rules
}

/// The heads of the run's static variants: as stored in its folder, or ranked now. None
/// where it has no such cell, or was stopped. `progress` hears how many samples of how many
/// are ranked.
pub(super) fn static_heads(
    answering: &Answering<'_>,
    folder: &Path,
    num_recorded: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Option<StaticHeads>, StudyError> {
    let prepared = answering.prepared;
    let rules = rules(&prepared.spec.grid, &prepared.spec.config);
    if rules.is_empty() {
        return Ok(None);
    }
    if let Some(known) = StaticHeads::read(folder)? {
        let is_whole = |rule| known.rankings.iter().any(|ranking| ranking.is_of(rule));
        if rules.iter().all(is_whole) {
            return Ok(Some(known));
        }
        let path = folder.join(STATIC_HEADS_FILE);
        return Err(StudyError::Content {
            path,
            reason: "it lacks heads of some of the run's cells".to_owned(),
        });
    }
    if num_recorded > 0 {
        let path = folder.join(STATIC_HEADS_FILE);
        return Err(StudyError::Content {
            path,
            reason: "it is missing, and records were made by it".to_owned(),
        });
    }
    let (halves, groups) = select_half(prepared);
    let total = groups.iter().map(Vec::len).sum();
    if total == 0 {
        return Err(StudyError::Setting {
            what: "static_heads",
            found: "no sample is in the half to choose by".to_owned(),
            expected: "more images, or datasets with the splits select and confirm".to_owned(),
        });
    }
    let jobs = jobs(groups, 0, answering.options.batch_size);
    let num_heads = prepared.spec.model.shape.decoder.num_heads;
    let mut rankings = vec![HeadRanking::new(num_heads); rules.len()];
    let (mut num_failed, mut first_error, mut done) = (0, None, 0);
    progress(0, total);
    answering.each_job(
        &jobs,
        |worker, job, _| rank(worker, &rules, job),
        |samples: Vec<Result<HeadScores, String>>| {
            done += samples.len();
            for sample in samples {
                match sample {
                    Ok(scores) => add(&mut rankings, &scores)?,
                    Err(error) => {
                        num_failed += 1;
                        first_error.get_or_insert(error);
                    }
                }
            }
            progress(done, total);
            Ok(())
        },
    )?;
    if answering.options.is_stopped() {
        return Ok(None);
    }
    let found = rules.iter().zip(&rankings);
    let rankings: Result<Vec<StaticRanking>, StudyError> = found
        .map(|(rule, ranking)| ranked(rule, ranking, first_error.as_deref()))
        .collect();
    let heads = StaticHeads {
        halves,
        num_samples: total,
        num_failed,
        first_error,
        rankings: rankings?,
    };
    heads.write(folder)?;
    Ok(Some(heads))
}

fn add(rankings: &mut [HeadRanking], scores: &HeadScores) -> Result<(), StudyError> {
    for (ranking, scores) in rankings.iter_mut().zip(scores) {
        ranking.add(scores).map_err(scoring)?;
    }
    Ok(())
}

fn scoring(error: ScoringError) -> StudyError {
    StudyError::Model(error.into())
}

fn ranked(
    rule: &RankedRule,
    ranking: &HeadRanking,
    first_error: Option<&str>,
) -> Result<StaticRanking, StudyError> {
    let top = ranking.top(rule.num_selected_heads).map_err(scoring)?;
    let (Some(heads), Some(mean_scores)) = (top, ranking.means()) else {
        let reason = first_error.unwrap_or("no head has attention to the image");
        return Err(StudyError::Setting {
            what: "static_heads",
            found: format!("no sample of the half to choose by has head scores ({reason})"),
            expected: "at least one sample that can be scored".to_owned(),
        });
    };
    Ok(StaticRanking {
        head_strategy: rule.head_strategy,
        query_strategy: rule.query_strategy,
        num_selected_heads: rule.num_selected_heads,
        prune_layer: rule.prune_layer,
        heads,
        mean_scores,
        num_scored: ranking.num_samples(),
    })
}

/// The samples to choose by, image by image, whatever the shard.
fn select_half(prepared: &Prepared) -> (Halves, Vec<Vec<usize>>) {
    let specs = &prepared.spec.datasets;
    let halves = Halves::of(specs);
    let samples: Vec<&[Sample]> = prepared
        .datasets
        .iter()
        .map(|dataset| dataset.samples.as_slice())
        .collect();
    let is_select = |group: &Vec<usize>| {
        let Some(&first) = group.first() else {
            return false;
        };
        let found = specs.iter().zip(&samples).find_map(|(spec, samples)| {
            let sample = samples.get(first.checked_sub(spec.first_index)?)?;
            Some(halves.is_select(&spec.split, &sample.image_id))
        });
        found.unwrap_or(false)
    };
    let mut groups = image_groups(&samples, None);
    groups.retain(is_select);
    (halves, groups)
}
