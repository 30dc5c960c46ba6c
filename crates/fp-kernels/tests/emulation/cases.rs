//! Random shapes and attention.

use crate::emulation::ffi::{BF16, F16, F32};

pub(crate) const DTYPES: [u32; 3] = [F32, F16, BF16];

/// A small generator, so that every run tests the same cases.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let word = self.0 ^ (self.0 >> 29);
        word.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11
    }

    /// An integer below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// An integer from `low` to `high`, inclusive.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 53) as f32
    }
}

/// N up to 4096: mostly small, sometimes at the limits of a row shape.
pub(crate) fn num_image_tokens(random: &mut Random, case: usize) -> usize {
    const EDGES: [usize; 14] = [
        1, 2, 127, 128, 129, 256, 257, 511, 513, 576, 1024, 1025, 2049, 4096,
    ];
    match case {
        _ if case < EDGES.len() => EDGES[case],
        _ if case.is_multiple_of(20) => random.between(257, 1500),
        _ => random.between(1, 200),
    }
}

/// H, sometimes up to 64; few heads for long rows, which the emulation runs slowly.
pub(crate) fn num_heads(random: &mut Random, num_image_tokens: usize, case: usize) -> usize {
    match num_image_tokens {
        0..=100 if case.is_multiple_of(10) => random.between(1, 64),
        0..=100 => random.between(1, 12),
        101..=256 => random.between(1, 6),
        257..=1024 => random.between(1, 4),
        _ => random.between(1, 2),
    }
}

/// Attention `[rows, N]`: peaked, flat, tied, constant, zero and denormal rows.
pub(crate) fn attention(random: &mut Random, rows: usize, n: usize) -> Vec<f32> {
    attention_of_kinds(random, rows, n, 9)
}

/// Attention without special rows.
pub(crate) fn plain_attention(random: &mut Random, rows: usize, n: usize) -> Vec<f32> {
    attention_of_kinds(random, rows, n, 4)
}

fn attention_of_kinds(random: &mut Random, rows: usize, n: usize, num_kinds: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(rows * n);
    for _ in 0..rows {
        let kind = random.below(num_kinds);
        let level = random.unit() / n as f32;
        let sharpness = 1.0 + 6.0 * random.unit();
        for _ in 0..n {
            let x = random.unit();
            values.push(match kind {
                0..=3 => (-sharpness * (1.0 - x)).exp() * level * 2.0,
                4 => (x * 6.0).floor() / 64.0,
                5 => level,
                6 => 0.0,
                7 => f32::from_bits((x * 5000.0) as u32),
                _ if x < 0.9 => 0.0,
                _ => x,
            });
        }
    }
    values
}
