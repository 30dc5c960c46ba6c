//! Kept tokens and their positions.

use fp_kernels::cuda::{
    ErrorWord, GatherPositions, GatherTokens, Sequence, gather_positions, gather_tokens,
};
use fp_scoring::error_text;

use crate::{Random, gpu, num_cases};

#[test]
fn rows_and_positions_of_what_stays() {
    let Some(stream) = gpu("rows_and_positions_of_what_stays") else {
        return;
    };
    let mut random = Random(7);
    for _ in 0..num_cases(&stream, 100) {
        let n = random.between(1, 800);
        let kept: Vec<u32> = (0..n as u32).filter(|_| random.unit() < 0.4).collect();
        let kept = if kept.is_empty() { vec![0] } else { kept };
        let sequence = Sequence {
            num_system: random.between(0, 40),
            num_image_tokens: n,
            num_text: random.between(0, 60),
            num_kept_tokens: kept.len(),
        };
        let (b, outer, width) = (
            random.between(1, 3),
            random.between(1, 4),
            4 * random.between(1, 64),
        );
        let stride = sequence.len() * width;
        let values: Vec<f32> = (0..b * outer * stride).map(|_| random.unit()).collect();
        let rows: Vec<usize> = (0..sequence.num_system)
            .chain(
                kept.iter()
                    .map(|&token| sequence.num_system + token as usize),
            )
            .chain(sequence.num_system + n..sequence.len())
            .collect();
        let source = stream.clone_htod(&values).unwrap();
        let kept_on_gpu = stream.clone_htod(&kept).unwrap();
        let len = b * outer * sequence.num_rows() * width;
        let mut target = stream.alloc_zeros::<f32>(len).unwrap();
        let mut positions = stream.alloc_zeros::<u32>(b * rows.len()).unwrap();
        let mut error = ErrorWord::new(&stream).unwrap();
        let tokens = GatherTokens {
            batch_size: b,
            outer,
            width,
            sequence,
            source: source.as_view(),
            batch_stride: outer * stride,
            outer_stride: stride,
            kept_tokens: kept_on_gpu.as_view(),
            target: target.as_view_mut(),
            error: &mut error,
        };
        gather_tokens(&stream, tokens).unwrap();
        let places = GatherPositions {
            batch_size: b,
            sequence,
            kept_tokens: kept_on_gpu.as_view(),
            positions: positions.as_view_mut(),
            error: &mut error,
        };
        gather_positions(&stream, places).unwrap();
        error.check(&stream, "gather").unwrap();
        let got = stream.clone_dtoh(&target).unwrap();
        let expected: Vec<f32> = values
            .chunks(stride)
            .flat_map(|block| {
                rows.iter()
                    .flat_map(move |&row| &block[row * width..][..width])
            })
            .copied()
            .collect();
        assert_eq!(got, expected, "{sequence:?}");
        let got = stream.clone_dtoh(&positions).unwrap();
        let expected: Vec<u32> = rows.repeat(b).iter().map(|&row| row as u32).collect();
        assert_eq!(got, expected, "{sequence:?}");
    }
}

#[test]
fn tokens_that_can_not_be_kept_are_named() {
    let Some(stream) = gpu("tokens_that_can_not_be_kept_are_named") else {
        return;
    };
    for (kept, place) in [
        ([0, 2, 2], "number 2"),
        ([1, 9, 10], "number 2"),
        ([4, 3, 5], "number 1"),
    ] {
        let kept = stream.clone_htod(&kept).unwrap();
        let mut positions = stream.alloc_zeros::<u32>(3).unwrap();
        let mut error = ErrorWord::new(&stream).unwrap();
        let call = GatherPositions {
            batch_size: 1,
            sequence: Sequence {
                num_system: 0,
                num_image_tokens: 10,
                num_text: 0,
                num_kept_tokens: 3,
            },
            kept_tokens: kept.as_view(),
            positions: positions.as_view_mut(),
            error: &mut error,
        };
        gather_positions(&stream, call).unwrap();
        let text = error_text(&error.check(&stream, "gather_positions").unwrap_err());
        assert!(
            text.contains("gather_positions") && text.contains(place),
            "{text}"
        );
    }
}
