//! Seeded dummy weights, for timing a shape without its checkpoint.

use fp_scoring::hash::{GOLDEN_GAMMA, fnv1a_seeded, split_mix};

/// Values that depend only on the seed, the tensor's name and the index within it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RandomWeights {
    pub(crate) seed: u64,
}

/// Standard deviation of Hugging Face's initialisation.
const DEVIATION: f32 = 0.02;

impl RandomWeights {
    /// Fills `out` with the values of tensor `name` from index `first` on: ones for the weights of
    /// norms, zeros for biases, else uniform values with mean 0 and standard deviation 0.02.
    pub(crate) fn fill(self, name: &str, first: usize, out: &mut [f32]) {
        let is_norm = ["norm.weight", "norm1.weight", "norm2.weight", "ln_q.weight"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_norm {
            out.fill(1.0);
        } else if name.ends_with(".bias") {
            out.fill(0.0);
        } else {
            let stream = fnv1a_seeded(self.seed, name.bytes());
            let half_width = DEVIATION * 3.0_f32.sqrt();
            for (index, value) in (first as u64..).zip(out) {
                let bits = split_mix(stream.wrapping_add(index.wrapping_mul(GOLDEN_GAMMA)));
                let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
                *value = unit * half_width;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_place_not_on_chunking() {
        let weights = RandomWeights { seed: 7 };
        let mut whole = vec![0.0; 1000];
        weights.fill("a.weight", 0, &mut whole);
        let mut part = vec![0.0; 100];
        weights.fill("a.weight", 300, &mut part);
        assert_eq!(part, whole[300..400]);
        let mean = whole.iter().sum::<f32>() / 1000.0;
        let variance = whole.iter().map(|x| x * x).sum::<f32>() / 1000.0;
        assert!(mean.abs() < 0.003 && (variance.sqrt() / DEVIATION - 1.0).abs() < 0.1);
        let mut other = vec![0.0; 1000];
        RandomWeights { seed: 8 }.fill("a.weight", 0, &mut other);
        assert_ne!(whole, other);
    }
}
