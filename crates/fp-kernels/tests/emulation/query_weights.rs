//! query_weights and combine_rows: weights that depend on attention.

use fp_kernels::cpu::reference;
use fp_scoring::{AttentionRows, QueryStrategy, TokenLayout, image_attention};

use crate::emulation::cases::{self, DTYPES, Random};
use crate::emulation::device::{Attention, Buffer, Device, ErrorWord, launch, set_order};
use crate::emulation::ffi::{self, CombineRowsArgs, QueryWeightsArgs};
use crate::emulation::oracle::assert_close;

struct Weighed {
    totals: Vec<f64>,
    weights: Vec<f64>,
    error: Option<(u64, usize, usize)>,
}

fn weigh(
    rows: &Attention,
    (batch_size, num_heads, num_rows, n): (usize, usize, usize, usize),
    num_unseen_rows: usize,
    weighting: u32,
) -> Weighed {
    let totals = Buffer::output(batch_size * num_rows);
    let weights = Buffer::output(batch_size * num_rows);
    let error = ErrorWord::new();
    let args = QueryWeightsArgs {
        rows: rows.ptr(),
        totals: totals.mut_ptr(),
        weights: weights.mut_ptr(),
        error: error.mut_ptr(),
        batch_size: batch_size as u32,
        num_heads: num_heads as u32,
        num_rows: num_rows as u32,
        num_image_tokens: n as u32,
        num_unseen_rows: num_unseen_rows as u32,
        dtype: rows.dtype,
        weighting,
    };
    launch(ffi::fp_emulated_query_weights, &args);
    Weighed {
        totals: totals.read(),
        weights: weights.read(),
        error: error.found(),
    }
}

fn combine(
    rows: &Attention,
    weights: &[f64],
    (batch_size, num_heads, num_rows, n): (usize, usize, usize, usize),
) -> (Vec<f32>, Option<(u64, usize, usize)>) {
    let memory = Buffer::input(weights);
    let attention = Buffer::output(batch_size * num_heads * n);
    let error = ErrorWord::new();
    let args = CombineRowsArgs {
        rows: rows.ptr(),
        weights: memory.ptr(),
        attention: attention.mut_ptr(),
        error: error.mut_ptr(),
        weights_batch_stride: if weights.len() > num_rows {
            num_rows
        } else {
            0
        },
        batch_size: batch_size as u32,
        num_heads: num_heads as u32,
        num_rows: num_rows as u32,
        num_image_tokens: n as u32,
        dtype: rows.dtype,
    };
    launch(ffi::fp_emulated_combine_rows, &args);
    (attention.read(), error.found())
}

/// Combines `values` `[H, Q, N]` of the Q `rows` under a query strategy, by the kernels; also
/// returns the weights if they depend on attention.
pub(crate) fn combine_by(
    values: &[f32],
    rows: &[usize],
    num_heads: usize,
    layout: TokenLayout,
    strategy: QueryStrategy,
) -> Vec<f32> {
    let n = layout.num_image;
    let memory = Attention::new(values, ffi::F32);
    let given = AttentionRows::causal(values, rows, num_heads, layout).unwrap();
    let (_, audit) = image_attention(&given, strategy).unwrap();
    let weighting = match audit.branch.as_str() {
        "attention_weighted" => Some(0),
        "max_attention_token" => Some(1),
        _ => None,
    };
    let Some(weighting) = weighting else {
        // Fixed weights; rows of the plan that are not given are zero under the causal mask.
        let weight_of = |row: &usize| {
            let at = audit.rows.iter().position(|planned| planned == row);
            at.map_or(0.0, |at| audit.weights[at])
        };
        let weights: Vec<f64> = rows.iter().map(weight_of).collect();
        return combine(&memory, &weights, (1, num_heads, rows.len(), n)).0;
    };
    // The weights cover only the text, whose rows are the last ones given.
    let first = rows
        .iter()
        .position(|&row| row >= layout.text_range().start)
        .unwrap();
    let num_rows = rows.len() - first;
    let text: Vec<f32> = values
        .chunks(rows.len() * n)
        .flat_map(|head| &head[first * n..])
        .copied()
        .collect();
    let text = Attention::new(&text, ffi::F32);
    let shape = (1, num_heads, num_rows, n);
    let weighed = weigh(&text, shape, layout.num_system, weighting);
    combine(&text, &weighed.weights, shape).0
}

