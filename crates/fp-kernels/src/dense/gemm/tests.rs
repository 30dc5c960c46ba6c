//! Products against naive sums in `f64`, and against each other.

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn check(num_rows: usize, num_in: usize, num_out: usize) {
    let x = values(num_rows * num_in, 1);
    let w = values(num_out * num_in, 2);
    let bias = values(num_out, 3);
    let residual = values(num_rows * num_out, 4);
    let packed = PackedMatrix::pack(&w, num_out, num_in);
    let start = Start::BiasAndResidual(&bias, &residual);
    let by_level: Vec<Vec<f32>> = Level::available()
        .into_iter()
        .map(|level| linear_on(level, &x, num_rows, (&packed).into(), start))
        .collect();
    for (index, y) in by_level.iter().enumerate() {
        for row in 0..num_rows {
            for out in 0..num_out {
                let expected: f64 = f64::from(bias[out])
                    + f64::from(residual[row * num_out + out])
                    + (0..num_in)
                        .map(|k| f64::from(x[row * num_in + k]) * f64::from(w[out * num_in + k]))
                        .sum::<f64>();
                let got = f64::from(y[row * num_out + out]);
                assert!(
                    (got - expected).abs() < 1e-4,
                    "level {index} [{row}, {out}]: {got} for {expected}"
                );
            }
        }
    }
    // Levels with fused multiply-add agree to the bit.
    for pair in by_level[1..].windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
    // A row does not depend on the other rows.
    if num_rows > 1 {
        let alone = linear(
            &x[..num_in],
            1,
            &packed,
            Start::BiasAndResidual(&bias, &residual[..num_out]),
        );
        assert_eq!(alone, by_level[by_level.len() - 1][..num_out]);
    }
}

#[test]
fn equals_the_naive_product_at_every_edge() {
    for num_rows in [1, 2, 7, 12, 13, 29] {
        for (num_in, num_out) in [(1, 1), (3, 31), (17, 33), (515, 64), (1030, 40)] {
            check(num_rows, num_in, num_out);
        }
    }
}

#[test]
fn rows_come_back_as_put_in() {
    let w = values(70 * 5, 9);
    let packed = PackedMatrix::pack(&w, 70, 5);
    for row in [0, 31, 32, 69] {
        assert_eq!(packed.row(row), w[row * 5..row * 5 + 5]);
    }
}

#[test]
fn thread_count_changes_nothing() {
    let (x, w) = (values(40 * 700, 5), values(300 * 700, 6));
    let packed = PackedMatrix::pack(&w, 300, 700);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| linear(&x, 40, &packed, Start::Zero))
    };
    assert_eq!(run(1), run(7));
}

const FORMATS: [HalfFormat; 2] = [HalfFormat::Bf16, HalfFormat::F16];

