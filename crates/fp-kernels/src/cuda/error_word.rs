//! What kernels found wrong with their data, told after the fact.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use cudarc::driver::{
    CudaSlice, CudaStream, CudaViewMut, DevicePtr, DevicePtrMut, DeviceSlice, result,
};

use super::error::{CudaError, DataError};
use super::memory::uninitialised;
use super::sys;

/// The word as it is before anything was found.
const NO_DATA_ERROR: u64 = u64::MAX;

/// A word on the device that kernels lower when they find a value that they can't work
/// with: the first row at fault is named, whatever ran first.
///
/// One word serves any number of launches; [`ErrorWord::check`] waits for them.
#[derive(Debug)]
pub struct ErrorWord {
    word: ManuallyDrop<CudaSlice<u64>>,
    /// Whether its memory is its own, to be freed with it.
    is_owner: bool,
}

impl ErrorWord {
    /// A word on the stream's device, reset.
    ///
    /// # Errors
    /// Memory that can't be had.
    pub fn new(stream: &Arc<CudaStream>) -> Result<ErrorWord, CudaError> {
        let mut word = ErrorWord {
            word: ManuallyDrop::new(uninitialised(stream, 1)?),
            is_owner: true,
        };
        word.reset(stream)?;
        Ok(word)
    }

    /// The first word of a buffer, not reset yet.
    ///
    /// # Safety
    /// The buffer outlives the word, and nothing else takes its first word for its own.
    pub(super) unsafe fn at_begin(
        stream: &Arc<CudaStream>,
        buffer: &mut CudaSlice<u64>,
    ) -> ErrorWord {
        let (pointer, _guard) = buffer.device_ptr_mut(stream);
        // SAFETY: one u64 of the buffer, which is never freed through this.
        let word = unsafe { stream.upgrade_device_ptr(pointer, 1) };
        ErrorWord {
            word: ManuallyDrop::new(word),
            is_owner: false,
        }
    }

    /// Forgets what was found, in the order of the stream. Can be captured.
    ///
    /// # Errors
    /// A driver that fails.
    pub fn reset(&mut self, stream: &CudaStream) -> Result<(), CudaError> {
        let failed = |source| CudaError::Driver {
            op: "error word",
            source,
        };
        stream.context().bind_to_thread().map_err(failed)?;
        let (pointer, _guard) = self.word.device_ptr_mut(stream);
        // SAFETY: the word is one u64 in device memory, and all its bits are set.
        unsafe { result::memset_d8_async(pointer, 0xff, size_of::<u64>(), stream.cu_stream()) }
            .map_err(failed)
    }

    /// Waits for the stream and tells what the launches since the last reset found.
    /// `op` names them.
    ///
    /// # Errors
    /// What was found, or a driver that fails.
    pub fn check(&self, stream: &Arc<CudaStream>, op: &'static str) -> Result<(), CudaError> {
        // A copy to memory that isn't pinned waits for the stream up to it.
        let word = stream
            .clone_dtoh(&*self.word)
            .map_err(|source| CudaError::Driver { op, source })?;
        word.first()
            .map_or(Ok(()), |&word| ErrorWord::told(word, op))
    }

    /// What a word that was copied to the host tells of the launches of `op`.
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
        // SAFETY: eight bytes each, of two allocations.
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

/// row << 32 | position << 8 | code, in words.
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