/// Compares with the query strategies, with system rows omitted as a causal mask allows.
#[test]
fn weights_equal_the_query_strategies() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 400);
        for case in 0..200 {
            let _device = Device::new();
            let n = match case % 10 {
                0 => random.between(200, 700),
                _ => random.between(1, 60),
            };
            let (num_heads, num_rows) = (random.between(1, 6), random.between(1, 9));
            let values = cases::attention(&mut random, num_heads * num_rows, n);
            let rows = Attention::new(&values, dtype);
            let layout = TokenLayout {
                num_system: random.below(4),
                num_image: n,
                num_text: num_rows,
            };
            let positions: Vec<usize> = layout.text_range().collect();
            let given = AttentionRows::causal(&rows.values, &positions, num_heads, layout).unwrap();
            let shape = (1, num_heads, num_rows, n);
            for (weighting, strategy) in [
                (0, QueryStrategy::AttentionWeighted),
                (1, QueryStrategy::MaxAttentionToken),
            ] {
                let (expected, audit) = image_attention(&given, strategy).unwrap();
                let got = weigh(&rows, shape, layout.num_system, weighting);
                assert_eq!(got.error, None);
                let of_text = &audit.weights[layout.num_system..];
                // Rounding decides between rows whose totals are mathematically equal.
                if weighting == 1 && got.weights != of_text {
                    let total_of = |weights: &[f64]| -> f64 {
                        weights.iter().zip(&got.totals).map(|(w, t)| w * t).sum()
                    };
                    assert_close("total", total_of(&got.weights), total_of(of_text), 0.0);
                    continue;
                }
                for (got, expected) in got.weights.iter().zip(of_text) {
                    assert_close("weight", *got, *expected, 1e-3);
                }
                let (combined, error) = combine(&rows, &got.weights, shape);
                assert_eq!(error, None);
                for (got, expected) in combined.iter().zip(expected) {
                    let error = (f64::from(*got) - expected).abs();
                    assert!(error <= 1e-7 * expected + f64::from(f32::from_bits(1)));
                }
            }
            set_order(3);
            assert_eq!(
                weigh(&rows, shape, 0, 0).weights,
                {
                    set_order(0);
                    weigh(&rows, shape, 0, 0).weights
                },
                "other bits in another order"
            );
        }
    }
}

#[test]
fn combined_rows_equal_reference() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 500);
        for _ in 0..200 {
            let _device = Device::new();
            let (batch_size, num_heads) = (random.between(1, 3), random.between(1, 5));
            let (num_rows, n) = (random.between(1, 6), random.between(1, 300));
            let values = cases::attention(&mut random, batch_size * num_heads * num_rows, n);
            let rows = Attention::new(&values, dtype);
            let weights: Vec<f64> = (0..batch_size * num_rows)
                .map(|_| f64::from(random.unit()))
                .collect();
            let (got, _) = combine(&rows, &weights, (batch_size, num_heads, num_rows, n));
            let sample_len = num_heads * num_rows * n;
            let expected = rows
                .wide()
                .chunks(sample_len)
                .zip(weights.chunks(num_rows))
                .flat_map(|(sample, weights)| {
                    let picks: Vec<(usize, f64)> = weights.iter().copied().enumerate().collect();
                    reference::combine_rows(sample, num_heads, num_rows, n, &picks)
                })
                .map(|value| value as f32)
                .collect::<Vec<_>>();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn the_first_value_that_is_no_attention_is_named() {
    let _device = Device::new();
    let mut values = vec![0.25_f32; 2 * 3 * 2 * 40];
    let at = (3 + 2) * 2 * 40 + 40 + 7; // sample 1, head 2, row 1, token 7
    values[at] = f32::NAN;
    values[at + 1] = -1.0;
    let rows = Attention::new(&values, ffi::BF16);
    let shape = (2, 3, 2, 40);
    let expected = Some((ffi::INVALID_ATTENTION, 11, 7));
    assert_eq!(weigh(&rows, shape, 0, 0).error, expected);
    assert_eq!(combine(&rows, &[0.5, 0.5], shape).1, expected);
}
