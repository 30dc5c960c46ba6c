//! References that the kernels are compared with, and the tolerances.

use fp_kernels::cpu::{self, reference};
use fp_kernels::{HeadStatistics, StatisticsOptions};
use fp_scoring::{HeadCount, HeadStrategy, ImageAttention, SelectOptions, Selection, score_all};

use crate::emulation::ffi::{Cut, L1, Statistics};

pub(crate) const THRESHOLD: f64 = 0.01;

/// Two choices closer than this, as a fraction of the range of scores, may differ by rounding.
pub(crate) const GAP: f64 = 1e-9;

pub(crate) fn options(normalization: u32) -> StatisticsOptions {
    StatisticsOptions {
        normalization: match normalization {
            L1 => fp_kernels::Normalization::L1,
            _ => fp_kernels::Normalization::Softmax,
        },
        top_k: 10,
        threshold: THRESHOLD,
        order_statistics: true,
    }
}

#[track_caller]
pub(crate) fn assert_close(name: &str, got: f64, expected: f64, scale: f64) {
    let tolerance = 1e-12 * expected.abs().max(scale);
    assert!(
        (got - expected).abs() <= tolerance,
        "{name}: {got:e}, reference {expected:e}"
    );
}

/// Whether some p is so close to the threshold that rounding decides the count.
pub(crate) fn is_count_uncertain(row: &[f64], normalization: u32) -> bool {
    let p = reference::normalize_row(row, options(normalization).normalization);
    p.iter().any(|p| (p - THRESHOLD).abs() < 1e-15)
}

/// Compares with the naive statistics of the row.
#[track_caller]
pub(crate) fn check_statistics(got: &Statistics, row: &[f64], normalization: u32) {
    let expected: HeadStatistics = reference::head_statistics(row, &options(normalization));
    let n = row.len() as f64;
    assert_close("sum", got.sum, expected.sum, 0.0);
    assert_close("mean", got.mean, expected.mean, 0.0);
    let square = expected.mean.powi(2);
    assert_close("variance", got.variance, expected.variance, square);
    assert_eq!((got.max, got.min), (expected.max, expected.min));
    assert_close("top_k_sum", got.top_k_sum, expected.top_k_sum, 0.0);
    assert_close("p_max", got.p_max, expected.p_max, 0.0);
    assert_close("p_squares", got.p_squares, expected.p_squares, 0.0);
    assert_close("p_entropy", got.p_entropy, expected.p_entropy, n.ln());
    assert_close("gini", got.gini, expected.gini, 1.0);
    if !is_count_uncertain(row, normalization) {
        assert_eq!(got.p_count, expected.p_count as f64);
    }
}

/// The CPU's selections under every strategy.
pub(crate) fn selections(
    values: &[f32],
    num_heads: usize,
    num_image_tokens: usize,
    normalization: u32,
    (h, kept): (usize, usize),
) -> Vec<Selection> {
    let attention = ImageAttention::new(values, num_heads, num_image_tokens).unwrap();
    let options = SelectOptions {
        normalization: match normalization {
            L1 => fp_scoring::Normalization::L1,
            _ => fp_scoring::Normalization::Softmax,
        },
        num_selected_heads: HeadCount::Count(h),
        kept,
        allow_degenerate: true,
    };
    let strategies = match num_heads {
        1 => [HeadStrategy::STUDY, &HeadStrategy::ALL[10..]].concat(),
        _ => HeadStrategy::ALL.to_vec(),
    };
    score_all(&attention, &strategies, &options).unwrap()
}

/// Compares kept tokens and heads with the CPU's, unless its cuts are near-ties.
#[track_caller]
pub(crate) fn check_selection(expected: &Selection, heads: &[u32], tokens: &[u32], gap: f64) {
    let audit = &expected.audit;
    let is_sharp = |cut: &Option<fp_scoring::CutAudit>| {
        cut.is_none_or(|cut| cut.gap > gap || cut.is_tie && audit_is_exact(expected))
    };
    if !is_sharp(&audit.head_cut) || !is_sharp(&audit.coarse_head_cut) {
        return;
    }
    let as_usize = |indices: &[u32]| indices.iter().map(|&i| i as usize).collect::<Vec<_>>();
    let name = expected.head_strategy;
    assert_eq!(as_usize(heads), expected.selected_heads, "heads of {name}");
    // Importance is summed in the same order, so that tokens agree even in ties.
    assert_eq!(
        as_usize(tokens),
        expected.kept_tokens.as_slice(),
        "tokens of {name}"
    );
}

/// Whether equal scores are equal without rounding: values that are read, not computed.
fn audit_is_exact(selection: &Selection) -> bool {
    matches!(
        selection.head_strategy,
        HeadStrategy::MaxAttention | HeadStrategy::AttentionRange
    )
}

/// Compares a cut with the one in the CPU's selection.
#[track_caller]
pub(crate) fn check_cut(got: &Cut, values: &[f64], count: usize) {
    let top = cpu::top_r(values, count).unwrap();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    assert_eq!(got.min, finite().fold(f64::INFINITY, f64::min));
    assert_eq!(got.max, finite().fold(f64::NEG_INFINITY, f64::max));
    match top.cut {
        None => {
            assert!(got.first_dropped.is_nan());
            assert_eq!((got.num_tied, got.num_tied_kept), (0, 0));
        }
        Some(cut) => {
            assert_eq!(
                (got.last_kept, got.first_dropped),
                (cut.last_kept, cut.first_dropped)
            );
            let tied = (got.num_tied as usize, got.num_tied_kept as usize);
            assert_eq!(tied, (cut.num_tied, cut.num_tied_kept));
        }
    }
}
