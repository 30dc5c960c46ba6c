//! Work on several streams that accesses the same memory.

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaStream, DriverError};
use fp_kernels::Normalization;
use fp_kernels::cuda::emulated::last_refusal;
use fp_kernels::cuda::{
    CudaError, ErrorWord, HeadScore, ScoreShape, Strategies, Strategy, head_score,
};

use super::gpu;

fn is_refused(outcome: Result<(), DriverError>, first: &str, second: &str) {
    assert_eq!(outcome.unwrap_err().0, CUresult::CUDA_ERROR_ILLEGAL_STATE);
    let text = last_refusal().unwrap();
    assert!(text.contains("nothing orders"), "{text}");
    assert!(text.contains(first) && text.contains(second), "{text}");
}

#[test]
fn two_streams_that_nothing_orders() {
    let Some(gpu) = gpu("two_streams_that_nothing_orders") else {
        return;
    };
    let (first, second) = (&gpu.stream, &gpu.stream.context().new_stream().unwrap());
    let mut buffer = first.clone_htod(&[1_u8; 64]).unwrap();
    let outcome = second.memcpy_htod(&[2_u8; 64], &mut buffer);
    is_refused(outcome, "a copy from host to device", "writes");
    let mut back = [0_u8; 64];
    let outcome = second.memcpy_dtoh(&buffer, &mut back);
    is_refused(
        outcome,
        "a copy from device to host",
        "a copy from host to device",
    );
    // Both only read.
    first.synchronize().unwrap();
    first.memcpy_dtoh(&buffer, &mut back).unwrap();
    second.memcpy_dtoh(&buffer, &mut back).unwrap();
    second.synchronize().unwrap();
}

#[test]
fn an_event_or_a_wait_orders_them() {
    let Some(gpu) = gpu("an_event_or_a_wait_orders_them") else {
        return;
    };
    let (first, second) = (&gpu.stream, &gpu.stream.context().new_stream().unwrap());
    let mut buffer = first.clone_htod(&[1_u8; 64]).unwrap();
    second.join(first).unwrap();
    second.memcpy_htod(&[2_u8; 64], &mut buffer).unwrap();
    // The order is directed.
    let outcome = first.memset_zeros(&mut buffer);
    is_refused(outcome, "a memset", "a copy from host to device");
    second.synchronize().unwrap();
    first.memset_zeros(&mut buffer).unwrap();
    first.synchronize().unwrap();
}

#[test]
fn default_streams_of_two_threads() {
    let Some(gpu) = gpu("default_streams_of_two_threads") else {
        return;
    };
    let stream = gpu.stream.context().per_thread_stream();
    let buffer = stream.clone_htod(&[1_u8; 64]).unwrap();
    let other = |stream: &CudaStream| {
        let mut back = [0_u8; 64];
        let outcome = stream
            .context()
            .per_thread_stream()
            .memcpy_dtoh(&buffer, &mut back);
        (outcome, last_refusal().unwrap())
    };
    let (outcome, text) =
        std::thread::scope(|scope| scope.spawn(|| other(&stream)).join().unwrap());
    assert!(
        outcome.is_err() && text.contains("the default stream of thread"),
        "{text}"
    );
    stream.synchronize().unwrap();
    let (outcome, text) =
        std::thread::scope(|scope| scope.spawn(|| other(&stream)).join().unwrap());
    assert!(outcome.is_ok(), "{text}");
}

#[test]
fn a_launch_names_its_kernel() {
    let Some(gpu) = gpu("a_launch_names_its_kernel") else {
        return;
    };
    let (first, second) = (&gpu.stream, &gpu.stream.context().new_stream().unwrap());
    let shape = ScoreShape {
        batch_size: 1,
        num_heads: 2,
        num_image_tokens: 8,
    };
    let strategies = Strategies::new(&[Strategy::Sum]).unwrap();
    let mut error = ErrorWord::new(first).unwrap();
    let attention = first.clone_htod(&[0.1_f32; 16]).unwrap();
    let mut scores = first.alloc_zeros::<f64>(2).unwrap();
    let call = HeadScore {
        shape,
        attention: attention.as_view(),
        normalization: Normalization::L1,
        strategies: &strategies,
        scores: scores.as_view_mut(),
        statistics: None,
        error: &mut error,
    };
    let refused = head_score(second, call).unwrap_err();
    let CudaError::Launch { reason, .. } = &refused else {
        panic!("{refused}");
    };
    assert!(reason.contains("HeadScoreKernelArgs"), "{reason}");
    assert!(reason.contains("a copy from host to device"), "{reason}");
    first.synchronize().unwrap();
    second.synchronize().unwrap();
}
