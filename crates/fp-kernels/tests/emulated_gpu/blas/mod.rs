//! The emulated cuBLAS against a naive product in f64.

mod calls;

use std::ffi::c_int;

use fp_kernels::cuda::emulated::take_counters;
use half::{bf16, f16};

use super::gpu;
use calls::{BF16, Blas, COMPUTE_F16, COMPUTE_F32, Case, F16, F32, Random, agree};

#[test]
fn products_agree_with_a_naive_one() {
    let Some(gpu) = gpu("products_agree_with_a_naive_one") else {
        return;
    };
    agree(&gpu, F32, 1e-6, |value| value, |value| value);
    agree(&gpu, F16, 1.0 / 2048.0, f16::from_f32, f16::to_f32);
    agree(&gpu, BF16, 1.0 / 256.0, bf16::from_f32, bf16::to_f32);
}

#[test]
fn a_sample_does_not_depend_on_the_batch() {
    let Some(gpu) = gpu("a_sample_does_not_depend_on_the_batch") else {
        return;
    };
    let blas = Blas::new(&gpu);
    let case = |batch| Case {
        transpose: [true, false],
        m: 5,
        n: 3,
        k: 37,
        batch,
        alpha: 1.0,
        beta: 0.0,
        slack: 0,
    };
    let mut random = Random(3);
    let values = case(4)
        .lens()
        .map(|len| (0..len * 4).map(|_| random.value()).collect::<Vec<_>>());
    let product = |batch: usize| {
        let [a, b, c] = values
            .each_ref()
            .map(|values| gpu.stream.clone_htod(values).unwrap());
        let mut c = c;
        take_counters();
        assert_eq!(
            blas.multiply(&gpu, &case(batch), [&a, &b], &mut c, [F32, COMPUTE_F32]),
            0
        );
        assert_eq!(take_counters().unwrap().gemms, 1);
        gpu.stream.clone_dtoh(&c).unwrap()
    };
    assert_eq!(product(1)[..15], product(4)[..15]);
}

#[test]
fn what_is_not_emulated_is_refused() {
    let Some(gpu) = gpu("what_is_not_emulated_is_refused") else {
        return;
    };
    let blas = Blas::new(&gpu);
    let case = Case {
        transpose: [false, false],
        m: 2,
        n: 2,
        k: 2,
        batch: 1,
        alpha: 1.0,
        beta: 0.0,
        slack: 0,
    };
    let [a, b] = [
        gpu.stream.clone_htod(&[1.0_f32; 4]).unwrap(),
        gpu.stream.clone_htod(&[1.0_f32; 4]).unwrap(),
    ];
    let mut c = gpu.stream.alloc_zeros::<f32>(4).unwrap();
    const NOT_SUPPORTED: c_int = 15;
    const EXECUTION_FAILED: c_int = 13;
    let mut status = |case: &Case, types| blas.multiply(&gpu, case, [&a, &b], &mut c, types);
    assert_eq!(status(&case, [F32, COMPUTE_F16]), NOT_SUPPORTED);
    assert_eq!(status(&case, [1, COMPUTE_F32]), NOT_SUPPORTED);
    // Exceeds the allocation.
    assert_eq!(
        status(&Case { n: 3, ..case }, [F32, COMPUTE_F32]),
        EXECUTION_FAILED
    );
    assert_eq!(status(&case, [F32, COMPUTE_F32]), 0);
}
