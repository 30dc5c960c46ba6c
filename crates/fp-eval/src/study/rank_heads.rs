//! Ranking heads on the selection half, for the static variants of head strategies.
//!
//! Each shard ranks on the whole half, not only on its own samples.

use std::path::Path;

use fp_scoring::{HeadRanking, ScoringError};

use super::answering::Answering;
use super::engine::{HeadScores, rank};
use super::error::StudyError;
use super::halves::Halves;
use super::loading::jobs;
use super::order::image_groups;
use super::prepare::{Prepared, samples};
use super::static_heads::{RankedRule, STATIC_HEADS_FILE, StaticHeads, StaticRanking, rules};

/// The heads of the run's static variants, stored in its folder or ranked now; `None` if it has no
/// such cells or was stopped. `progress` is called with the number of ranked samples and of all
/// samples.
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
            reason: "it has no heads for some of the run's cells".to_owned(),
        });
    }
    if num_recorded > 0 {
        let path = folder.join(STATIC_HEADS_FILE);
        return Err(StudyError::Content {
            path,
            reason: "it is missing, and records depend on it".to_owned(),
        });
    }
    let (halves, groups) = select_half(prepared);
    let total = groups.iter().map(Vec::len).sum();
    if total == 0 {
        return Err(StudyError::Setting {
            what: "static_heads",
            found: "no sample is in the selection half".to_owned(),
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
    if answering.options.is_ending() {
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
            found: format!("no sample of the selection half has head scores ({reason})"),
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

/// The samples of the selection half, image by image, independent of the shard.
fn select_half(prepared: &Prepared) -> (Halves, Vec<Vec<usize>>) {
    let specs = &prepared.spec.datasets;
    let halves = Halves::of(specs);
    let samples = samples(&prepared.datasets);
    let is_select = |group: &Vec<usize>| {
        let Some(&first) = group.first() else {
            return false;
        };
        let found = specs.iter().zip(&samples).find_map(|(spec, samples)| {
            let sample = samples.get(first.checked_sub(spec.first_index)?)?;
            Some(!sample.is_text_only() && halves.is_select(&spec.split, &sample.image_id))
        });
        found.unwrap_or(false)
    };
    let mut groups = image_groups(&samples);
    groups.retain(is_select);
    (halves, groups)
}
