//! Attention rows like those of a decoder layer, from a seed.

/// SplitMix64. Source: G. Steele, D. Lea, C. Flood, "Fast splittable
/// pseudorandom number generators", 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, variance 1, nearly normal: twelve uniforms, added. Within ±6,
    /// which logits are too.
    fn gaussian(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Share of a row's attention that goes to the image: at least this …
const MIN_IMAGE_MASS: f64 = 0.3;
/// … and at most this.
const MAX_IMAGE_MASS: f64 = 0.9;
/// Standard deviation of the logits of the flattest head …
const MIN_SPREAD: f64 = 0.5;
/// … and of the most focused one.
const MAX_SPREAD: f64 = 3.0;

/// Attention to the image, `[num_rows, num_image_tokens]` row-major: each row is
/// a softmax over nearly normal logits, with a temperature and a share of
/// attention left for the text that are drawn for the row.
pub fn synthetic_attention(num_rows: usize, num_image_tokens: usize, seed: u64) -> Vec<f32> {
    let mut random = SplitMix64(seed);
    let mut attention = Vec::with_capacity(num_rows * num_image_tokens);
    for _ in 0..num_rows {
        let spread = MIN_SPREAD + (MAX_SPREAD - MIN_SPREAD) * random.uniform();
        let mass = MIN_IMAGE_MASS + (MAX_IMAGE_MASS - MIN_IMAGE_MASS) * random.uniform();
        let weights: Vec<f64> = (0..num_image_tokens)
            .map(|_| (spread * random.gaussian()).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        attention.extend(weights.iter().map(|weight| (mass * weight / total) as f32));
    }
    attention
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mass_and_differ() {
        let (rows, tokens) = (8, 50);
        let attention = synthetic_attention(rows, tokens, 7);
        assert_eq!(attention.len(), rows * tokens);
        for row in attention.chunks(tokens) {
            let mass: f32 = row.iter().sum();
            assert!((0.29..0.91).contains(&mass), "{mass}");
            assert!(row.iter().all(|&value| value > 0.0));
        }
        assert_ne!(attention[..tokens], attention[tokens..2 * tokens]);
    }

    #[test]
    fn a_seed_gives_the_same_values() {
        assert_eq!(synthetic_attention(2, 9, 3), synthetic_attention(2, 9, 3));
        assert_ne!(synthetic_attention(2, 9, 3), synthetic_attention(2, 9, 4));
    }
}
