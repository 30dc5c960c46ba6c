//! Assignment of a run's images to its shards: whole images, balanced by cost.
//!
//! The only rule: images in descending order of cost, each to the shard with the lowest cost so
//! far; ties go to the earlier image and to the shard with the lower number. A shard then runs its
//! images in the order of the whole run. This is greedy scheduling by longest processing time
//! (Graham 1969), whose largest shard is at most 4/3 of the best possible one, and with many images
//! hardly above the mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fp_data::dataset::Dataset;
use fp_model::ModelConfig;
use fp_scoring::{DecoderShape, MethodRegistry, MlpConvention};
use serde::{Deserialize, Serialize};

use super::config::StudyConfig;
use super::error::StudyError;
use super::grid::{Cell, Grid};
use super::inputs::Inputs;
use super::order::Shard;
use super::prepare::Prepared;
use super::spec::RunSpec;

/// How images are assigned to shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardRule {
    /// Whole images, the most expensive first, each to the shard with the lowest cost.
    BalancedByCost,
}

/// Content of one shard, and the rule by which it was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardPlan {
    /// Rule of the assignment.
    pub rule: ShardRule,
    /// Number of images of this shard; a text-only question counts as one.
    pub num_images: usize,
    /// Number of samples of this shard.
    pub num_samples: usize,
    /// Estimated cost of this shard, in millions of multiply-accumulates.
    pub cost: u64,
    /// Estimated cost of all shards; equal in all shards of one run.
    pub total_cost: u64,
}

/// Number of tokens assumed for a question and its instruction.
const TEXT_TOKENS: f64 = 64.0;

/// Number of MACs in a unit of cost.
const UNIT: f64 = 1e6;

/// Estimates the cost of images and questions from shapes alone, so it is the same on any machine.
#[derive(Debug, Clone)]
pub struct CostModel {
    decoder: DecoderShape,
    vision: DecoderShape,
    num_patches: usize,
    /// K; the first one if there are several.
    prune_layer: usize,
    /// For each cell, the number of image tokens in the layers after K; `None` if all.
    kept: Vec<Option<f64>>,
    max_new_tokens: usize,
}

/// Multiply-accumulates of an image, spent once for all its questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageMacs {
    /// The vision tower.
    pub vision: f64,
    /// Layers up to K, on the image's tokens.
    pub prefix: f64,
}

/// Multiply-accumulates of a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuestionMacs {
    /// Layers up to K, on the question's own tokens.
    pub prefix: f64,
    /// Layers after K, over all cells.
    pub suffix: f64,
    /// One decoded token, over all cells.
    pub decoded_token: f64,
}

impl CostModel {
    /// Costs of a study's cells for a model.
    pub fn new(config: &StudyConfig, grid: &Grid, model: &ModelConfig) -> CostModel {
        let vision = &model.vision;
        CostModel {
            decoder: model.text.decoder_shape(),
            vision: DecoderShape {
                num_layers: vision.num_layers,
                hidden_size: vision.hidden_size,
                intermediate_size: vision.intermediate_size,
                num_heads: vision.num_heads,
                num_kv_heads: vision.num_heads,
                head_dim: vision.hidden_size / vision.num_heads.max(1),
            },
            num_patches: vision.num_patches(),
            prune_layer: config.prune_layer.first(),
            kept: grid.cells.iter().map(|cell| kept(grid, cell)).collect(),
            max_new_tokens: config.max_new_tokens,
        }
    }

    /// MACs that the questions on an image of `tokens` tokens share.
    pub fn image_macs(&self, tokens: f64) -> ImageMacs {
        let squares = (tokens / self.num_patches.max(1) as f64).ceil().max(1.0);
        let patches = self.num_patches as f64;
        let layer = self.vision.layer_macs(patches, MlpConvention::TwoMatrices);
        ImageMacs {
            vision: squares * self.vision.num_layers as f64 * layer,
            prefix: self.prune_layer as f64 * self.decoder_layer(tokens),
        }
    }

