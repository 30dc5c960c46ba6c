//! Every operation against its reference, on every instruction set and input type.

use fp_kernels::cpu::{self, reference};
use fp_kernels::{HeadStatistics, Isa, Normalization, StatisticsOptions};
use half::{bf16, f16};
use proptest::prelude::*;

/// Attention of `rows × n`: peaked, flat, tied, zero, denormal and constant rows mixed.
fn attention() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    let value = prop_oneof![
        4 => 0.0f32..0.1,
        2 => (0u32..6).prop_map(|level| level as f32 / 8.0),
        1 => Just(0.0f32),
        1 => (0u32..1000).prop_map(f32::from_bits),
        1 => -12.0f32..0.0,
    ]
    .prop_map(|value| if value < 0.0 { value.exp() } else { value });
    (1usize..40, prop_oneof![1usize..70, 200usize..700]).prop_flat_map(move |(rows, n)| {
        (
            Just(rows),
            Just(n),
            prop::collection::vec(value.clone(), rows * n),
            0usize..=rows,
        )
            .prop_map(|(rows, n, mut values, special)| {
                if special < rows {
                    let constant = values[special * n];
                    values[special * n..][..n].fill(constant);
                }
                (rows, n, values)
            })
    })
}

fn options(normalization: Normalization) -> StatisticsOptions {
    StatisticsOptions {
        normalization,
        top_k: 10,
        threshold: 0.01,
        order_statistics: true,
    }
}

#[track_caller]
fn assert_close(name: &str, got: f64, expected: f64, scale: f64) {
    let tolerance = 1e-12 * expected.abs().max(scale);
    assert!(
        (got - expected).abs() <= tolerance,
        "{name}: {got:e}, reference {expected:e}"
    );
}

#[track_caller]
fn assert_statistics(got: &HeadStatistics, expected: &HeadStatistics, row: &[f64], threshold: f64) {
    let n = row.len() as f64;
    assert_close("sum", got.sum, expected.sum, 0.0);
    assert_close("mean", got.mean, expected.mean, 0.0);
    assert_close(
        "variance",
        got.variance,
        expected.variance,
        expected.mean.powi(2),
    );
    assert_eq!((got.max, got.min), (expected.max, expected.min));
    assert_close("top_k_sum", got.top_k_sum, expected.top_k_sum, 0.0);
    assert_close("p_max", got.p_max, expected.p_max, 0.0);
    assert_close("p_squares", got.p_squares, expected.p_squares, 0.0);
    assert_close("p_entropy", got.p_entropy, expected.p_entropy, n.ln());
    assert_close("gini", got.gini, expected.gini, 1.0);
    // A count may differ if a p equals the threshold up to rounding.
    let p = reference::normalize_row(row, Normalization::L1);
    if p.iter().all(|p| (p - threshold).abs() > 1e-15) {
        assert_eq!(got.p_count, expected.p_count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn head_statistics_equals_reference((rows, n, values) in attention(), is_l1: bool) {
        let options = options(if is_l1 { Normalization::L1 } else { Normalization::Softmax });
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let best = cpu::head_statistics(&values, rows, n, &options).unwrap();
        for (got, row) in best.iter().zip(wide.chunks(n)) {
            assert_statistics(got, &reference::head_statistics(row, &options), row, options.threshold);
        }
        for isa in Isa::available() {
            let again = cpu::head_statistics_on(isa, &values, rows, n, &options).unwrap();
            prop_assert_eq!(&again, &best, "{:?} gives other bits", isa);
        }
        prop_assert_eq!(&cpu::head_statistics(&wide, rows, n, &options).unwrap(), &best);
    }

    #[test]
    fn half_precision_equals_the_same_values_in_f32((rows, n, values) in attention()) {
        let options = options(Normalization::L1);
        let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
        let widened: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        prop_assert_eq!(
            cpu::head_statistics(&halves, rows, n, &options).unwrap(),
            cpu::head_statistics(&widened, rows, n, &options).unwrap()
        );
        let brains: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
        let widened: Vec<f32> = brains.iter().map(|brain| brain.to_f32()).collect();
        prop_assert_eq!(
            cpu::head_statistics(&brains, rows, n, &options).unwrap(),
            cpu::head_statistics(&widened, rows, n, &options).unwrap()
        );
    }

    #[test]
    fn a_row_gives_the_same_bits_wherever_it_stands((rows, n, values) in attention()) {
        let options = options(Normalization::Softmax);
        let together = cpu::head_statistics(&values, rows, n, &options).unwrap();
        for (row, expected) in values.chunks(n).zip(&together) {
            prop_assert_eq!(&cpu::head_statistics(row, 1, n, &options).unwrap()[0], expected);
        }
    }

    #[test]
    fn normalize_rows_equals_reference((rows, n, values) in attention(), is_l1: bool) {
        let normalization = if is_l1 { Normalization::L1 } else { Normalization::Softmax };
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let got = cpu::normalize_rows(&values, rows, n, normalization).unwrap();
        for (p, row) in got.chunks(n).zip(wide.chunks(n)) {
            for (p, expected) in p.iter().zip(reference::normalize_row(row, normalization)) {
                assert_close("p", *p, expected, 0.0);
            }
        }
    }

    #[test]
    fn rows_combine_as_in_the_reference((rows, n, values) in attention(), heads in 1usize..5) {
        let num_heads = heads.min(rows);
        let num_queries = rows / num_heads;
        let values = &values[..num_heads * num_queries * n];
        let picks: Vec<(usize, f64)> =
            (0..num_queries).step_by(2).map(|q| (q, (q + 1) as f64 / 7.0)).collect();
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        prop_assert_eq!(
            cpu::combine_rows(values, num_heads, num_queries, n, &picks).unwrap(),
            reference::combine_rows(&wide, num_heads, num_queries, n, &picks)
        );
        let totals = cpu::row_totals(values, num_heads, num_queries, n).unwrap();
        for (query, total) in totals.iter().enumerate() {
            let expected: f64 = (0..num_heads)
                .flat_map(|head| &wide[(head * num_queries + query) * n..][..n])
                .sum();
            assert_close("total", *total, expected, 0.0);
        }
    }

    #[test]
    fn gram_equals_reference((rows, n, values) in attention()) {
        let wide: Vec<f64> = values[..rows * n].iter().copied().map(f64::from).collect();
        let got = cpu::gram(&wide, rows, n).unwrap();
        for (got, expected) in got.iter().zip(reference::gram(&wide, rows)) {
            assert_close("product", *got, expected, 0.0);
        }
    }

    #[test]
    fn importance_and_selection_equal_reference((rows, n, values) in attention(), picks: u64, share in 0.0f64..1.0) {
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let mut heads: Vec<usize> = (0..rows).filter(|head| picks >> (head % 64) & 1 == 1).collect();
        if heads.is_empty() {
            heads.push(rows - 1);
        }
        let importance = cpu::token_importance(&values, rows, n, &heads).unwrap();
        prop_assert_eq!(&importance, &reference::token_importance(&wide, n, &heads));
        let count = ((n as f64 * share) as usize).clamp(1, n);
        let top = cpu::top_r(&importance, count).unwrap();
        prop_assert_eq!(&top.kept, &reference::top_r(&importance, count));
        prop_assert_eq!(top.cut.is_none(), count == n);
    }
}
