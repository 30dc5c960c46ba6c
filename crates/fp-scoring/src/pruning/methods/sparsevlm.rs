//! SparseVLM v1.5: tokens rated by the text, and merged tokens of the best dropped ones.
//!
//! score_j = mean over raters of the mean over heads of a layer's attention to image token j; the
//! min(keep, n − 1) largest are kept. Of the d dropped, the r = ⌊0.3·d⌋ + 1 of largest score, in
//! that order, are clustered by DPC-kNN into C = ⌊r / 10⌋ + 1: dist = ‖x_i − x_j‖ / √D of the
//! hidden states after the layer, density = exp(−mean of the C smallest squared distances, the
//! token's own 0 included) + noise, δ = distance to the nearest token of greater density, or the
//! largest distance of all; centres are the C largest of δ·density, every token joins its nearest
//! centre, ties to the first, and a centre joins itself. A merged token is Σ members / (count +
//! 1e-6). Order: kept tokens, then clusters by descending δ·density of their centres. Shapes:
//! `rows` [H, T, n], `after` [n, D]. Source: SparseVLMs @ 26a5f48813c4, `score.py`, `utils.py`.
//!
//! The authors add noise of U(0, 1e-6) to densities, which in half precision mostly has no
//! effect: the order of a top-k decides ties, which are frequent for C = 2 (two mutual nearest
//! neighbours have the same density). Here the noise is 0 unless a seed or the values are given,
//! and exact ties go to the earlier recycled token. Distances are computed as written, not by a
//! Gram matrix, which would break such ties. Positions under `keep` are our choice: a cluster has
//! its centre's position.

use crate::hash::{GOLDEN_GAMMA, split_mix};
use crate::pruning::published::at_budget;
use crate::pruning::published::choice::{Sum, weighted_rows};
use crate::pruning::published::dense::distance;
use crate::pruning::published::shared::{self, RATERS, ROWS, layers};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod,
    PublishedStage, Source, best, descending,
};
use crate::{Evidence, PlanSetting, PositionRule, Site, TokenSelection};

/// Added to the number of a cluster's members.
const EPSILON: f64 = 1e-6;
/// The range of the authors' noise.
const NOISE: f64 = 1e-6;

/// Tokens rated by the text, and merged tokens of the best dropped ones.
#[derive(Debug)]
pub struct SparseVlm;

static CARD: PublishedCard = PublishedCard {
    name: "sparsevlm",
    summary: "the tokens that text raters attend to, with merged ones of those dropped (v1.5)",
    site: "layer k",
    formula: "score_j = mean over raters and heads of A[h, t, j]; min(keep, n-1) largest; of d \
              dropped int(0.3*d)+1 make int(that/10)+1 clusters (DPC-kNN), sum/(count+1e-6)",
    inputs: &[
        ROWS,
        InputCard {
            name: "after",
            shape: "[n, D]",
            summary: "hidden states of the image tokens after that layer",
        },
    ],
    params: &[
        ParamCard {
            name: "keep",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "the number of tokens kept as they are, n - 1 at most",
        },
        RATERS,
        ParamCard {
            name: "noise",
            kind: ParamKind::Numbers,
            default: ParamDefault::Is("0"),
            scope: ParamScope::Selection,
            summary: "added to the densities: one number for all, or one per recycled token in their order",
        },
        layers(ParamDefault::Is("3,7,16")),
        ParamCard {
            name: "keep",
            kind: ParamKind::Counts,
            default: ParamDefault::Is("300,200,110"),
            scope: ParamScope::Model,
            summary: "the number of tokens kept as they are at each stage",
        },
        ParamCard {
            name: "noise",
            kind: ParamKind::Number,
            default: ParamDefault::Is("0"),
            scope: ParamScope::Model,
            summary: "the same number added to all densities; without effect but for rounding",
        },
        ParamCard {
            name: "seed",
            kind: ParamKind::Count,
            default: ParamDefault::Absent,
            scope: ParamScope::Both,
            summary: "seed of noise of U(0, 1e-6), as the authors add unseeded; none by default",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "layers=3,7,16 keep=300,200,110",
            whose: "the authors; by tokens that enter each layer 206.5",
        },
        Preset {
            budget: "128",
            params: "layers=3,7,16 keep=303,110,36",
            whose: "the authors; by tokens that enter each layer 145.4",
        },
        Preset {
            budget: "64",
            params: "layers=3,7,16 keep=66,30,17",
            whose: "the authors; by tokens that enter each layer 82.3",
        },
    ],
    paper: "SparseVLM, ICML 2025",
    source: "Gumpest/SparseVLMs @ 26a5f48813c4, llava/model/language_model/{score,utils}.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "budgets count what leaves a layer: by what enters it 192, 128, 64 are 206.5, 145.4, 82.3",
        "the paper adapts the number to a rank per layer and sums clusters; the code has fixed \
         lists and averages",
        "unseeded noise makes the code's runs differ; here it is 0, or seeded",
        "clusters enter the sequence by descending score, not in spatial order",
    ],
};

