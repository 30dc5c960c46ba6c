//! Arguments that are refused before a launch.

use fp_kernels::Normalization;
use fp_kernels::cuda::{
    CudaError, ErrorWord, GatherTokens, HeadScore, ScoreShape, Sequence, Strategies, Strategy,
    gather_tokens, head_score,
};

use crate::gpu;

#[test]
fn buffers_that_do_not_fill_their_shape() {
    let Some(stream) = gpu("buffers_that_do_not_fill_their_shape") else {
        return;
    };
    let shape = ScoreShape {
        batch_size: 1,
        num_heads: 4,
        num_image_tokens: 100,
    };
    let strategies = Strategies::new(&[Strategy::Sum]).unwrap();
    let mut error = ErrorWord::new(&stream).unwrap();
    for (attention, scores) in [(399, 4), (400, 5)] {
        let attention = stream.alloc_zeros::<f32>(attention).unwrap();
        let mut scores = stream.alloc_zeros::<f64>(scores).unwrap();
        let call = HeadScore {
            shape,
            attention: attention.as_view(),
            normalization: Normalization::L1,
            strategies: &strategies,
            scores: scores.as_view_mut(),
            statistics: None,
            error: &mut error,
        };
        let refused = head_score(&stream, call).unwrap_err();
        assert!(matches!(refused, CudaError::Argument(_)), "{refused}");
    }
}

#[test]
fn misaligned_and_overlapping_buffers() {
    let Some(stream) = gpu("misaligned_and_overlapping_buffers") else {
        return;
    };
    let sequence = Sequence {
        num_system: 0,
        num_image_tokens: 4,
        num_text: 0,
        num_kept_tokens: 2,
    };
    let kept = stream.clone_htod(&[0_u32, 1]).unwrap();
    let mut error = ErrorWord::new(&stream).unwrap();
    let mut buffer = stream.alloc_zeros::<f32>(64).unwrap();
    let source = stream.alloc_zeros::<f32>(64).unwrap();
    let mut call = |first: usize, width: usize| {
        let call = GatherTokens {
            batch_size: 1,
            outer: 1,
            width,
            sequence,
            source: source.slice(first..first + 4 * width),
            batch_stride: 4 * width,
            outer_stride: 4 * width,
            kept_tokens: kept.as_view(),
            target: buffer.slice_mut(..2 * width),
            error: &mut error,
        };
        gather_tokens(&stream, call)
    };
    assert!(call(0, 8).is_ok());
    assert!(matches!(
        call(1, 8),
        Err(CudaError::Misaligned {
            tensor: "source",
            ..
        })
    ));
    assert!(matches!(
        call(0, 6),
        Err(CudaError::NotMultiple { got: 24, .. })
    ));
}
