//! compare_heads: the three strategies that use several heads.

use fp_kernels::cpu::reference;
use fp_scoring::HeadStrategy;

use crate::emulation::cases::{self, DTYPES, Random};
use crate::emulation::device::{
    Attention, Buffer, Device, ErrorWord, launch, set_order, try_launch,
};
use crate::emulation::ffi::{self, CompareHeadsArgs, Cut, F32, L1, SOFTMAX, Strategies};
use crate::emulation::oracle;

pub(crate) const COMPARING: [u8; 3] = [9, 10, 11];

pub(crate) struct Compared {
    pub(crate) scores: Vec<f64>,
    pub(crate) coarse_cuts: Vec<Cut>,
    error: Option<(u64, usize, usize)>,
}

struct Case {
    scores: Buffer<f64>,
    coarse_cuts: Buffer<Cut>,
    error: ErrorWord,
    args: CompareHeadsArgs,
}

impl Case {
    fn new(
        attention: &Attention,
        (batch_size, num_heads, n): (usize, usize, usize),
        h: usize,
        normalization: u32,
        strategies: &[u8],
    ) -> Case {
        let scores = Buffer::output(batch_size * strategies.len() * num_heads);
        let coarse_cuts = Buffer::output(batch_size);
        let error = ErrorWord::new();
        let mut args = CompareHeadsArgs {
            attention: attention.ptr(),
            scores: scores.mut_ptr(),
            coarse_cuts: coarse_cuts.mut_ptr(),
            workspace: std::ptr::null_mut(),
            error: error.mut_ptr(),
            workspace_bytes: 0,
            batch_size: batch_size as u32,
            num_heads: num_heads as u32,
            num_image_tokens: n as u32,
            num_selected_heads: h as u32,
            dtype: attention.dtype,
            normalization,
            strategies: Strategies::of(strategies),
        };
        // SAFETY: reads the sizes.
        let bytes = unsafe { ffi::fp_emulated_compare_heads_workspace(&args) };
        args.workspace = Buffer::<u8>::output(bytes).mut_ptr().cast();
        args.workspace_bytes = bytes;
        Case {
            scores,
            coarse_cuts,
            error,
            args,
        }
    }
}

pub(crate) fn run(
    attention: &Attention,
    shape: (usize, usize, usize),
    h: usize,
    normalization: u32,
    strategies: &[u8],
) -> Compared {
    let case = Case::new(attention, shape, h, normalization, strategies);
    launch(ffi::fp_emulated_compare_heads, &case.args);
    Compared {
        scores: case.scores.read(),
        coarse_cuts: case.coarse_cuts.read(),
        error: case.error.found(),
    }
}

/// Whether rounding decides how many p exceed their mean, or which heads are connected.
fn is_graph_uncertain(rows: &[f64], n: usize, normalization: u32) -> bool {
    let normalization = oracle::options(normalization).normalization;
    let distributions: Vec<Vec<f64>> = rows
        .chunks(n)
        .map(|row| reference::normalize_row(row, normalization))
        .collect();
    let has_equal_to_mean = distributions.iter().any(|p| {
        let mean = p.iter().sum::<f64>() / n as f64;
        p.iter().any(|p| (p - mean).abs() <= 1e-13 * mean)
    });
    let gram = reference::gram(&distributions.concat(), distributions.len());
    let heads = distributions.len();
    let has_cosine_at_edge = (0..heads * heads).any(|pair| {
        let norms = gram[pair / heads * (heads + 1)] * gram[pair % heads * (heads + 1)];
        (gram[pair] / norms.sqrt() - 0.1).abs() < 1e-12
    });
    has_equal_to_mean || has_cosine_at_edge
}

/// Whether heads differ only by rounding, which is scaled to 0..1 all the same.
fn is_scale_of_rounding(rows: &[f64], n: usize) -> bool {
    let first = &rows[..n];
    let scale = first.iter().sum::<f64>();
    rows.chunks(n).skip(1).all(|row| {
        let own = row.iter().sum::<f64>();
        row.iter()
            .zip(first)
            .all(|(a, b)| (a * scale - b * own).abs() <= 1e-9 * own * scale)
    })
}