impl PublishedMethod for SparseVlm {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let heads = inputs.matrices("rows")?;
        let num_tokens = heads[0].num_columns();
        let after = inputs.matrix("after")?;
        let why = "as `rows` has columns";
        inputs.check_rows("after", after.num_rows(), num_tokens, why)?;
        let raters = shared::raters(params, heads[0].num_rows())?;
        let keep = shared::keep_below(params, num_tokens)?;
        let scores = rated(&heads, raters);
        let kept = best(&scores, &(0..num_tokens).collect::<Vec<_>>(), keep);
        let recycled = recycled_tokens(&scores, &kept);
        let noise = noise(params, recycled.len())?;
        let rows = recycled
            .iter()
            .map(|&token| after.row(token).to_vec())
            .collect();
        let states = Dense::from_rows(rows, after.num_columns());
        let clusters = dpc_knn(&states, recycled.len() / 10 + 1, &noise);
        let named = |members: &[usize]| members.iter().map(|&m| recycled[m]).collect::<Vec<_>>();
        let centres = named(&clusters.centres);
        let groups: Vec<Vec<usize>> = clusters.members.iter().map(|m| named(m)).collect();
        let merged: Vec<Sum> = centres
            .iter()
            .zip(&groups)
            .map(|(&centre, members)| {
                let weight = 1.0 / (members.len() as f64 + EPSILON);
                (
                    centre,
                    members.iter().map(|&member| (member, weight)).collect(),
                )
            })
            .collect();
        let rows = weighted_rows(&merged, &after);
        let mut sums: Vec<Sum> = kept.iter().map(|&t| (t, vec![(t, 1.0)])).collect();
        sums.extend(merged);
        let selection = TokenSelection::merged(sums, num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection)
            .with_rows(rows)
            .with("recycled", Extra::Tokens(recycled))
            .with("clusters", Extra::Groups(groups))
            .with("centres", Extra::Tokens(centres))
            .with("noise", Extra::Numbers(noise)))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let (layers, keep) = at_budget::staged(share, &[3, 7, 16], &[300, 200, 110], setting);
        Some(vec![
            ("layers", at_budget::list(&layers)),
            ("keep", at_budget::list(&keep)),
        ])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let keep = params.counts("keep")?;
        let layers = params.check_per_stage("keep", keep.len())?;
        let noise = ParamValue::Numbers(vec![params.number("noise")?]);
        let mut present = setting.num_image_tokens;
        let stages = layers.iter().zip(keep).map(|(&layer, &keep)| {
            present = num_going_on(present, keep);
            PublishedStage {
                site: Site::Layer(layer),
                method: &SparseVlm,
                params: params
                    .with("keep", ParamValue::Count(keep))
                    .with("noise", noise.clone()),
                kept: present,
                sources: vec![("rows", Source::TextRows), ("after", Source::Hidden)],
            }
        });
        Ok(stages.collect())
    }

    fn finds_raters(&self) -> bool {
        true
    }

    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        Ok(params.with("raters", super::sparsevlm_raters::found_raters(evidence)?))
    }
}

/// Number of kept tokens and clusters for n tokens.
fn num_going_on(num_tokens: usize, keep: usize) -> usize {
    let kept = keep.min(num_tokens.saturating_sub(1));
    kept + num_recycled(num_tokens - kept) / 10 + 1
}

/// Number of dropped tokens that are merged.
fn num_recycled(num_dropped: usize) -> usize {
    (0.3 * num_dropped as f64) as usize + 1
}

/// Mean over raters of the mean over heads, `[n]`.
pub(super) fn rated(heads: &[Dense], raters: &[usize]) -> Vec<f64> {
    let num_tokens = heads[0].num_columns();
    let rows = raters.iter().map(|&rater| {
        let rows = heads.iter().map(|head| head.row(rater).to_vec());
        Dense::from_rows(rows.collect(), num_tokens).column_means()
    });
    Dense::from_rows(rows.collect(), num_tokens).column_means()
}

/// The dropped tokens that are merged, in descending order of score.
fn recycled_tokens(scores: &[f64], kept: &[usize]) -> Vec<usize> {
    let is_dropped = |token: &usize| kept.binary_search(token).is_err();
    let mut dropped: Vec<usize> = descending(scores).into_iter().filter(is_dropped).collect();
    dropped.truncate(num_recycled(dropped.len()));
    dropped
}

/// The noise added to the densities of `count` tokens.
fn noise(params: &MethodParams, count: usize) -> Result<Vec<f64>, PublishedError> {
    let given = params.numbers("noise")?;
    if params.get("seed").is_some() {
        let seed = params.count("seed")? as u64;
        if given != [0.0] {
            let expected = "either noise or a seed of it, not both".to_owned();
            return Err(params.refuse("seed", &seed, expected));
        }
        return Ok(seeded_noise(seed, count));
    }
    match given {
        [one] => Ok(vec![*one; count]),
        many if many.len() == count => Ok(many.to_vec()),
        many => {
            let expected = format!("one number, or {count}, one per recycled token");
            Err(params.refuse("noise", &format!("{} numbers", many.len()), expected))
        }
    }
}

