//! Calls of the emulated cuBLAS, and a naive product in f64.

use std::ffi::{c_int, c_longlong, c_void};

use cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut};
use libloading::os::unix::Library;

use crate::Gpu;

pub(super) const F32: c_int = 0;
pub(super) const F16: c_int = 2;
pub(super) const BF16: c_int = 14;
pub(super) const COMPUTE_F32: c_int = 68;
pub(super) const COMPUTE_F16: c_int = 64;

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
pub(super) struct Case {
    pub(super) transpose: [bool; 2],
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) batch: usize,
    pub(super) alpha: f32,
    pub(super) beta: f32,
    /// Values by which each leading dimension exceeds the number of rows.
    pub(super) slack: usize,
}

impl Case {
    /// Stored rows and columns of a, b and c.
    pub(super) fn dims(&self) -> [[usize; 2]; 3] {
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

    pub(super) fn lens(&self) -> [usize; 3] {
        self.dims()
            .map(|[rows, columns]| (rows + self.slack) * columns)
    }

    pub(super) fn reference(&self, [a, b, c]: [&[f64]; 3]) -> Vec<f64> {
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

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
    pub(super) fn value(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }
}

pub(super) struct Blas {
    pub(super) handle: *mut c_void,
    pub(super) gemm: Gemm,
}

impl Blas {
    pub(super) fn new(gpu: &Gpu) -> Blas {
        // SAFETY: the emulated library, whose functions have these types.
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

    /// Computes into `c` and returns the status.
    pub(super) fn multiply<T>(
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
        // SAFETY: the buffers have the lengths that the case gives.
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

/// Tolerance: half a step of the number format at 1, plus the error of f32 sums.
pub(super) fn agree<T: Copy + cudarc::driver::DeviceRepr>(
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
