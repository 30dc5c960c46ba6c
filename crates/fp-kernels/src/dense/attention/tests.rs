//! Attention against its naive form, and against the same attention split differently.

use half::bf16;

use super::*;

fn widened(values: Cached<'_>) -> Vec<f32> {
    values.widened(0..values.len()).into_owned()
}

fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        })
        .collect()
}

/// Weights and output of one row and head, in f64.
fn naive(
    shape: &AttentionShape,
    query: &[f32],
    run: &KeyValues<'_>,
    head: usize,
    seen: usize,
) -> (Vec<f64>, Vec<f64>) {
    let d = shape.head_dim;
    let start = head / (shape.num_heads / shape.num_kv_heads) * run.head_stride;
    let row = |x: &[f32], key: usize| {
        x[start + key * d..][..d]
            .iter()
            .map(|&x| f64::from(x))
            .collect::<Vec<_>>()
    };
    let scores: Vec<f64> = (0..seen)
        .map(|key| {
            let product: f64 = row(&widened(run.keys), key)
                .iter()
                .zip(query)
                .map(|(k, &q)| k * f64::from(q))
                .sum();
            product * f64::from(shape.scale)
        })
        .collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    let mut out = vec![0.0; d];
    for (key, weight) in weights.iter().enumerate() {
        for (out, value) in out.iter_mut().zip(row(&widened(run.values), key)) {
            *out += weight * value;
        }
    }
    (weights, out)
}

