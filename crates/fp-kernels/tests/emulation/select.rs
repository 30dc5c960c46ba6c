//! select: from scores to heads, importance and kept tokens.

use fp_kernels::cpu::reference;

use crate::emulation::cases::{self, DTYPES, Random};
use crate::emulation::device::{
    Attention, Buffer, Device, ErrorWord, launch, set_order, try_launch,
};
use crate::emulation::ffi::{self, Audit, F32, SelectArgs, Selection, Statistics};
use crate::emulation::oracle;

/// Buffers of one selection; scores `[B, strategies, H]`.
struct Case {
    scores: Buffer<f64>,
    selected_heads: Buffer<u32>,
    token_importance: Buffer<f64>,
    kept_tokens: Buffer<u32>,
    audits: Buffer<Audit>,
    error: ErrorWord,
    args: SelectArgs,
}

impl Case {
    fn new(
        attention: &Attention,
        scores: &[f64],
        (batch_size, num_heads, n): (usize, usize, usize),
        (h, kept): (usize, usize),
    ) -> Case {
        let slots = scores.len() / num_heads;
        let mut case = Case {
            scores: Buffer::input(scores),
            selected_heads: Buffer::output(slots * h),
            token_importance: Buffer::output(slots * n),
            kept_tokens: Buffer::output(slots * kept),
            audits: Buffer::output(slots),
            error: ErrorWord::new(),
            // SAFETY: numbers and pointers, all of which may be zero.
            args: unsafe { std::mem::zeroed() },
        };
        case.args = SelectArgs {
            attention: attention.ptr(),
            scores: case.scores.ptr(),
            statistics: std::ptr::null(),
            error: case.error.mut_ptr(),
            selection: Selection {
                selected_heads: case.selected_heads.mut_ptr(),
                token_importance: case.token_importance.mut_ptr(),
                kept_tokens: case.kept_tokens.mut_ptr(),
                audits: case.audits.mut_ptr(),
                num_selected_heads: h as u32,
                num_kept_tokens: kept as u32,
            },
            batch_size: batch_size as u32,
            num_heads: num_heads as u32,
            num_image_tokens: n as u32,
            num_strategies: (slots / batch_size) as u32,
            dtype: attention.dtype,
        };
        case
    }
}

/// Heads and tokens selected by `scores` `[1, H]`.
pub(crate) fn run(
    attention: &Attention,
    scores: &[f64],
    shape: (usize, usize, usize),
    counts: (usize, usize),
) -> (Vec<u32>, Vec<u32>) {
    let case = Case::new(attention, scores, shape, counts);
    launch(ffi::fp_emulated_select, &case.args);
    assert_eq!(case.error.found(), None);
    (case.selected_heads.read(), case.kept_tokens.read())
}

/// Scores with ties, −∞ and NaN.
fn random_scores(random: &mut Random, count: usize) -> Vec<f64> {
    let kind = random.below(3);
    let score = |random: &mut Random| match (kind, random.below(12)) {
        (_, 0) => f64::NEG_INFINITY,
        (0, 1) => f64::NAN,
        (1, _) => random.below(4) as f64 - 1.5,
        (2, 2) => -0.0,
        (2, 3) => 0.0,
        _ => f64::from(random.unit()) - 0.5,
    };
    (0..count).map(|_| score(random)).collect()
}