    /// MACs of one question on an image of `tokens` tokens, over all cells, assuming that no two
    /// cells keep the same tokens.
    pub fn question_macs(&self, tokens: f64) -> QuestionMacs {
        let layers = self.decoder.num_layers;
        let rest = layers.saturating_sub(self.prune_layer) as f64;
        let cell = |kept: &Option<f64>| {
            let visual = kept.map_or(tokens, |kept| kept.min(tokens));
            rest * self.decoder_layer(visual + TEXT_TOKENS)
        };
        QuestionMacs {
            prefix: self.prune_layer as f64 * self.decoder_layer(TEXT_TOKENS),
            suffix: self.kept.iter().map(cell).sum(),
            decoded_token: self.kept.len() as f64 * layers as f64 * self.decoder_layer(1.0),
        }
    }

    /// Number of cells.
    pub fn num_cells(&self) -> usize {
        self.kept.len()
    }

    /// MACs of a text-only question, which is one run for all cells.
    fn text_only(&self) -> f64 {
        let layers = self.decoder.num_layers as f64;
        layers
            * (self.decoder_layer(TEXT_TOKENS)
                + self.max_new_tokens as f64 * self.decoder_layer(1.0))
    }

    fn decoder_layer(&self, tokens: f64) -> f64 {
        self.decoder
            .layer_macs(tokens, MlpConvention::ThreeMatrices)
    }

    /// Cost of an image of `tokens` tokens with `num_questions` questions; at least 1.
    pub(crate) fn group(&self, tokens: Option<usize>, num_questions: usize) -> u64 {
        let questions = num_questions as f64;
        let macs = match tokens.map(|tokens| tokens as f64) {
            None => questions * self.text_only(),
            Some(tokens) => {
                let (image, question) = (self.image_macs(tokens), self.question_macs(tokens));
                let decoded = self.max_new_tokens as f64 * question.decoded_token;
                image.vision
                    + image.prefix
                    + questions * (question.prefix + question.suffix + decoded)
            }
        };
        ((macs / UNIT).round() as u64).max(1)
    }
}

/// Number of image tokens that a cell keeps in the layers after K; `None` if all.
fn kept(grid: &Grid, cell: &Cell) -> Option<f64> {
    if cell.method.is("no_image") || cell.method.is("drop_all") {
        return Some(0.0);
    }
    let budget = grid.budgets.get(cell.budget?)?;
    let kept = budget.kept.map(|kept| kept as f64);
    kept.or(budget.average_visual_tokens)
}

/// The cost of every image of a run with its questions, in the order of `groups`.
pub(super) fn costs(
    model: &CostModel,
    inputs: &Inputs,
    datasets: &[Dataset],
    groups: &[Vec<usize>],
) -> Vec<u64> {
    let samples: Vec<_> = datasets.iter().flat_map(|set| &set.samples).collect();
    let cost = |group: &Vec<usize>| {
        let first = group.first().and_then(|&index| samples.get(index));
        let tokens = first
            .filter(|sample| !sample.is_text_only())
            .map(|sample| inputs.estimated_tokens(sample));
        model.group(tokens, group.len())
    };
    groups.iter().map(cost).collect()
}

/// The shard of each image by its cost, counted from 0.
pub fn share_out(costs: &[u64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|&image| (Reverse(costs[image]), image));
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> =
        (0..count).map(|shard| Reverse((0, shard))).collect();
    let mut shards = vec![0; costs.len()];
    for image in order {
        let Some(Reverse((load, shard))) = loads.pop() else {
            break;
        };
        shards[image] = shard;
        loads.push(Reverse((load.saturating_add(costs[image]), shard)));
    }
    shards
}

/// The plan of each of `count` shards.
pub(super) fn plans(groups: &[Vec<usize>], costs: &[u64], count: usize) -> Vec<ShardPlan> {
    let total_cost = costs
        .iter()
        .fold(0, |sum: u64, cost| sum.saturating_add(*cost));
    let empty = ShardPlan {
        rule: ShardRule::BalancedByCost,
        num_images: 0,
        num_samples: 0,
        cost: 0,
        total_cost,
    };
    let mut plans = vec![empty; count];
    for (image, shard) in share_out(costs, count).into_iter().enumerate() {
        plans[shard].num_images += 1;
        plans[shard].num_samples += groups[image].len();
        plans[shard].cost += costs[image];
    }
    plans
}

