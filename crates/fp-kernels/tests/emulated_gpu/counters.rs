//! Counters of the process's driver operations.

use fp_kernels::Normalization;
use fp_kernels::cuda::emulated::take_counters;
use fp_kernels::cuda::{ErrorWord, HeadScore, ScoreShape, Strategies, Strategy, head_score};

use super::gpu;

#[test]
fn copies_allocations_and_waits() {
    let Some(gpu) = gpu("copies_allocations_and_waits") else {
        return;
    };
    let stream = &gpu.stream;
    take_counters();
    let mut buffer = stream.alloc_zeros::<f32>(100).unwrap();
    stream.memcpy_htod(&[1.0_f32; 100], &mut buffer).unwrap();
    let copy = stream.clone_dtod(&buffer).unwrap();
    let mut back = [0.0_f32; 100];
    stream.memcpy_dtoh(&copy, &mut back).unwrap();
    stream.synchronize().unwrap();
    drop(copy);
    let counted = take_counters().unwrap();
    assert_eq!(back, [1.0; 100]);
    assert_eq!(
        [
            counted.memsets,
            counted.memset_bytes,
            counted.host_to_device_copies,
            counted.host_to_device_bytes,
            counted.device_to_device_copies,
            counted.device_to_device_bytes,
            counted.device_to_host_copies,
            counted.device_to_host_bytes,
        ],
        [1, 400, 1, 400, 1, 400, 1, 400]
    );
    assert_eq!(
        [counted.allocations, counted.allocated_bytes, counted.frees],
        [2, 800, 1]
    );
    assert_eq!([counted.launches, counted.synchronisations], [0, 1]);
    assert_eq!(take_counters().unwrap(), Default::default());
}

#[test]
fn launches() {
    let Some(gpu) = gpu("launches") else { return };
    let stream = &gpu.stream;
    let shape = ScoreShape {
        batch_size: 1,
        num_heads: 2,
        num_image_tokens: 8,
    };
    let strategies = Strategies::new(&[Strategy::Sum]).unwrap();
    let mut error = ErrorWord::new(stream).unwrap();
    let attention = stream.clone_htod(&[0.1_f32; 16]).unwrap();
    let mut scores = stream.alloc_zeros::<f64>(2).unwrap();
    take_counters();
    for _ in 0..3 {
        let call = HeadScore {
            shape,
            attention: attention.as_view(),
            normalization: Normalization::L1,
            strategies: &strategies,
            scores: scores.as_view_mut(),
            statistics: None,
            error: &mut error,
        };
        head_score(stream, call).unwrap();
    }
    let counted = take_counters().unwrap();
    assert_eq!([counted.launches, counted.all_launches()], [3, 3]);
    assert_eq!(counted.host_to_device_copies, 0);
}
