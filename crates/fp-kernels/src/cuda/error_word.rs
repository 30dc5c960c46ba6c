//! Data errors found by kernels, read after their launches.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use cudarc::driver::{
    CudaSlice, CudaStream, CudaViewMut, DevicePtr, DevicePtrMut, DeviceSlice, result,
};

use super::error::{CudaError, DataError};
use super::memory::uninitialised;
use super::sys;

/// Value of the word before any error.
const NO_DATA_ERROR: u64 = u64::MAX;

/// A word on the device that kernels lower when they find a value that they can't compute with.
/// It names the lowest row at fault, in any order of execution.
///
/// One word serves any number of launches; [`ErrorWord::check`] waits for them.
#[derive(Debug)]
pub struct ErrorWord {
    word: ManuallyDrop<CudaSlice<u64>>,
    /// Whether it owns its memory, which is then freed with it.
    is_owner: bool,
}

impl ErrorWord {
    /// Allocates a word on the stream's device and resets it.
    ///
    /// # Errors
    /// Memory that can't be allocated.
    pub fn new(stream: &Arc<CudaStream>) -> Result<ErrorWord, CudaError> {
        let mut word = ErrorWord {
            word: ManuallyDrop::new(uninitialised(stream, 1)?),
            is_owner: true,
        };
        word.reset(stream)?;
        Ok(word)
    }

    /// Uses the first word of a buffer, without resetting it.
    ///
    /// # Safety
    /// The buffer must outlive the word, and nothing else may use its first word.
    pub(super) unsafe fn at_begin(
        stream: &Arc<CudaStream>,
        buffer: &mut CudaSlice<u64>,
    ) -> ErrorWord {
        let (pointer, _guard) = buffer.device_ptr_mut(stream);
        // SAFETY: one u64 of the buffer, which is never freed through this handle.
        let word = unsafe { stream.upgrade_device_ptr(pointer, 1) };
        ErrorWord {
            word: ManuallyDrop::new(word),
            is_owner: false,
        }
    }

    /// Clears the recorded error, in stream order. A CUDA graph can capture this.
    ///
    /// # Errors
    /// A driver error.
    pub fn reset(&mut self, stream: &CudaStream) -> Result<(), CudaError> {
        let failed = |source| CudaError::Driver {
            op: "error word",
            source,
        };
        stream.context().bind_to_thread().map_err(failed)?;
        let (pointer, _guard) = self.word.device_ptr_mut(stream);
        // SAFETY: the word is one u64 in device memory, and the memset sets all its bits.
        unsafe { result::memset_d8_async(pointer, 0xff, size_of::<u64>(), stream.cu_stream()) }
            .map_err(failed)
    }

    /// Waits for the stream and returns the first error that launches found since the last reset.
    /// `op` names these launches in the error.
    ///
    /// # Errors
    /// What was found, or a driver error.
    pub fn check(&self, stream: &Arc<CudaStream>, op: &'static str) -> Result<(), CudaError> {
        // A copy to pageable memory waits for all earlier work of the stream.
        let word = stream
            .clone_dtoh(&*self.word)
            .map_err(|source| CudaError::Driver { op, source })?;
        word.first()
            .map_or(Ok(()), |&word| ErrorWord::told(word, op))
    }

    /// Decodes a word that was copied to the host after the launches of `op`.
    pub(super) fn told(word: u64, op: &'static str) -> Result<(), CudaError> {
        match found(word) {
            Some(source) => Err(CudaError::Data { op, source }),
            None => Ok(()),
        }
    }

    /// Enqueues a copy of the word into the first eight bytes of `to`.
    pub(super) fn copy_to<T>(
        &self,
        stream: &Arc<CudaStream>,
        to: &mut CudaViewMut<'_, T>,
        op: &'static str,
    ) -> Result<(), CudaError> {
        const BYTES: usize = size_of::<u64>();
        if to.num_bytes() < BYTES {
            return Err(CudaError::Workspace {
                op,
                expected: BYTES,
                got: to.num_bytes(),
            });
        }
        let failed = |source| CudaError::Driver { op, source };
        stream.context().bind_to_thread().map_err(failed)?;
        let (from, _from_guard) = self.word.device_ptr(stream);
        let (to, _to_guard) = to.device_ptr_mut(stream);
        // SAFETY: eight bytes in each of two distinct allocations.
        unsafe { result::memcpy_dtod_async(to, from, BYTES, stream.cu_stream()) }.map_err(failed)
    }

    pub(super) fn slice_mut(&mut self) -> &mut CudaSlice<u64> {
        &mut self.word
    }
}

impl Drop for ErrorWord {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and not used afterwards.
        let word = unsafe { ManuallyDrop::take(&mut self.word) };
        if !self.is_owner {
            word.leak();
        }
    }
}

/// Decodes a word row << 32 | position << 8 | code.
pub(super) fn found(word: u64) -> Option<DataError> {
    if word == NO_DATA_ERROR {
        return None;
    }
    let row = (word >> 32) as usize;
    let position = (word >> 8 & 0x00ff_ffff) as usize;
    let code = (word & 0xff) as u8;
    Some(match u32::from(code) {
        sys::FP_DATA_INVALID_ATTENTION => DataError::InvalidAttention { row, position },
        sys::FP_DATA_NO_ATTENTION => DataError::NoAttention { row },
        sys::FP_DATA_INVALID_LOGITS => DataError::InvalidLogits { row },
        sys::FP_DATA_BAD_INDEX => DataError::BadIndex { row, position },
        sys::FP_DATA_BAD_POSITION => DataError::BadPosition { row },
        sys::FP_DATA_BAD_SEQUENCE => DataError::BadSequence { row },
        sys::FP_DATA_BAD_ROW => DataError::BadRow {
            row,
            of: if position == 0 {
                "the table"
            } else {
                "the features"
            },
        },
        sys::FP_DATA_BAD_SLOT => DataError::BadSlot { row },
        _ => DataError::Unknown {
            row,
            position,
            code,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_row_and_position() {
        assert_eq!(found(NO_DATA_ERROR), None);
        assert_eq!(
            found(7 << 32 | 575 << 8 | 1),
            Some(DataError::InvalidAttention {
                row: 7,
                position: 575
            })
        );
        assert_eq!(found(3 << 32 | 2), Some(DataError::NoAttention { row: 3 }));
        assert_eq!(
            found(1 << 32 | 2 << 8 | 77),
            Some(DataError::Unknown {
                row: 1,
                position: 2,
                code: 77
            })
        );
    }
}
