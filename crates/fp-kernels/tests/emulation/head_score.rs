//! head_score: statistics and scores of every row.

use crate::emulation::cases::{self, DTYPES, Random};
use crate::emulation::device::{
    Attention, Buffer, Device, ErrorWord, launch, set_order, try_launch,
};
use crate::emulation::ffi::{self, F32, HeadScoreArgs, L1, SOFTMAX, Statistics, Strategies};
use crate::emulation::oracle;

/// The first nine strategies.
pub(crate) const OWN: [u8; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

struct Scored {
    scores: Vec<f64>,
    statistics: Vec<Statistics>,
    error: Option<(u64, usize, usize)>,
}

fn run(
    attention: &Attention,
    (batch_size, num_heads, n): (usize, usize, usize),
    normalization: u32,
    strategies: &[u8],
) -> Scored {
    let scores = Buffer::output(batch_size * strategies.len() * num_heads);
    let statistics = Buffer::output(batch_size * num_heads);
    let error = ErrorWord::new();
    let args = HeadScoreArgs {
        attention: attention.ptr(),
        scores: scores.mut_ptr(),
        statistics: statistics.mut_ptr(),
        error: error.mut_ptr(),
        batch_size: batch_size as u32,
        num_heads: num_heads as u32,
        num_image_tokens: n as u32,
        dtype: attention.dtype,
        normalization,
        strategies: Strategies::of(strategies),
    };
    launch(ffi::fp_emulated_head_score, &args);
    Scored {
        scores: scores.read(),
        statistics: statistics.read(),
        error: error.found(),
    }
}

fn statistics_equal_reference(normalization: u32) {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 10 * u64::from(normalization));
        for case in 0..200 {
            let _device = Device::new();
            let n = cases::num_image_tokens(&mut random, case);
            let num_heads = cases::num_heads(&mut random, n, case);
            let values = cases::attention(&mut random, num_heads, n);
            let attention = Attention::new(&values, dtype);
            let scored = run(&attention, (1, num_heads, n), normalization, &OWN);
            assert_eq!(scored.error, None);
            let wide = attention.wide();
            let expected =
                oracle::selections(&attention.values, num_heads, n, normalization, (1, 1));
            for (head, row) in wide.chunks(n).enumerate() {
                oracle::check_statistics(&scored.statistics[head], row, normalization);
                let is_uncertain = oracle::is_count_uncertain(row, normalization);
                for (strategy, expected) in expected[..9].iter().enumerate() {
                    let name = expected.head_strategy.to_string();
                    let got = scored.scores[strategy * num_heads + head];
                    let expected = expected.head_scores[head];
                    let scale = match name.as_str() {
                        "variance" => scored.statistics[head].mean.powi(2),
                        "entropy" => (n as f64).ln(),
                        _ => 1.0,
                    };
                    if got != expected && !(is_uncertain && name == "weighted_quality") {
                        oracle::assert_close(&name, got, expected, scale);
                    }
                }
            }
        }
    }
}

#[test]
fn l1_statistics_equal_reference() {
    statistics_equal_reference(L1);
}

#[test]
fn softmax_statistics_equal_reference() {
    statistics_equal_reference(SOFTMAX);
}

/// The same bits in any order of threads, in any batch and beside any other strategy.
#[test]
fn the_same_bits_however_it_runs() {
    let mut random = Random::new(5);
    for n in [7, 300, 577, 1500] {
        let _device = Device::new();
        let values = cases::attention(&mut random, 4, n);
        let attention = Attention::new(&values, F32);
        for normalization in [L1, SOFTMAX] {
            let together = run(&attention, (2, 2, n), normalization, &OWN);
            for seed in 1..4 {
                set_order(seed);
                let again = run(&attention, (2, 2, n), normalization, &OWN);
                assert_eq!(again.scores, together.scores);
                assert_eq!(again.statistics, together.statistics);
            }
            set_order(0);
            let alone = Attention::new(&values[2 * n..3 * n], F32);
            let alone = run(&alone, (1, 1, n), normalization, &[7, 2, 1]);
            for (slot, strategy) in [(0, 7), (1, 2), (2, 1)] {
                assert_eq!(
                    alone.scores[slot],
                    together.scores[(9 + strategy) * 2],
                    "strategy {strategy}"
                );
            }
        }
    }
}

#[test]
fn the_first_value_that_is_no_attention_is_named() {
    let mut random = Random::new(6);
    for case in 0..60 {
        let _device = Device::new();
        let n = random.between(1, 600);
        let rows = random.between(1, 6);
        let mut values = vec![0.25_f32; rows * n];
        let bad = [f32::NAN, f32::INFINITY, -0.5, f32::NEG_INFINITY];
        let first = random.below(rows * n);
        values[first] = bad[case % 4];
        let later = random.between(first, rows * n - 1);
        values[later] = bad[random.below(4)];
        set_order(case as u64);
        let attention = Attention::new(&values, DTYPES[case % 3]);
        let scored = run(&attention, (1, rows, n), L1, &OWN);
        let expected = (ffi::INVALID_ATTENTION, first / n, first % n);
        assert_eq!(scored.error, Some(expected));
        set_order(0);
    }
    let _device = Device::new();
    let attention = Attention::new(&[-0.0, 0.5], F32);
    assert_eq!(run(&attention, (1, 1, 2), L1, &OWN).error, None);
}

#[test]
fn slots_of_strategies_that_compare_heads_are_left_alone() {
    let _device = Device::new();
    let attention = Attention::new(&[0.5, 0.25, 0.125, 0.125], F32);
    let scores = run(&attention, (1, 2, 2), L1, &[9, 0, 11]).scores;
    assert_eq!(&scores[2..4], [0.75, 0.25]);
    let poison = f64::from_ne_bytes([0xa5; 8]);
    assert_eq!(&scores[..2], [poison; 2]);
    assert_eq!(&scores[4..], [poison; 2]);
}

#[test]
fn impossible_arguments_are_refused() {
    let _device = Device::new();
    let attention = Attention::new(&[0.5; 8], F32);
    let (scores, error) = (Buffer::<f64>::output(2), ErrorWord::new());
    let good = HeadScoreArgs {
        attention: attention.ptr(),
        scores: scores.mut_ptr(),
        statistics: std::ptr::null_mut(),
        error: error.mut_ptr(),
        batch_size: 1,
        num_heads: 2,
        num_image_tokens: 4,
        dtype: F32,
        normalization: L1,
        strategies: Strategies::of(&[1]),
    };
    let status = |change: &dyn Fn(&mut HeadScoreArgs)| {
        let mut args = good;
        change(&mut args);
        try_launch(ffi::fp_emulated_head_score, &args)
            .map_err(|(status, _)| status)
            .err()
    };
    assert_eq!(status(&|_| ()), None);
    assert_eq!(status(&|args| args.attention = std::ptr::null()), Some(-1));
    assert_eq!(status(&|args| args.error = std::ptr::null_mut()), Some(-1));
    assert_eq!(status(&|args| args.num_heads = 0), Some(-2));
    assert_eq!(status(&|args| args.num_image_tokens = 4097), Some(-3));
    assert_eq!(status(&|args| args.num_heads = 129), Some(-3));
    assert_eq!(status(&|args| args.dtype = 3), Some(-4));
    assert_eq!(status(&|args| args.normalization = 2), Some(-5));
    for ids in [&[][..], &[12], &[3, 3]] {
        assert_eq!(
            status(&|args| args.strategies = Strategies::of(ids)),
            Some(-7)
        );
    }
}
