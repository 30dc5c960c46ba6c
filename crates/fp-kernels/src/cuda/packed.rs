//! Outputs of several launches in one allocation, which one copy brings to the host.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut, DeviceRepr};

use super::error::CudaError;
use super::error_word::ErrorWord;
use super::memory::uninitialised;
use super::sys;

/// Alignment of parts in words of 8 bytes, as launches require of buffers.
const ALIGNED_WORDS: usize = sys::FP_ALIGNMENT as usize / size_of::<u64>();

/// An array of `T` in a [`Packed`].
#[derive(Debug)]
pub struct Part<T> {
    /// First word, in words of 8 bytes.
    begin: usize,
    len: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Part<T> {}

impl<T> Part<T> {
    fn words(&self) -> Range<usize> {
        let words = (self.len * size_of::<T>()).div_ceil(size_of::<u64>());
        self.begin..self.begin + words
    }
}

/// The arrays that a [`Packed`] holds, in order. The error word comes first.
#[derive(Debug)]
pub struct PackedLayout {
    words: usize,
    /// Words that the host reads; scratch memory follows them.
    num_read: usize,
}

impl Default for PackedLayout {
    fn default() -> Self {
        Self::new()
    }
}

impl PackedLayout {
    /// A layout with the error word only.
    pub fn new() -> PackedLayout {
        PackedLayout {
            words: 1,
            num_read: 1,
        }
    }

    /// Adds an array of `len` values that the host reads.
    ///
    /// # Panics
    /// If scratch memory was added before.
    pub fn output<T: DeviceRepr>(&mut self, len: usize) -> Part<T> {
        assert_eq!(self.words, self.num_read, "outputs come before scratch");
        let part = self.scratch(len);
        self.num_read = self.words;
        part
    }

    /// Adds an array of `len` values that stay on the device.
    pub fn scratch<T: DeviceRepr>(&mut self, len: usize) -> Part<T> {
        const { assert!(align_of::<T>() <= size_of::<u64>()) };
        let part = Part {
            begin: self.words.next_multiple_of(ALIGNED_WORDS),
            len,
            of: PhantomData,
        };
        self.words = part.words().end;
        part
    }
}

/// One allocation with an error word and the arrays of a [`PackedLayout`]. Only the error word is
/// initialised; launches write the rest.
#[derive(Debug)]
pub struct Packed {
    /// A part of `buffer`, and declared before it, so that it is dropped first.
    error: ErrorWord,
    buffer: CudaSlice<u64>,
    num_read: usize,
    stream: Arc<CudaStream>,
}

impl Packed {
    /// Allocates on the stream's device and resets the error word.
    ///
    /// # Errors
    /// Memory that can't be allocated.
    pub fn new(stream: &Arc<CudaStream>, layout: &PackedLayout) -> Result<Packed, CudaError> {
        let mut buffer = uninitialised::<u64>(stream, layout.words)?;
        // SAFETY: the word comes before all parts, and both are dropped with this struct.
        let mut error = unsafe { ErrorWord::at_begin(stream, &mut buffer) };
        error.reset(stream)?;
        Ok(Packed {
            error,
            buffer,
            num_read: layout.num_read,
            stream: Arc::clone(stream),
        })
    }

    /// All parts, for writing, and the error word.
    pub fn split(&mut self) -> (PackedParts<'_>, &mut ErrorWord) {
        let parts = PackedParts {
            rest: Some(self.buffer.slice_mut(1..)),
            begin: 1,
        };
        (parts, &mut self.error)
    }

    /// One part, for reading.
    pub fn view<T: DeviceRepr>(&self, part: Part<T>) -> CudaView<'_, T> {
        let words = self.buffer.slice(part.words());
        // SAFETY: the words cover the part's bytes, which launches wrote as `T`.
        let view = unsafe { words.transmute(part.len) };
        view.expect("a part has as many words as its values take")
    }

    /// Waits for the stream, copies all outputs and returns the first error that the launches
    /// found. `op` names them in the error. One copy, one wait.
    ///
    /// # Errors
    /// The recorded error, or a driver error.
    pub fn read(&self, op: &'static str) -> Result<PackedOnHost, CudaError> {
        // A copy to pageable memory waits for all earlier work of the stream.
        let words = self
            .stream
            .clone_dtoh(&self.buffer.slice(..self.num_read))
            .map_err(|source| CudaError::Driver { op, source })?;
        PackedOnHost::checked(words, op)
    }