/// All results are exact: selection compares, and the mean is summed as on the CPU.
#[test]
fn select_equals_reference_to_the_last_bit() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 100);
        for index in 0..200 {
            let _device = Device::new();
            let n = cases::num_image_tokens(&mut random, index);
            let num_heads = cases::num_heads(&mut random, n, index);
            let (batch_size, strategies) = (random.between(1, 2), random.between(1, 3));
            let values = cases::attention(&mut random, batch_size * num_heads, n);
            let attention = Attention::new(&values, dtype);
            let scores = random_scores(&mut random, batch_size * strategies * num_heads);
            let (h, kept) = (random.between(1, num_heads), random.between(1, n));
            let case = Case::new(&attention, &scores, (batch_size, num_heads, n), (h, kept));
            set_order(index as u64 % 3);
            launch(ffi::fp_emulated_select, &case.args);
            set_order(0);
            assert_eq!(case.error.found(), None);
            let (heads, importance) = (case.selected_heads.read(), case.token_importance.read());
            let (tokens, audits) = (case.kept_tokens.read(), case.audits.read());
            let wide = attention.wide();
            for (slot, scores) in scores.chunks(num_heads).enumerate() {
                let rows = &wide[slot / strategies * num_heads * n..][..num_heads * n];
                let ranked: Vec<f64> = scores
                    .iter()
                    .map(|score| {
                        if score.is_nan() {
                            f64::NEG_INFINITY
                        } else {
                            *score
                        }
                    })
                    .collect();
                let expected = reference::top_r(&ranked, h);
                let got: Vec<usize> = heads[slot * h..][..h].iter().map(|&i| i as usize).collect();
                assert_eq!(got, expected);
                let expected = reference::token_importance(rows, n, &expected);
                assert_eq!(&importance[slot * n..][..n], expected);
                let got: Vec<usize> = tokens[slot * kept..][..kept]
                    .iter()
                    .map(|&i| i as usize)
                    .collect();
                assert_eq!(got, reference::top_r(&expected, kept));
                let audit = &audits[slot];
                oracle::check_cut(&audit.heads, &ranked, h);
                oracle::check_cut(&audit.tokens, &expected, kept);
                let is_constant = ranked.windows(2).all(|pair| pair[0] == pair[1]);
                assert_eq!(audit.is_head_score_constant, u32::from(is_constant));
                let num_nan = scores.iter().filter(|score| score.is_nan()).count();
                assert_eq!(audit.num_nan_heads as usize, num_nan);
            }
        }
    }
}

#[test]
fn outputs_may_be_left_out() {
    let _device = Device::new();
    let attention = Attention::new(&[0.5, 0.25, 0.125, 0.25, 0.0, 0.5], F32);
    let mut case = Case::new(&attention, &[1.0, 2.0], (1, 2, 3), (1, 2));
    case.args.selection.selected_heads = std::ptr::null_mut();
    case.args.selection.token_importance = std::ptr::null_mut();
    case.args.selection.audits = std::ptr::null_mut();
    launch(ffi::fp_emulated_select, &case.args);
    assert_eq!(case.kept_tokens.read(), [0, 2]);
    assert!(case.selected_heads.is_untouched());
    assert!(case.token_importance.is_untouched() && case.audits.is_untouched());
}

#[test]
fn a_sample_without_attention_is_named() {
    let _device = Device::new();
    let attention = Attention::new(&[0.0; 3 * 2 * 4], F32);
    let mut case = Case::new(&attention, &[0.0; 6], (3, 2, 4), (1, 1));
    let mass = |sum: f64| Statistics {
        sum,
        // SAFETY: numbers, all of which may be zero.
        ..unsafe { std::mem::zeroed() }
    };
    let sums = [0.0, 0.5, 0.0, 0.0, 0.0, 0.0];
    let statistics = Buffer::input(&sums.map(mass));
    case.args.statistics = statistics.ptr();
    launch(ffi::fp_emulated_select, &case.args);
    assert_eq!(case.error.found(), Some((ffi::NO_ATTENTION, 1, 0)));
}

#[test]
fn impossible_counts_are_refused() {
    let _device = Device::new();
    let attention = Attention::new(&[0.5; 12], F32);
    let case = Case::new(&attention, &[1.0, 2.0, 3.0], (1, 3, 4), (1, 1));
    for (h, kept) in [(0, 1), (4, 1), (1, 0), (1, 5)] {
        let mut args = case.args;
        let selection = &mut args.selection;
        (selection.num_selected_heads, selection.num_kept_tokens) = (h, kept);
        let refused = try_launch(ffi::fp_emulated_select, &args).unwrap_err();
        assert_eq!(refused.0, -6, "{}", refused.1);
    }
    let mut args = case.args;
    args.num_strategies = 13;
    assert_eq!(
        try_launch(ffi::fp_emulated_select, &args).unwrap_err().0,
        -7
    );
}
