//! The emulated cuBLAS against a naive product in f64.

use std::ffi::{c_int, c_longlong, c_void};

use cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut};
use fp_kernels::cuda::emulated::take_counters;
use half::{bf16, f16};
use libloading::os::unix::Library;

use super::{Gpu, gpu};

const F32: c_int = 0;
const F16: c_int = 2;
const BF16: c_int = 14;
const COMPUTE_F32: c_int = 68;
const COMPUTE_F16: c_int = 64;

type Create = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
type SetStream = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Gemm = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    *const f32,
    *const c_void,
    c_int,
    c_int,
    c_longlong,
    *const c_void,
    c_int,
    c_int,
    c_longlong,
    *const f32,
    *mut c_void,
    c_int,
    c_int,
    c_longlong,
    c_int,
    c_int,
    c_int,
) -> c_int;

/// One product: c = alpha · op(a) op(b) + beta · c, column-major.
#[derive(Debug, Clone, Copy)]
struct Case {
    transpose: [bool; 2],
    m: usize,
    n: usize,
    k: usize,
    batch: usize,
    alpha: f32,
    beta: f32,
    /// What each leading dimension has beside the rows.
    slack: usize,
}

impl Case {
    /// Rows and columns of a, b and c as they are stored.
    fn dims(&self) -> [[usize; 2]; 3] {
        let dims = |rows, columns, is_transposed| match is_transposed {
            true => [columns, rows],
            false => [rows, columns],
        };
        [
            dims(self.m, self.k, self.transpose[0]),
            dims(self.k, self.n, self.transpose[1]),
            [self.m, self.n],
        ]
    }

    fn lens(&self) -> [usize; 3] {
        self.dims()
            .map(|[rows, columns]| (rows + self.slack) * columns)
    }

    fn reference(&self, [a, b, c]: [&[f64]; 3]) -> Vec<f64> {
        let [la, lb, lc] = self.lens();
        let [a_dims, b_dims, c_dims] = self.dims();
        let at = |dims: [usize; 2], row, column, is_transposed: bool| match is_transposed {
            true => row * (dims[0] + self.slack) + column,
            false => column * (dims[0] + self.slack) + row,
        };
        let mut out = c.to_vec();
        for sample in 0..self.batch {
            for row in 0..self.m {
                for column in 0..self.n {
                    let sum: f64 = (0..self.k)
                        .map(|l| {
                            a[sample * la + at(a_dims, row, l, self.transpose[0])]
                                * b[sample * lb + at(b_dims, l, column, self.transpose[1])]
                        })
                        .sum();
                    let value = &mut out[sample * lc + at(c_dims, row, column, false)];
                    *value = f64::from(self.alpha) * sum + f64::from(self.beta) * *value;
                }
            }
        }
        out
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
    fn value(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }
}

struct Blas {
    handle: *mut c_void,
    gemm: Gemm,
}

impl Blas {
    fn new(gpu: &Gpu) -> Blas {
        // SAFETY: the emulated library, and functions of these types.
        unsafe {
            let library = Library::new("libcublas.so").unwrap();
            let mut handle = std::ptr::null_mut();
            let create = library.get::<Create>("cublasCreate_v2").unwrap();
            assert_eq!(create(&raw mut handle), 0);
            let set_stream = library.get::<SetStream>("cublasSetStream_v2").unwrap();
            assert_eq!(set_stream(handle, gpu.stream.cu_stream().cast()), 0);
            let gemm = *library.get::<Gemm>("cublasGemmStridedBatchedEx").unwrap();
            std::mem::forget(library);
            Blas { handle, gemm }
        }
    }

    /// The status, after computing into `c`.
    fn multiply<T>(
        &self,
        gpu: &Gpu,
        case: &Case,
        [a, b]: [&CudaSlice<T>; 2],
        c: &mut CudaSlice<T>,
        [dtype, compute]: [c_int; 2],
    ) -> c_int {
        let stream = &gpu.stream;
        let [la, lb, lc] = case.lens().map(|len| len as c_longlong);
        let [a_dims, b_dims, c_dims] = case.dims();
        let leading = |dims: [usize; 2]| (dims[0] + case.slack) as c_int;
        // SAFETY: buffers of the lengths that the case says.
        unsafe {
            (self.gemm)(
                self.handle,
                c_int::from(case.transpose[0]),
                c_int::from(case.transpose[1]),
                case.m as c_int,
                case.n as c_int,
                case.k as c_int,
                &raw const case.alpha,
                a.device_ptr(stream).0 as *const c_void,
                dtype,
                leading(a_dims),
                la,
                b.device_ptr(stream).0 as *const c_void,
                dtype,
                leading(b_dims),
                lb,
                &raw const case.beta,
                c.device_ptr_mut(stream).0 as *mut c_void,
                dtype,
                leading(c_dims),
                lc,
                case.batch as c_int,
                compute,
                -1,
            )
        }
    }
}

/// Half a step of the number format at 1, beside what f32 sums lose.
fn agree<T: Copy + cudarc::driver::DeviceRepr>(
    gpu: &Gpu,
    dtype: c_int,
    step: f64,
    from: impl Fn(f32) -> T,
    to: impl Fn(T) -> f32,
) {
    let blas = Blas::new(gpu);
    let mut random = Random(7);
    for _ in 0..250 {
        let case = Case {
            transpose: [random.below(2) == 1, random.below(2) == 1],
            m: 1 + random.below(20),
            n: 1 + random.below(20),
            k: 1 + random.below(70),
            batch: 1 + random.below(3),
            alpha: [1.0, 0.5, -2.0][random.below(3)],
            beta: [0.0, 1.0, -0.5][random.below(3)],
            slack: random.below(3),
        };
        let values = case.lens().map(|len| {
            (0..len * case.batch)
                .map(|_| from(random.value()))
                .collect::<Vec<T>>()
        });
        let [a, b, c] = values.each_ref().map(|values| {
            values
                .iter()
                .map(|&value| f64::from(to(value)))
                .collect::<Vec<f64>>()
        });
        let expected = case.reference([&a, &b, &c]);
        let [a, b, mut c] = values.map(|values| gpu.stream.clone_htod(&values).unwrap());
        let status = blas.multiply(gpu, &case, [&a, &b], &mut c, [dtype, COMPUTE_F32]);
        assert_eq!(status, 0);
        let got = gpu.stream.clone_dtoh(&c).unwrap();
        for (got, expected) in got.iter().zip(&expected) {
            let error = (f64::from(to(*got)) - expected).abs();
            assert!(
                error <= step * expected.abs() + 1e-4 * step.min(1.0) + 1e-5,
                "{case:?}"
            );
        }
    }
}

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
    // More than is allocated.
    assert_eq!(
        status(&Case { n: 3, ..case }, [F32, COMPUTE_F32]),
        EXECUTION_FAILED
    );
    assert_eq!(status(&case, [F32, COMPUTE_F32]), 0);
}
