//! Scores, heads and kept tokens of every strategy.

use std::sync::Arc;

use cudarc::driver::{CudaStream, DeviceRepr};
use fp_kernels::Element;
use fp_kernels::cuda::{DeviceElement, ScoreShape};
use fp_scoring::{
    HeadCount, HeadStrategy, Normalization, ScoringError, SelectOptions, Selection, cuda,
    error_text, score_batch,
};
use half::{bf16, f16};

use crate::{Random, gpu, num_cases};

/// Both sides must agree on a cut with a larger gap.
const SHARP: f64 = 1e-5;

fn options(heads: usize, kept: usize, normalization: Normalization) -> SelectOptions {
    SelectOptions {
        normalization,
        num_selected_heads: HeadCount::Count(heads),
        kept,
        allow_degenerate: true,
    }
}

fn on_gpu<T: DeviceElement + DeviceRepr>(
    stream: &Arc<CudaStream>,
    values: &[T],
    shape: ScoreShape,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Vec<Selection>>, ScoringError> {
    let attention = stream.clone_htod(values).unwrap();
    cuda::score_batch(stream, &attention.as_view(), shape, strategies, options)?.read()
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    a == b || (a - b).abs() <= 2e-5 * scale.max(b.abs())
}

fn check<T: DeviceElement + Element>(
    stream: &Arc<CudaStream>,
    values: &[T],
    shape: ScoreShape,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) {
    let [b, h, n] = shape.dims();
    let expected = score_batch(values, b, h, n, strategies, options).unwrap();
    let got = on_gpu(stream, values, shape, strategies, options).unwrap();
    let again = on_gpu(stream, values, shape, strategies, options).unwrap();
    assert_eq!(got, again, "two runs of {shape:?} differ");
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        let place = format!("{} of {shape:?} under {options:?}", got.head_strategy);
        assert_eq!(got.head_strategy, expected.head_strategy);
        let largest = expected
            .head_scores
            .iter()
            .filter(|score| score.is_finite());
        let scale = largest.fold(0.0_f64, |max, score| max.max(score.abs()));
        for (got, expected) in got.head_scores.iter().zip(&expected.head_scores) {
            assert!(
                close(*got, *expected, scale),
                "{got} for {expected}: {place}"
            );
        }
        assert_eq!(
            got.audit.zero_mass_heads, expected.audit.zero_mass_heads,
            "{place}"
        );
        let is_sharp = |cut: Option<fp_scoring::CutAudit>| cut.is_none_or(|cut| cut.gap > SHARP);
        if is_sharp(expected.audit.head_cut) && is_sharp(expected.audit.coarse_head_cut) {
            assert_eq!(got.selected_heads, expected.selected_heads, "{place}");
            if is_sharp(expected.audit.token_cut) {
                assert_eq!(got.kept_tokens, expected.kept_tokens, "{place}");
            }
        }
    }
}

fn random_shapes<T: DeviceElement + Element>(
    test: &str,
    strategies: &[HeadStrategy],
    round: impl Fn(f32) -> T,
) {
    let Some(stream) = gpu(test) else { return };
    let mut random = Random(0x5eed);
    for case in 0..num_cases(&stream, 60) {
        let n = match case % 4 {
            0 => random.between(1, 40),
            1 => random.between(41, 700),
            2 => [144, 576, 2048, 2880, 4096][random.between(0, 4)],
            _ => random.between(700, 4096),
        };
        let shape = ScoreShape {
            batch_size: random.between(1, 5),
            num_heads: random.between(2, 64),
            num_image_tokens: n,
        };
        let rows = shape.batch_size * shape.num_heads;
        let values: Vec<T> = random.attention(rows, n).into_iter().map(&round).collect();
        let (heads, kept) = (random.between(1, shape.num_heads), random.between(1, n));
        for normalization in [Normalization::L1, Normalization::Softmax] {
            let options = options(heads, kept, normalization);
            check(&stream, &values, shape, strategies, &options);
        }
    }
}

#[test]
fn the_study_in_f32() {
    random_shapes("the_study_in_f32", HeadStrategy::STUDY, |x| x);
}

#[test]
fn the_study_in_f16() {
    random_shapes("the_study_in_f16", HeadStrategy::STUDY, f16::from_f32);
}

#[test]
fn the_study_in_bf16() {
    random_shapes("the_study_in_bf16", HeadStrategy::STUDY, bf16::from_f32);
}

#[test]
fn every_strategy_in_f32() {
    random_shapes("every_strategy_in_f32", HeadStrategy::ALL, |x| x);
}

#[test]
fn bad_values_are_named() {
    let Some(stream) = gpu("bad_values_are_named") else {
        return;
    };
    let shape = ScoreShape {
        batch_size: 2,
        num_heads: 4,
        num_image_tokens: 100,
    };
    let mut values = vec![0.001_f32; 800];
    values[6 * 100 + 42] = f32::NAN;
    let options = options(2, 10, Normalization::L1);
    let error = on_gpu(&stream, &values, shape, HeadStrategy::STUDY, &options).unwrap_err();
    let text = error_text(&error);
    assert!(
        text.contains("row 6") && text.contains("position 42"),
        "{text}"
    );
}

#[test]
fn a_sample_without_attention_is_named() {
    let Some(stream) = gpu("a_sample_without_attention_is_named") else {
        return;
    };
    let shape = ScoreShape {
        batch_size: 3,
        num_heads: 4,
        num_image_tokens: 50,
    };
    let mut values = vec![0.01_f32; 600];
    values[200..400].fill(0.0);
    let mut options = options(2, 10, Normalization::L1);
    options.allow_degenerate = false;
    let error = on_gpu(&stream, &values, shape, HeadStrategy::STUDY, &options).unwrap_err();
    assert!(
        matches!(error, ScoringError::Sample { sample: 1, .. }),
        "{error}"
    );
}