#[test]
fn equals_the_naive_form() {
    for (num_heads, num_kv_heads, head_dim, past, count, causal) in [
        (2, 2, 4, 0, 30, true),
        (4, 2, 12, 50, 17, true),
        (3, 1, 40, 0, 70, false),
        (2, 1, 64, 33, 1, true),
        (2, 2, 8, 5, 3, true),
        (1, 1, 6, 0, 500, true),
    ] {
        let shape = AttentionShape {
            num_heads,
            num_kv_heads,
            head_dim,
            scale: 0.4,
        };
        let (stride, len) = (num_heads * head_dim + 5, past + count);
        let head_stride = (len + 2) * head_dim;
        let queries = values(count * stride, 1);
        let (keys, vals) = (
            values(num_kv_heads * head_stride, 2),
            values(num_kv_heads * head_stride, 3),
        );
        let run = KeyValues {
            keys: Cached::F32(&keys),
            values: Cached::F32(&vals),
            len,
            head_stride,
        };
        let sequence = SequenceQueries {
            rows: 0..count,
            runs: vec![run],
            past: causal.then_some(past),
        };
        let out = attention(&shape, &queries, stride, std::slice::from_ref(&sequence));
        let rows: Vec<usize> = (0..count).step_by(3).collect();
        let columns = 1.min(len - 1)..len;
        let weights = attention_rows(&shape, &queries, stride, &sequence, &rows, columns.clone());
        for head in 0..num_heads {
            for row in 0..count {
                let query = &queries[row * stride + head * head_dim..][..head_dim];
                let seen = if causal { past + row + 1 } else { len };
                let (expected_weights, expected) = naive(&shape, query, &run, head, seen);
                let got = &out[(row * num_heads + head) * head_dim..][..head_dim];
                for (got, expected) in got.iter().zip(&expected) {
                    assert!(
                        (f64::from(*got) - expected).abs() < 1e-5,
                        "{got} {expected}"
                    );
                }
                if let Some(index) = rows.iter().position(|&chosen| chosen == row) {
                    let got =
                        &weights[(head * rows.len() + index) * columns.len()..][..columns.len()];
                    for (column, got) in columns.clone().zip(got) {
                        let expected = expected_weights.get(column).copied().unwrap_or(0.0);
                        assert!(
                            (f64::from(*got) - expected).abs() < 1e-5,
                            "{got} {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn cutting_keys_into_runs_and_rows_into_calls_changes_nothing() {
    let shape = AttentionShape {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 20,
        scale: 0.3,
    };
    let (stride, len) = (40, 60);
    let (queries, keys, vals) = (
        values(len * stride, 1),
        values(len * 20, 2),
        values(len * 20, 3),
    );
    let run = |range: Range<usize>| KeyValues {
        keys: Cached::F32(&keys[range.start * 20..]),
        values: Cached::F32(&vals[range.start * 20..]),
        len: range.len(),
        head_stride: 0,
    };
    let sequence = |rows, runs, past| SequenceQueries {
        rows,
        runs,
        past: Some(past),
    };
    let whole = attention(
        &shape,
        &queries,
        stride,
        &[sequence(0..len, vec![run(0..len)], 0)],
    );
    // Many rows, few rows and single ones, over keys in one run and in several.
    for (start, end) in [(35, 60), (0, 1), (56, 60), (59, 60), (20, 23), (30, 32)] {
        for cuts in [vec![], vec![13, 35], vec![1, 2, 33, 50]] {
            let mut bounds: Vec<usize> = cuts.into_iter().filter(|cut| *cut < end).collect();
            bounds.insert(0, 0);
            bounds.push(end);
            let runs = bounds.windows(2).map(|pair| run(pair[0]..pair[1]));
            let part = attention(
                &shape,
                &queries[start * stride..end * stride],
                stride,
                &[sequence(0..end - start, runs.collect(), start)],
            );
            assert_eq!(part, whole[start * 40..end * 40], "{start}..{end}");
        }
    }
}

#[test]
fn sequences_of_one_call_do_not_meet() {
    let shape = AttentionShape {
        num_heads: 1,
        num_kv_heads: 1,
        head_dim: 4,
        scale: 1.0,
    };
    let (queries, keys, vals) = (values(12 * 4, 1), values(12 * 4, 2), values(12 * 4, 3));
    let sequence = |rows: Range<usize>, range: Range<usize>| SequenceQueries {
        rows,
        runs: vec![KeyValues {
            keys: Cached::F32(&keys[range.start * 4..]),
            values: Cached::F32(&vals[range.start * 4..]),
            len: range.len(),
            head_stride: 0,
        }],
        past: Some(0),
    };
    let both = attention(
        &shape,
        &queries,
        4,
        &[sequence(0..7, 0..7), sequence(7..12, 7..12)],
    );
    let second = attention(&shape, &queries[7 * 4..], 4, &[sequence(0..5, 7..12)]);
    assert_eq!(second, both[7 * 4..]);
}

#[test]
fn rounded_keys_and_values_are_the_same_numbers_in_f32() {
    let shape = AttentionShape {
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 12,
        scale: 0.3,
    };
    let (stride, len) = (48, 70);
    let queries = values(len * stride, 1);
    let rounded = |seed| -> Vec<bf16> {
        let values = values(2 * len * 12, seed);
        values.into_iter().map(bf16::from_f32).collect()
    };
    let (keys, vals) = (rounded(2), rounded(3));
    let wide = |values: &[bf16]| -> Vec<f32> { values.iter().map(|x| x.to_f32()).collect() };
    let (wide_keys, wide_vals) = (wide(&keys), wide(&vals));
    for rows in [0..len, len - 1..len, 20..23] {
        let sequence = |keys, values| SequenceQueries {
            rows: 0..rows.len(),
            runs: vec![KeyValues {
                keys,
                values,
                len: rows.end,
                head_stride: len * 12,
            }],
            past: Some(rows.start),
        };
        let queries = &queries[rows.start * stride..rows.end * stride];
        let (half, full) = (
            sequence(Cached::Bf16(&keys), Cached::Bf16(&vals)),
            sequence(Cached::F32(&wide_keys), Cached::F32(&wide_vals)),
        );
        let last = [rows.len() - 1];
        assert_eq!(
            attention(&shape, queries, stride, std::slice::from_ref(&half)),
            attention(&shape, queries, stride, std::slice::from_ref(&full))
        );
        assert_eq!(
            attention_rows(&shape, queries, stride, &half, &last, 3..rows.end),
            attention_rows(&shape, queries, stride, &full, &last, 3..rows.end)
        );
    }
}
