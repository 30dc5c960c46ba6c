//! The simulated points.

use serde::Serialize;

use super::Scenario;
use crate::clusters::Clusters;
use crate::error::StatsError;
use crate::random::Random;

/// Kind of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// Differences of 0/1 scores.
    Binary,
    /// Differences of VQA accuracies: 0.3, 0.4, 0.6, 0.7 or 1 if answers disagree.
    Vqa,
    /// Differences of a 0/1 score and a mean of three such scores: thirds.
    Thirds,
    /// The mean of 0/1 scores.
    Means,
}

impl Scores {
    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Scores::Binary => "0/1",
            Scores::Vqa => "VQA",
            Scores::Thirds => "thirds",
            Scores::Means => "mean",
        }
    }

    /// The sizes of a difference with their probabilities in tenths.
    const fn magnitudes(self) -> &'static [(f64, usize)] {
        match self {
            Scores::Binary | Scores::Means => &[(1.0, 10)],
            Scores::Vqa => &[(0.3, 3), (0.6, 2), (1.0, 3), (0.4, 1), (0.7, 1)],
            Scores::Thirds => &[(1.0 / 3.0, 6), (2.0 / 3.0, 3), (1.0, 1)],
        }
    }
}

/// Numbers of questions per image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// The same number for all images.
    Equal(usize),
    /// 1 to 20, uniform on a logarithmic scale.
    Unequal,
}

impl Sizes {
    /// Name in tables.
    pub fn name(self) -> String {
        match self {
            Sizes::Equal(size) => size.to_string(),
            Sizes::Unequal => "1–20".to_owned(),
        }
    }

    /// `[samples]`, the image of each sample.
    pub(super) fn labels(self, num_clusters: usize) -> Vec<usize> {
        let last = num_clusters.saturating_sub(1).max(1) as f64;
        let size = |cluster: usize| match self {
            Sizes::Equal(size) => size,
            Sizes::Unequal => libm::round(libm::pow(20.0, cluster as f64 / last)) as usize,
        };
        (0..num_clusters)
            .flat_map(|cluster| std::iter::repeat_n(cluster, size(cluster)))
            .collect()
    }
}

impl Scenario {
    /// The true mean.
    pub fn truth(&self) -> f64 {
        let magnitudes = self.scores.magnitudes().iter();
        let size: f64 = magnitudes
            .map(|(size, tenths)| size * *tenths as f64 / 10.0)
            .sum();
        (self.plus - self.minus) * size
    }

    /// One dataset, `[samples]`.
    pub(super) fn draw(&self, clusters: &Clusters, random: &mut Random) -> Vec<f64> {
        let mut before: Vec<Vec<f64>> = vec![Vec::new(); clusters.len()];
        let magnitudes: Vec<f64> = self
            .scores
            .magnitudes()
            .iter()
            .flat_map(|&(size, tenths)| std::iter::repeat_n(size, tenths))
            .collect();
        let draw = |&cluster: &u32| {
            let drawn = &mut before[cluster as usize];
            let copies = self.correlation * drawn.len() as f64;
            let fresh = 1.0 - self.correlation;
            let sign = if unit(random) * (fresh + copies) < fresh {
                let place = unit(random);
                if place < self.plus {
                    1.0
                } else {
                    -f64::from(u8::from(place < self.plus + self.minus))
                }
            } else {
                drawn[random.below(drawn.len() as u32)]
            };
            drawn.push(sign);
            if sign == 0.0 {
                0.0
            } else {
                sign * magnitudes[random.below(magnitudes.len() as u32)]
            }
        };
        clusters.of_samples().iter().map(draw).collect()
    }

    /// Number of images with a value that differs from the usual one.
    pub(super) fn num_disagreeing(
        &self,
        values: &[f64],
        clusters: &Clusters,
    ) -> Result<usize, StatsError> {
        let usual = match self.scores {
            Scores::Means if self.plus > 0.5 => 1.0,
            _ => 0.0,
        };
        let unlike: Vec<f64> = values.iter().map(|value| (value - usual).abs()).collect();
        Ok(clusters
            .sums(&unlike)?
            .iter()
            .filter(|sum| **sum > 0.0)
            .count())
    }
}

/// A number from 0 to 1, excluding 1.
fn unit(random: &mut Random) -> f64 {
    (random.bits() >> 11) as f64 / (1_u64 << 53) as f64
}

const DISCORDANCE: [f64; 6] = [0.001, 0.004, 0.01, 0.03, 0.1, 0.2];
/// Fraction of disagreements that favour a.
const BALANCES: [f64; 3] = [0.5, 0.75, 1.0];
const CLUSTERS: [usize; 4] = [12, 40, 100, 400];

/// Every point: 0/1 scores on the whole grid, others on parts of it.
pub fn grid() -> Vec<Scenario> {
    let mut all = Vec::new();
    for sizes in [Sizes::Equal(1), Sizes::Equal(6), Sizes::Unequal] {
        for &correlation in correlations(sizes) {
            for num_clusters in CLUSTERS {
                for discordance in DISCORDANCE {
                    for balance in BALANCES {
                        all.push(Scenario {
                            scores: Scores::Binary,
                            num_clusters,
                            sizes,
                            plus: discordance * balance,
                            minus: discordance * (1.0 - balance),
                            correlation,
                        });
                    }
                }
            }
        }
    }
    for scores in [Scores::Vqa, Scores::Thirds, Scores::Means] {
        for (sizes, correlation) in [(Sizes::Equal(1), 0.0), (Sizes::Equal(6), 0.2)] {
            for num_clusters in CLUSTERS {
                for discordance in DISCORDANCE {
                    let balance = if scores == Scores::Means { 1.0 } else { 0.75 };
                    all.push(Scenario {
                        scores,
                        num_clusters,
                        sizes,
                        plus: discordance * balance,
                        minus: discordance * (1.0 - balance),
                        correlation,
                    });
                }
            }
        }
    }
    all
}

/// A few points of each kind.
pub fn quick_grid() -> Vec<Scenario> {
    let is_quick = |scenario: &Scenario| {
        let (is, discordance) = (
            |a: f64, b: f64| (a - b).abs() < 1e-9,
            scenario.plus + scenario.minus,
        );
        let is_between =
            scenario.scores == Scores::Binary && is(scenario.plus, 3.0 * scenario.minus);
        [12, 40].contains(&scenario.num_clusters)
            && (is(discordance, 0.004) || is(discordance, 0.2))
            && !is_between
    };
    grid().into_iter().filter(is_quick).collect()
}

const fn correlations(sizes: Sizes) -> &'static [f64] {
    match sizes {
        Sizes::Equal(1) => &[0.0],
        Sizes::Equal(_) => &[0.0, 0.1, 0.4],
        Sizes::Unequal => &[0.0, 0.4],
    }
}