/// A matrix of two parts if there are enough rows, and its values in `f32`.
fn halves(format: HalfFormat, num_out: usize, num_in: usize, seed: u32) -> (HalfMatrix, Vec<f32>) {
    let values = values(num_out * num_in, seed);
    let mut matrix = HalfMatrix::new(format, num_in);
    let (first, second) = values.split_at(num_out / 2 * num_in);
    for part in [first, second] {
        if !part.is_empty() {
            matrix.push_rows(part);
        }
    }
    let rounded = values.into_iter().map(|value| match format {
        HalfFormat::Bf16 => bf16::from_f32(value).to_f32(),
        HalfFormat::F16 => f16::from_f32(value).to_f32(),
    });
    (matrix, rounded.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Widening in registers is exact, so the bits are those of the same weights in `f32`,
    /// on every instruction set.
    #[test]
    fn two_byte_weights_give_the_bits_of_the_same_weights_in_f32(
        num_rows in prop_oneof![Just(1_usize), 1_usize..40],
        num_in in 1_usize..1200,
        num_out in 1_usize..150,
        seed: u32,
    ) {
        let x = values(num_rows * num_in, seed);
        let residual = values(num_rows * num_out, seed ^ 5);
        for format in FORMATS {
            let (matrix, widened) = halves(format, num_out, num_in, seed ^ 9);
            let packed = PackedMatrix::pack(&widened, num_out, num_in);
            for level in Level::available() {
                let start = Start::Residual(&residual);
                let got = linear_on(level, &x, num_rows, (&matrix).into(), start);
                let wide = linear_on(level, &x, num_rows, (&packed).into(), start);
                prop_assert_eq!(got, wide);
            }
        }
    }

    /// Rows rounded to `bf16` against the same products in `f64`.
    #[test]
    fn rounded_rows_are_near_the_naive_product(
        num_rows in prop_oneof![Just(1_usize), 1_usize..30],
        num_in in 1_usize..900,
        num_out in 1_usize..80,
        seed: u32,
    ) {
        let x = values(num_rows * num_in, seed);
        let bias = values(num_out, seed ^ 3);
        let (matrix, widened) = halves(HalfFormat::Bf16, num_out, num_in, seed ^ 9);
        let mut all: Vec<(Level, Terms)> = Level::available()
            .into_iter()
            .map(|level| (level, Terms::Swapped))
            .collect();
        if Level::has_pairs() {
            all.push((Level::best(), Terms::Pairs));
        }
        let mut fused: Vec<Vec<f32>> = Vec::new();
        for (level, terms) in all {
            let y = linear_bf16_on(level, terms, &x, num_rows, &matrix, Start::Bias(&bias));
            for row in 0..num_rows {
                for out in 0..num_out {
                    let products = (0..num_in).map(|k| {
                        let x = bf16::from_f32(x[row * num_in + k]).to_f64();
                        x * f64::from(widened[out * num_in + k])
                    });
                    let (sum, size) = products.fold((0.0, 0.0), |(sum, size), product| {
                        (sum + product, size + f64::abs(product))
                    });
                    let (sum, size) = (sum + f64::from(bias[out]), size + 1.0);
                    let error = (f64::from(y[row * num_out + out]) - sum).abs();
                    // One rounding of the sum per term, of 2⁻²⁴ of the partial sum.
                    let bound = size * 2.0 * num_in as f64 * 2_f64.powi(-24) + 1e-30;
                    prop_assert!(error <= bound, "{:?} {:?}: {} > {}", level, terms, error, bound);
                }
            }
            if terms == Terms::Swapped && level.is_fused() {
                fused.push(y);
            }
        }
        prop_assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn rounded_rows_do_not_depend_on_their_company_nor_on_threads() {
    let (num_rows, num_in, num_out) = (31, 1301, 77);
    let x = values(num_rows * num_in, 1);
    let (matrix, _) = halves(HalfFormat::Bf16, num_out, num_in, 2);
    let run = |threads: usize, rows: std::ops::Range<usize>| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let x = &x[rows.start * num_in..rows.end * num_in];
        pool.build()
            .unwrap()
            .install(|| linear_bf16(x, rows.len(), &matrix, Start::Zero))
    };
    let whole = run(1, 0..num_rows);
    assert_eq!(run(5, 0..num_rows), whole);
    for rows in [0..1, 7..8, 3..16, 30..31] {
        assert_eq!(
            run(2, rows.clone()),
            whole[rows.start * num_out..rows.end * num_out]
        );
    }
}

#[test]
fn pairs_are_multiplied_where_the_processor_does_so() {
    if !Level::has_pairs() {
        println!("skipped: this processor has no AVX512_BF16");
        assert_ne!(super::super::rounding(true), super::super::Rounding::Pairs);
        return;
    }
    assert_eq!(super::super::rounding(true), super::super::Rounding::Pairs);
    // Small integers have exact sums: any order of pairs gives the same result.
    let (num_rows, num_in, num_out) = (25, 1025, 70);
    let whole = |len, seed| -> Vec<f32> {
        values(len, seed)
            .into_iter()
            .map(|x| (x * 9.0).round())
            .collect()
    };
    let (x, w) = (whole(num_rows * num_in, 1), whole(num_out * num_in, 2));
    let mut matrix = HalfMatrix::new(HalfFormat::Bf16, num_in);
    matrix.push_rows(&w);
    let packed = PackedMatrix::pack(&w, num_out, num_in);
    assert_eq!(
        linear_bf16(&x, num_rows, &matrix, Start::Zero),
        linear(&x, num_rows, &packed, Start::Zero)
    );
}
