//! Allocates device memory without a memset.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DeviceRepr};

use super::element::{DeviceElement, GreedyChoice};
use super::error::CudaError;

/// A type for which all bit patterns are valid values.
pub trait PlainValue: DeviceRepr + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
    impl Sealed for super::GreedyChoice {}
    impl<T: super::DeviceElement> Sealed for T {}
}

impl PlainValue for u8 {}
impl PlainValue for u32 {}
impl PlainValue for u64 {}
impl PlainValue for GreedyChoice {}
impl<T: DeviceElement> PlainValue for T {}

/// Memory for `len` values, at least one, that a kernel is about to write. Its contents are
/// arbitrary until then, and no launch is spent on clearing it.
///
/// # Errors
/// Memory that can't be allocated.
pub fn uninitialised<T: PlainValue>(
    stream: &Arc<CudaStream>,
    len: usize,
) -> Result<CudaSlice<T>, CudaError> {
    // SAFETY: every bit pattern is a value of T, and reads of device memory are copies.
    unsafe { stream.alloc(len.max(1)) }.map_err(|source| CudaError::Driver {
        op: "allocation",
        source,
    })
}
