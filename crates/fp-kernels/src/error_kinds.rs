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
    use crate::cuda::{CudaError, DataError};
    let argument = KernelError::CountOutOfRange {
        op: CAUSE,
        count: 0,
        len: 1,
    };
    let driver = cudarc::driver::DriverError(cudarc::driver::sys::CUresult::CUDA_ERROR_UNKNOWN);
    let mut every = every_variant!(CudaError:
        NoDriver {},
        Argument { 0: argument },
        TooLarge { op: "select", what: "rows", got: 9, max: 8 },
        NotMultiple { op: "select", what: "rows", got: 9, multiple: 8 },
        Misaligned { op: "select", tensor: "rows", address: 4, alignment: 16 },
        Overlap { op: "select", written: "out", other: "in" },
        OtherDevice { op: "select", tensor: "rows", got: 1, expected: 0 },
        Strategies { op: "select", reason: "twice".to_owned() },
        Scale { op: "select", scale: f32::NAN },
        Workspace { op: "select", expected: 8, got: 4 },
        Launch { op: "select", status: 1, reason: "refused".to_owned() },
        Data { op: "select", source: DataError::NoAttention { row: 3 } },
        Driver { op: "select", source: driver },
    );
    // Only a driver that is loaded has a text for its errors.
    every.retain(|error| !matches!(error, CudaError::Driver { .. }));
    check(&every);
    check(&every_variant!(DataError:
        InvalidAttention { row: 1, position: 2 },
        NoAttention { row: 1 },
        InvalidLogits { row: 1 },
        BadIndex { row: 1, position: 2 },
        BadPosition { row: 1 },
        Unknown { row: 1, position: 2, code: 99 },
    ));
}