fn scores_equal_the_cpu(normalization: u32) {
    let mut num_compared = [0; 3];
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 700 + u64::from(normalization));
        for case in 0..200 {
            let _device = Device::new();
            let n = match case % 20 {
                0 => random.between(200, 700),
                _ => random.between(2, 120),
            };
            let num_heads = match case % 4 {
                0 => random.between(9, 40),
                _ => random.between(2, 12),
            };
            let h = random.between(1, num_heads);
            let values = match case % 2 {
                0 => cases::attention(&mut random, num_heads, n),
                _ => cases::plain_attention(&mut random, num_heads, n),
            };
            let attention = Attention::new(&values, dtype);
            let wide = attention.wide();
            if is_scale_of_rounding(&wide, n) {
                continue;
            }
            set_order(case as u64 % 3);
            let got = run(&attention, (1, num_heads, n), h, normalization, &COMPARING);
            set_order(0);
            assert_eq!(got.error, None);
            let expected =
                oracle::selections(&attention.values, num_heads, n, normalization, (h, 1));
            let is_graph_uncertain = is_graph_uncertain(&wide, n, normalization);
            for (slot, expected) in expected[9..].iter().enumerate() {
                let name = expected.head_strategy;
                let is_tie = expected
                    .audit
                    .coarse_head_cut
                    .is_some_and(|cut| cut.gap < 1e-7);
                if is_tie || name == HeadStrategy::GraphBased && is_graph_uncertain {
                    continue;
                }
                num_compared[slot] += 1;
                for (head, expected) in expected.head_scores.iter().enumerate() {
                    let got = got.scores[slot * num_heads + head];
                    // Each measure is scaled by its range over heads, which under softmax is a
                    // small fraction of its value.
                    assert!(
                        got == *expected || (got - expected).abs() < 1e-6 * expected.abs().max(1.0),
                        "case {case}, {name}, head {head} of {num_heads}, N {n}: {got} instead of {expected}"
                    );
                }
                if let (HeadStrategy::Hierarchical, Some(cut)) =
                    (name, expected.audit.coarse_head_cut)
                {
                    let coarse = got.coarse_cuts[0];
                    assert!((coarse.last_kept - cut.last_kept).abs() < 1e-6);
                    assert!(
                        coarse.first_dropped == cut.first_dropped
                            || (coarse.first_dropped - cut.first_dropped).abs() < 1e-6
                    );
                }
            }
        }
    }
    assert!(
        num_compared.iter().all(|&count| count >= 200),
        "{num_compared:?}"
    );
}

#[test]
fn l1_scores_equal_the_cpu() {
    scores_equal_the_cpu(L1);
}

#[test]
fn softmax_scores_equal_the_cpu() {
    scores_equal_the_cpu(SOFTMAX);
}

#[test]
fn a_sample_gives_the_same_bits_in_a_batch() {
    let _device = Device::new();
    let mut random = Random::new(31);
    let (num_heads, n) = (12, 70);
    let values = cases::attention(&mut random, 2 * num_heads, n);
    let both = Attention::new(&values, F32);
    let both = run(&both, (2, num_heads, n), 3, L1, &[11, 0, 9]);
    for sample in 0..2 {
        let alone = Attention::new(&values[sample * num_heads * n..][..num_heads * n], F32);
        let alone = run(&alone, (1, num_heads, n), 3, L1, &[9, 11]);
        let of_both = &both.scores[sample * 3 * num_heads..];
        assert_eq!(
            alone.scores[..num_heads],
            of_both[2 * num_heads..][..num_heads]
        );
        assert_eq!(alone.scores[num_heads..], of_both[..num_heads]);
    }
}

#[test]
fn bad_values_are_named_and_impossible_arguments_refused() {
    let _device = Device::new();
    let mut values = vec![0.25; 3 * 10];
    values[24] = f32::NAN;
    let attention = Attention::new(&values, F32);
    let compared = run(&attention, (1, 3, 10), 1, SOFTMAX, &COMPARING);
    assert_eq!(compared.error, Some((ffi::INVALID_ATTENTION, 2, 4)));
    let case = Case::new(&attention, (1, 3, 10), 1, L1, &COMPARING);
    let status = |change: &dyn Fn(&mut CompareHeadsArgs)| {
        let mut args = case.args;
        change(&mut args);
        try_launch(ffi::fp_emulated_compare_heads, &args)
            .unwrap_err()
            .0
    };
    assert_eq!(status(&|args| args.num_selected_heads = 4), -6);
    assert_eq!(status(&|args| args.num_heads = 1), -7);
    assert_eq!(status(&|args| args.workspace_bytes -= 8), -9);
    assert_eq!(status(&|args| args.workspace = std::ptr::null_mut()), -1);
}