    /// As [`Self::read`], for several allocations on one stream, still with one copy and one
    /// wait. Each has its own result.
    ///
    /// # Errors
    /// A driver error.
    pub fn read_all(
        all: &[&Packed],
        op: &'static str,
    ) -> Result<Vec<Result<PackedOnHost, CudaError>>, CudaError> {
        let [first, _, ..] = all else {
            return Ok(all.iter().map(|packed| packed.read(op)).collect());
        };
        let failed = |source| CudaError::Driver { op, source };
        let stream = &first.stream;
        let words = all.iter().map(|packed| packed.num_read).sum();
        let mut joined = uninitialised::<u64>(stream, words)?;
        let mut begin = 0;
        for packed in all {
            let end = begin + packed.num_read;
            let from = packed.buffer.slice(..packed.num_read);
            stream
                .memcpy_dtod(&from, &mut joined.slice_mut(begin..end))
                .map_err(failed)?;
            begin = end;
        }
        let words = stream.clone_dtoh(&joined).map_err(failed)?;
        let mut rest = words.as_slice();
        Ok(all
            .iter()
            .map(|packed| {
                let (own, others) = rest.split_at(packed.num_read);
                rest = others;
                PackedOnHost::checked(own.to_vec(), op)
            })
            .collect())
    }
}

/// Parts of a [`Packed`] that have not been taken yet.
#[derive(Debug)]
pub struct PackedParts<'a> {
    rest: Option<CudaViewMut<'a, u64>>,
    begin: usize,
}

impl<'a> PackedParts<'a> {
    /// The next part, in the order in which they were added.
    ///
    /// # Panics
    /// If a later part was taken before.
    pub fn take<T: DeviceRepr>(&mut self, part: Part<T>) -> CudaViewMut<'a, T> {
        let words = part.words();
        let mut rest = self.rest.take().expect("put back below");
        let (taken, left) = rest.split_at_mut(words.end - self.begin);
        let skipped = words.start - self.begin;
        // SAFETY: both are parts of `rest`, which lives for 'a, and don't overlap; `rest` itself
        // is not used afterwards.
        let (mut taken, left) = unsafe {
            (
                std::mem::transmute::<CudaViewMut<'_, u64>, CudaViewMut<'a, u64>>(taken),
                std::mem::transmute::<CudaViewMut<'_, u64>, CudaViewMut<'a, u64>>(left),
            )
        };
        self.rest = Some(left);
        self.begin = words.end;
        let mut own = taken.slice_mut(skipped..);
        // SAFETY: the words cover the part's bytes; all bit patterns are values of `T`, a number
        // type. The view lives as long as the one that it was made from.
        unsafe {
            let own = own.transmute_mut::<T>(part.len);
            let own = own.expect("a part has as many words as its values take");
            std::mem::transmute::<CudaViewMut<'_, T>, CudaViewMut<'a, T>>(own)
        }
    }
}

/// The outputs of a [`Packed`] on the host.
#[derive(Debug)]
pub struct PackedOnHost {
    words: Vec<u64>,
}

impl PackedOnHost {
    /// Takes the copied words, of which the first is the error word.
    fn checked(words: Vec<u64>, op: &'static str) -> Result<PackedOnHost, CudaError> {
        ErrorWord::told(words[0], op)?;
        Ok(PackedOnHost { words })
    }

    /// The values of one part.
    ///
    /// # Panics
    /// If the part is scratch memory, or belongs to another layout.
    pub fn values<T: DeviceRepr>(&self, part: Part<T>) -> &[T] {
        let words = &self.words[part.words()];
        // SAFETY: the words cover the values' bytes, are initialised and aligned to 8, hence to
        // `T`, as the layout checked; device values are numbers for which all bit patterns are
        // valid.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), part.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_aligned_and_apart() {
        let mut layout = PackedLayout::new();
        let a = layout.output::<u32>(3);
        let b = layout.output::<f64>(1);
        let c = layout.output::<u32>(0);
        let d = layout.scratch::<u8>(9);
        assert_eq!(a.words(), 2..4);
        assert_eq!(b.words(), 4..5);
        assert_eq!(c.words(), 6..6);
        assert_eq!(d.words(), 6..8);
        assert_eq!((layout.num_read, layout.words), (6, 8));
    }

    #[test]
    fn values_on_the_host_are_those_of_their_part() {
        let mut layout = PackedLayout::new();
        let a = layout.output::<u32>(3);
        let b = layout.output::<f64>(1);
        let host = PackedOnHost {
            words: vec![0, 0, 1 | 2 << 32, 3, 0.5_f64.to_bits()],
        };
        assert_eq!(host.values(a), [1, 2, 3]);
        assert_eq!(host.values(b), [0.5]);
    }
}
