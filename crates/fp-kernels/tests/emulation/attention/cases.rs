//! Random layers.

use super::layer::{Layer, Run, Sequence, Shape};
use crate::emulation::cases::Random;

/// Head sizes of real models, and of tiny test models.
const HEAD_DIMS: [usize; 12] = [4, 8, 7, 16, 20, 32, 64, 64, 80, 96, 128, 136];

pub(super) fn numbers(random: &mut Random, count: usize, width: f32) -> Vec<f32> {
    (0..count)
        .map(|_| (random.unit() + random.unit() + random.unit() - 1.5) * width)
        .collect()
}

pub(super) fn shape(random: &mut Random, case: usize, dtype: u32) -> Shape {
    let num_kv_heads = random.between(1, 3);
    let group = [1, 1, 2, 3, 4, 7, 9][random.below(7)];
    let head_dim = match case % 40 {
        0 => 256,
        _ => HEAD_DIMS[random.below(HEAD_DIMS.len())],
    };
    // Few layers have many heads with many columns, which the emulation runs slowly.
    let (num_kv_heads, group) = match case % 10 {
        0 | 5 if head_dim <= 64 => (num_kv_heads, group),
        _ if head_dim > 64 => (1, group.min(2)),
        _ if group > 2 => (1, group),
        _ => (num_kv_heads.min(2), group),
    };
    Shape {
        num_heads: num_kv_heads * group,
        num_kv_heads,
        head_dim,
        is_causal: random.below(3) > 0,
        dtype,
        padding: 2 * num_kv_heads * head_dim * random.below(2),
    }
}

/// A run of a cache, with unused capacity after its tokens.
pub(super) fn run(random: &mut Random, shape: &Shape, len: usize) -> Run {
    let capacity = len + random.below(3);
    let count = (shape.num_kv_heads * capacity * shape.head_dim).max(1);
    Run {
        len,
        head_stride: capacity * shape.head_dim,
        token_stride: shape.head_dim,
        keys: numbers(random, count, 2.0),
        values: numbers(random, count, 1.0),
    }
}

/// Keys and values that are columns of a projection.
pub(super) fn strided_run(random: &mut Random, shape: &Shape, len: usize) -> Run {
    let token_stride = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim;
    Run {
        len,
        head_stride: shape.head_dim,
        token_stride,
        keys: numbers(random, len * token_stride, 2.0),
        values: numbers(random, len * token_stride, 1.0),
    }
}

/// A layer with these lengths (keys, rows), where each sequence has a few runs of its own.
pub(super) fn layer_of(random: &mut Random, shape: Shape, lengths: &[(usize, usize)]) -> Layer {
    let (mut runs, mut sequences) = (Vec::new(), Vec::new());
    let mut num_rows = 0;
    for &(keys, rows) in lengths {
        let mut own = Vec::new();
        let mut left = keys;
        while left > 0 {
            let len = match random.below(4) {
                0 => left,
                1 => 1,
                _ => random.between(1, left),
            };
            own.push(runs.len());
            runs.push(run(random, &shape, len));
            left -= len;
        }
        sequences.push(Sequence {
            rows: num_rows..num_rows + rows,
            first_key: keys - rows.min(keys),
            runs: own,
        });
        num_rows += rows;
    }
    layer(random, shape, num_rows, runs, sequences)
}

/// A layer with these runs and sequences.
pub(super) fn layer(
    random: &mut Random,
    shape: Shape,
    num_rows: usize,
    runs: Vec<Run>,
    sequences: Vec<Sequence>,
) -> Layer {
    Layer {
        shape,
        num_rows,
        queries: numbers(random, num_rows * shape.query_stride(), 3.0),
        runs,
        sequences,
    }
}

/// Sequences that share runs, some of which are empty.
pub(super) fn random(random: &mut Random, case: usize, dtype: u32, is_decode: bool) -> Layer {
    let shape = shape(random, case, dtype);
    let longest = match (is_decode, case % 10) {
        (true, 0) => 500,
        (_, 0) => 150,
        (true, _) => 160,
        (_, 1 | 2) => 70,
        _ => 40,
    };
    let mut lengths: Vec<(usize, usize)> = (0..random.between(1, 3))
        .map(|_| {
            let keys = random.between(1, longest);
            let rows = if is_decode {
                1
            } else {
                random.between(1, keys.min(90))
            };
            (keys, rows)
        })
        .collect();
    if random.below(4) == 0 {
        lengths.push((random.between(1, 5), 0));
    }
    let mut layer = layer_of(random, shape, &lengths);
    let shared = layer.runs.len();
    let len = random.below(longest / 2);
    layer.runs.push(run(random, &shape, len));
    let empty = layer.runs.len();
    layer.runs.push(run(random, &shape, 0));
    for sequence in &mut layer.sequences {
        if random.below(2) == 0 {
            sequence.runs.insert(0, shared);
            sequence.first_key += len;
        }
        for _ in 0..random.below(3) {
            let at = random.below(sequence.runs.len() + 1);
            sequence.runs.insert(at, empty);
        }
    }
    layer
}
