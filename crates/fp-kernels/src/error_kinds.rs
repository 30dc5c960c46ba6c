//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use self::error_check::{CAUSE, check};
use crate::KernelError;

#[test]
fn arguments() {
    check(&every_variant!(KernelError:
        ShapeMismatch { op: CAUSE, tensor: "rows", shape: vec![2, 3], expected: 6, got: 5 },
        EmptyShape { op: "select", tensor: "rows", shape: vec![0, 3] },
        InvalidAttention { row: 1, position: 2, value: f64::NAN },
        IndexOutOfRange { op: "select", index: 3, len: 3 },
        CountOutOfRange { op: "select", count: 4, len: 3 },
    ));
}

#[cfg(feature = "cuda")]
#[test]
fn gpu() {
    use crate::cuda::{CudaError, DataError, LibraryMissing, PreflightError};
    let argument = KernelError::CountOutOfRange {
        op: CAUSE,
        count: 0,
        len: 1,
    };
    let driver = cudarc::driver::DriverError(cudarc::driver::sys::CUresult::CUDA_ERROR_UNKNOWN);
    let mut every = every_variant!(CudaError:
        Preflight { 0: PreflightError::OldDriver { found: 12080, needed: 13000 } },
        Argument { 0: argument },
        TooLarge { op: "select", what: "rows", got: 9, max: 8 },
        NotMultiple { op: "select", what: "rows", got: 9, multiple: 8 },
        Misaligned { op: "select", tensor: "rows", address: 4, alignment: 16 },
        Overlap { op: "select", written: "out", other: "in" },
        OtherDevice { op: "select", tensor: "rows", got: 1, expected: 0 },
        Strategies { op: "select", reason: "twice".to_owned() },
        Sequence { op: "attention", index: 3, reason: "no keys".to_owned() },
        Scale { op: "select", scale: f32::NAN },
        Number { op: "norm", what: "epsilon", got: f32::NAN, expected: "finite" },
        Workspace { op: "select", expected: 8, got: 4 },
        Launch { op: "select", status: 1, reason: "refused".to_owned() },
        Data { op: "select", source: DataError::NoAttention { row: 3 } },
        Driver { op: "select", source: driver },
    );
    // Texts of driver errors need a loaded driver.
    every.retain(|error| !matches!(error, CudaError::Driver { .. }));
    check(&every);
    let missing = || LibraryMissing {
        title: "cuBLAS",
        files: &["libcublas.so.13"],
        package: "nvidia-cublas",
        searched: Vec::new(),
    };
    let name = || "a GPU".to_owned();
    let mut every = every_variant!(PreflightError:
        NoDriver {},
        OldDriver { found: 12080, needed: 13000 },
        NoGpu {},
        NoSuchGpu { index: 3, count: 2 },
        OldGpu { index: 0, name: name(), capability: (7, 5) },
        Library { 0: missing() },
        Memory { index: 0, name: name(), free_bytes: 1, total_bytes: 2 },
        Driver { call: "its version", source: driver },
    );
    every.retain(|error| !matches!(error, PreflightError::Driver { .. }));
    check(&every);
    check(&every_variant!(DataError:
        InvalidAttention { row: 1, position: 2 },
        NoAttention { row: 1 },
        InvalidLogits { row: 1 },
        BadIndex { row: 1, position: 2 },
        BadPosition { row: 1 },
        BadSequence { row: 1 },
        BadRow { row: 1, of: "the table" },
        BadSlot { row: 1 },
        Unknown { row: 1, position: 2, code: 99 },
    ));
}
