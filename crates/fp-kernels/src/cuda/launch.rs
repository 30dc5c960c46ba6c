//! One launch, with its buffers checked and held until it is enqueued.

use std::ffi::{CStr, c_int, c_void};

use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, SyncOnDrop};

use super::check::{Region, check_device, check_disjoint};
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::sys;
use crate::error::check_shape;

/// Buffers of a launch on `stream`.
pub(super) struct Launch<'a> {
    pub(super) op: &'static str,
    stream: &'a CudaStream,
    reads: Vec<Region>,
    writes: Vec<Region>,
    /// Dropped after the launch, which signals other streams that the buffers are free.
    guards: Vec<SyncOnDrop<'a>>,
}

impl<'a> Launch<'a> {
    pub(super) fn new(op: &'static str, stream: &'a CudaStream) -> Launch<'a> {
        Launch {
            op,
            stream,
            reads: Vec::new(),
            writes: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// Adds a buffer of this shape that is read, dense.
    pub(super) fn input<T>(
        &mut self,
        tensor: &'static str,
        slice: &'a impl DevicePtr<T>,
        shape: &[usize],
    ) -> Result<*const T, CudaError> {
        check_shape(self.op, tensor, shape, slice.len())?;
        self.read(tensor, slice)
    }

    /// As [`Self::input`]; null for `None`.
    pub(super) fn optional_input<T>(
        &mut self,
        tensor: &'static str,
        slice: Option<&'a impl DevicePtr<T>>,
        shape: &[usize],
    ) -> Result<*const T, CudaError> {
        match slice {
            Some(slice) => self.input(tensor, slice, shape),
            None => Ok(std::ptr::null()),
        }
    }

    /// Adds a buffer that is read and whose length was checked.
    pub(super) fn read<T>(
        &mut self,
        tensor: &'static str,
        slice: &'a impl DevicePtr<T>,
    ) -> Result<*const T, CudaError> {
        self.check_place(tensor, slice.stream())?;
        let bytes = slice.num_bytes();
        let (address, guard) = slice.device_ptr(self.stream);
        let region = Region {
            tensor,
            address,
            bytes,
        };
        region.check_alignment(self.op, align_of::<T>())?;
        self.reads.push(region);
        self.guards.push(guard);
        Ok(address as *const T)
    }

    /// Adds memory that the launch reads besides its own buffers.
    pub(super) fn reads(&mut self, regions: &[Region]) {
        self.reads.extend_from_slice(regions);
    }

    /// Adds a buffer of this shape that is written, dense.
    pub(super) fn output<T>(
        &mut self,
        tensor: &'static str,
        slice: &'a mut impl DevicePtrMut<T>,
        shape: &[usize],
    ) -> Result<*mut T, CudaError> {
        check_shape(self.op, tensor, shape, slice.len())?;
        self.write(tensor, slice)
    }

    /// As [`Self::output`]; null for `None`.
    pub(super) fn optional_output<T>(
        &mut self,
        tensor: &'static str,
        slice: Option<&'a mut impl DevicePtrMut<T>>,
        shape: &[usize],
    ) -> Result<*mut T, CudaError> {
        match slice {
            Some(slice) => self.output(tensor, slice, shape),
            None => Ok(std::ptr::null_mut()),
        }
    }

    /// Adds scratch memory of at least this many bytes, aligned for 16-byte accesses.
    pub(super) fn workspace(
        &mut self,
        slice: &'a mut impl DevicePtrMut<u8>,
        bytes: usize,
    ) -> Result<*mut c_void, CudaError> {
        let pointer = self.scratch(slice, bytes)?;
        self.check_aligned()?;
        Ok(pointer)
    }

    /// As [`Self::workspace`], independent of the alignment of the launch's other buffers.
    pub(super) fn scratch(
        &mut self,
        slice: &'a mut impl DevicePtrMut<u8>,
        bytes: usize,
    ) -> Result<*mut c_void, CudaError> {
        if slice.len() < bytes {
            return Err(CudaError::Workspace {
                op: self.op,
                expected: bytes,
                got: slice.len(),
            });
        }
        let pointer = self.write("the workspace", slice)?;
        let last = self.writes.last();
        last.map_or(Ok(()), |region| {
            region.check_alignment(self.op, sys::FP_ALIGNMENT as usize)
        })?;
        Ok(pointer.cast())
    }

    /// Adds the word that reports errors in the data.
    pub(super) fn error(&mut self, word: &'a mut ErrorWord) -> Result<*mut u64, CudaError> {
        self.write("the error word", word.slice_mut())
    }

    fn write<T>(
        &mut self,
        tensor: &'static str,
        slice: &'a mut impl DevicePtrMut<T>,
    ) -> Result<*mut T, CudaError> {
        self.check_place(tensor, slice.stream())?;
        let bytes = slice.num_bytes();
        let (address, guard) = slice.device_ptr_mut(self.stream);
        let region = Region {
            tensor,
            address,
            bytes,
        };
        region.check_alignment(self.op, align_of::<T>())?;
        self.writes.push(region);
        self.guards.push(guard);
        Ok(address as *mut T)
    }

    fn check_place(&self, tensor: &'static str, of: &CudaStream) -> Result<(), CudaError> {
        let ordinal = |stream: &CudaStream| stream.context().ordinal();
        check_device(self.op, tensor, ordinal(of), ordinal(self.stream))
    }

    /// Checks that every buffer so far starts at a multiple of 16 bytes.
    pub(super) fn check_aligned(&self) -> Result<(), CudaError> {
        self.reads
            .iter()
            .chain(&self.writes)
            .filter(|region| region.tensor != "the error word")
            .try_for_each(|region| region.check_alignment(self.op, sys::FP_ALIGNMENT as usize))
    }

    /// Checks that no buffer so far shares memory with one of `written`.
    pub(super) fn check_apart(&self, written: &[Region]) -> Result<(), CudaError> {
        let own = || self.reads.iter().chain(&self.writes);
        for region in written {
            if let Some(other) = own().find(|own| own.overlaps(region)) {
                return Err(CudaError::Overlap {
                    op: self.op,
                    written: region.tensor,
                    other: other.tensor,
                });
            }
        }
        Ok(())
    }

    /// Enqueues the launch by `launcher`, which gets the stream.
    pub(super) fn run(self, launcher: impl FnOnce(*mut c_void) -> c_int) -> Result<(), CudaError> {
        let op = self.op;
        check_disjoint(op, &self.reads, &self.writes)?;
        // The launcher uses the current device.
        let context = self.stream.context();
        context
            .bind_to_thread()
            .map_err(|source| CudaError::Driver { op, source })?;
        match launcher(self.stream.cu_stream().cast()) {
            sys::FP_OK => Ok(()),
            status => Err(CudaError::Launch {
                op,
                status,
                reason: status_text(status),
            }),
        }
    }
}

/// Meaning of a launcher's status.
fn status_text(status: c_int) -> String {
    #[cfg(feature = "emulated-gpu")]
    if status == sys::FP_EMULATION_FAULT {
        return super::emulated::launch_fault();
    }
    // SAFETY: accepts any number and returns null or a static string.
    let text = unsafe { sys::fp_status_string(status) };
    if text.is_null() {
        return "unknown status".to_owned();
    }
    // SAFETY: not null, so it is a static string.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