/// The images of one shard, in the order of the whole run, and the shard's plan.
pub(super) fn own_shard(
    groups: Vec<Vec<usize>>,
    costs: &[u64],
    shard: Shard,
) -> (Vec<Vec<usize>>, ShardPlan) {
    let own = shard.index - 1;
    let plan = plans(&groups, costs, shard.count)[own];
    let shards = share_out(costs, shard.count);
    let images = groups.into_iter().zip(shards);
    let shard = images.filter_map(|(group, shard)| (shard == own).then_some(group));
    (shard.collect(), plan)
}

/// A study's shards, before anything is run.
#[derive(Debug, Clone)]
pub struct ShardTable {
    /// Specification of the whole run.
    pub spec: RunSpec,
    /// The shards, starting with shard 1.
    pub shards: Vec<ShardPlan>,
}

impl ShardTable {
    /// Cost of the largest shard divided by the mean, at least 1.
    pub fn imbalance(&self) -> f64 {
        let total: u64 = self.shards.iter().map(|shard| shard.cost).sum();
        let longest = self.shards.iter().map(|shard| shard.cost).max();
        let mean = total as f64 / self.shards.len().max(1) as f64;
        longest.unwrap_or(0) as f64 / mean.max(1.0)
    }
}

/// Checks a study's configuration, data and model as a run would, and assigns its images to `count`
/// shards. Weights are hashed but not loaded.
///
/// # Errors
/// All errors that would prevent a run, and more shards than images.
pub fn plan_shards(
    config: &StudyConfig,
    methods: &MethodRegistry,
    count: usize,
) -> Result<ShardTable, StudyError> {
    let prepared = Prepared::new(config, None, methods)?;
    let num_images = prepared.groups.len();
    if !(1..=num_images).contains(&count) {
        return Err(StudyError::Setting {
            what: "shards",
            found: count.to_string(),
            expected: format!(
                "must be 1 to {num_images}, the number of images, whose questions stay together"
            ),
        });
    }
    let shards = plans(&prepared.groups, &prepared.costs(), count);
    Ok(ShardTable {
        spec: prepared.spec,
        shards,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_one_shard_in_order() {
        let groups = vec![vec![0, 2], vec![1], vec![3], vec![4, 5], vec![6]];
        let costs = [20, 10, 10, 20, 10];
        let mut seen = Vec::new();
        for index in 1..=3 {
            let (shard, plan) = own_shard(groups.clone(), &costs, Shard { index, count: 3 });
            assert!(shard.is_sorted());
            assert_eq!((plan.num_images, plan.total_cost), (shard.len(), 70));
            assert_eq!(plan.num_samples, shard.iter().flatten().count());
            seen.extend(shard);
        }
        seen.sort_unstable();
        assert_eq!(seen, groups);
        // 20, 20, 10 first, then the 10s to the shard with the lowest cost.
        assert_eq!(share_out(&costs, 3), [0, 2, 2, 1, 0]);
    }

    #[test]
    fn equal_images_go_round() {
        assert_eq!(share_out(&[7; 5], 2), [0, 1, 0, 1, 0]);
        assert_eq!(share_out(&[7; 2], 4), [0, 1]);
        assert!(share_out(&[], 3).is_empty());
    }

    #[test]
    fn the_longest_shard_is_near_the_mean() {
        // Images with 1 to 40 questions, as in the least balanced datasets.
        let costs: Vec<u64> = (0..2000)
            .map(|image: u64| 50 + 31 * (image * 7 % 40))
            .collect();
        for count in [2, 8, 64] {
            let mut loads = vec![0; count];
            for (image, shard) in share_out(&costs, count).into_iter().enumerate() {
                loads[shard] += costs[image];
            }
            let mean = loads.iter().sum::<u64>() as f64 / count as f64;
            let longest = *loads.iter().max().unwrap() as f64;
            assert!(longest < 1.01 * mean, "{count}: {longest} {mean}");
        }
    }
}
