//! Choosing tokens from logits.

use fp_scoring::hash::{GOLDEN_GAMMA, split_mix};

use crate::error::{ModelError, Result};
use crate::logits::Logits;

/// How tokens are chosen from logits.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// The largest logit, ties to the lower id.
    Greedy,
    /// A draw from softmax(logits / temperature), over the most likely tokens
    /// that together reach `top_p`.
    Random {
        /// Above 0; values below 1 sharpen the distribution, above 1 flatten it.
        temperature: f64,
        /// In (0, 1]; 1 samples from all tokens.
        top_p: f64,
        /// Equal seeds give equal samples.
        seed: u64,
    },
}

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    draws: u64,
}

impl Sampler {
    pub(crate) fn new(sampling: &Sampling) -> Result<Sampler> {
        if let Sampling::Random {
            temperature, top_p, ..
        } = *sampling
        {
            if !(temperature.is_finite() && temperature > 0.0) {
                return Err(ModelError::InputValue {
                    what: "the temperature",
                    found: temperature.to_string(),
                    expected: "a positive number, or greedy decoding".to_owned(),
                });
            }
            if !(top_p > 0.0 && top_p <= 1.0) {
                return Err(ModelError::InputValue {
                    what: "top_p",
                    found: top_p.to_string(),
                    expected: "above 0 and at most 1".to_owned(),
                });
            }
        }
        Ok(Sampler {
            sampling: sampling.clone(),
            draws: 0,
        })
    }

    /// Chooses the next token.
    ///
    /// # Errors
    /// A GPU that fails.
    pub(crate) fn choose(&mut self, logits: &Logits) -> Result<u32> {
        Ok(match self.sampling {
            Sampling::Greedy => logits.greedy(),
            Sampling::Random {
                temperature,
                top_p,
                seed,
            } => {
                self.draws += 1;
                let bits = split_mix(seed.wrapping_add(self.draws.wrapping_mul(GOLDEN_GAMMA)));
                let uniform = (bits >> 11) as f64 / (1_u64 << 53) as f64;
                draw(logits.values()?, temperature, top_p, uniform)
            }
        })
    }
}

pub(crate) fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if logits.get(best).is_some_and(|largest| logit > largest) {
            best = index;
        }
    }
    best
}

/// The token at `uniform` (in [0, 1)) of the cumulative truncated distribution.
fn draw(logits: &[f32], temperature: f64, top_p: f64, uniform: f64) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<(u32, f64)> = (0_u32..)
        .zip(logits)
        .map(|(id, &logit)| (id, (f64::from(logit - largest) / temperature).exp()))
        .collect();
    // The sort is stable, so equal weights stay in the order of their ids.
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut mass = 0.0;
    let reached = weights.iter().position(|(_, weight)| {
        mass += weight;
        mass >= top_p * total
    });
    weights.truncate(reached.map_or(weights.len(), |last| last + 1));
    let mut left = uniform * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    for &(id, weight) in &weights {
        if left < weight {
            return id;
        }
        left -= weight;
    }
    weights.last().map_or(0, |&(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(values: &[f32]) -> Logits {
        Logits::host(values.to_vec()).unwrap()
    }

    #[test]
    fn greedy_breaks_ties_to_the_lower_id() {
        assert_eq!(
            Sampler::new(&Sampling::Greedy)
                .unwrap()
                .choose(&logits(&[1.0, 3.0, 3.0]))
                .unwrap(),
            1
        );
    }

    #[test]
    fn draws_follow_the_distribution_and_the_seed() {
        let weights = [0.0, 2.0_f32.ln(), 5.0_f32.ln()]; // 1 : 2 : 5
        let logits = logits(&weights);
        let sampling = Sampling::Random {
            temperature: 1.0,
            top_p: 1.0,
            seed: 3,
        };
        let draws = || {
            let mut sampler = Sampler::new(&sampling).unwrap();
            (0..8000)
                .map(|_| sampler.choose(&logits).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(draws(), draws());
        for (id, expected) in [(0, 1000), (1, 2000), (2, 5000)] {
            let count = draws().iter().filter(|&&drawn| drawn == id).count();
            assert!(count.abs_diff(expected) < 150, "{id}: {count}");
        }
        // The most likely token alone reaches 0.6.
        assert!((0..100).all(|i| draw(&weights, 1.0, 0.6, f64::from(i) / 100.0) == 2));
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for (temperature, top_p) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, 0.0), (1.0, 1.5)] {
            assert!(
                Sampler::new(&Sampling::Random {
                    temperature,
                    top_p,
                    seed: 0
                })
                .is_err()
            );
        }
    }
}