/// Noise of U(0, 1e-6), reproducible from the seed on every machine.
pub(super) fn seeded_noise(seed: u64, count: usize) -> Vec<f64> {
    let draw = |index: u64| {
        let bits = split_mix(seed.wrapping_add(index.wrapping_mul(GOLDEN_GAMMA))) >> 11;
        bits as f64 / (1_u64 << 53) as f64 * NOISE
    };
    (1..=count as u64).map(draw).collect()
}

/// Clusters of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// Centres of the clusters, as rows in descending order of δ·density.
    pub centres: Vec<usize>,
    /// The rows of each cluster, including its centre, ascending.
    pub members: Vec<Vec<usize>>,
}

/// DPC-kNN: `num_clusters` clusters of rows `[r, D]`, with `noise` `[r]` added to their
/// densities; every tie goes to the lower index.
pub fn dpc_knn(rows: &Dense, num_clusters: usize, noise: &[f64]) -> Clusters {
    let count = rows.num_rows();
    let num_clusters = num_clusters.min(count);
    let scale = (rows.num_columns() as f64).sqrt();
    let apart = |i: usize, j: usize| distance(rows.row(i), rows.row(j)) / scale;
    let distances: Vec<Vec<f64>> = (0..count)
        .map(|i| (0..count).map(|j| apart(i, j)).collect())
        .collect();
    let densities: Vec<f64> = distances
        .iter()
        .zip(noise)
        .map(|(row, noise)| {
            let mut nearest = row.clone();
            nearest.sort_by(f64::total_cmp);
            let squares: f64 = nearest[..num_clusters].iter().map(|d| d * d).sum();
            (-squares / num_clusters as f64).exp() + noise
        })
        .collect();
    let largest = distances.iter().flatten().copied().fold(0.0, f64::max);
    let scores: Vec<f64> = (0..count)
        .map(|i| {
            let denser = (0..count).filter(|&j| densities[j] > densities[i]);
            let delta = denser.map(|j| distances[i][j]).fold(largest, f64::min);
            delta * densities[i]
        })
        .collect();
    let mut centres = descending(&scores);
    centres.truncate(num_clusters);
    let mut members = vec![Vec::new(); centres.len()];
    for (row, distances) in distances.iter().enumerate() {
        let own = centres.iter().position(|&centre| centre == row);
        let cluster = own.unwrap_or_else(|| {
            let mut nearest = 0;
            for (index, &centre) in centres.iter().enumerate() {
                if distances[centre] < distances[centres[nearest]] {
                    nearest = index;
                }
            }
            nearest
        });
        members[cluster].push(row);
    }
    Clusters { centres, members }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_by_hand() {
        // Points 0, 1, 10, 12 on a line, and two clusters: densities by the nearest neighbour are
        // e^-1/2 (0 and 1, which tie) and e^-2 twice. The largest distance is 12: 0 and 1 both
        // score 12·e^-1/2 and rank first and second.
        let rows = Dense::new(vec![0.0, 1.0, 10.0, 12.0], 1).unwrap();
        let clusters = dpc_knn(&rows, 2, &[0.0; 4]);
        assert_eq!(clusters.centres, [0, 1]);
        assert_eq!(clusters.members, [vec![0], vec![1, 2, 3]]);
        // With noise, 1 is denser: the other centre is 10, with 9·e^-2 against 1·e^-1/2.
        let clusters = dpc_knn(&rows, 2, &[0.0, 1e-6, 1e-7, 0.0]);
        assert_eq!(clusters.centres, [1, 2]);
        assert_eq!(clusters.members, [vec![0, 1], vec![2, 3]]);
        // One cluster: all densities are 1.
        assert_eq!(dpc_knn(&rows, 1, &[0.0; 4]).members, [vec![0, 1, 2, 3]]);
    }

    #[test]
    fn recycled_by_hand() {
        // Four dropped: ⌊1.2⌋ + 1 = 2 of them, in descending order of score.
        let scores = [0.1, 0.9, 0.3, 0.2, 0.5];
        assert_eq!(recycled_tokens(&scores, &[1]), [4, 2]);
        assert_eq!(recycled_tokens(&scores, &[0, 1, 2, 4]), [3]);
    }

    #[test]
    fn noise_is_small_and_seeded() {
        let noise = seeded_noise(7, 100);
        assert!(noise.iter().all(|n| (0.0..NOISE).contains(n)));
        assert_eq!(noise[..50], seeded_noise(7, 50));
        assert_ne!(noise, seeded_noise(8, 100));
    }
}
