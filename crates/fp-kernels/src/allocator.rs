//! A counting allocator, for programs that check memory use against a limit.
//!
//! It is in this crate because implementing an allocator is `unsafe`, and all `unsafe` of the
//! workspace is here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which counts the bytes in use and their peak.
///
/// ```
/// use fp_kernels::CountingAllocator;
///
/// #[global_allocator]
/// static MEMORY: CountingAllocator = CountingAllocator::new();
///
/// let before = MEMORY.restart();
/// drop(vec![0_u8; 1 << 20]);
/// assert!(MEMORY.peak() >= before + (1 << 20));
/// ```
#[derive(Debug)]
pub struct CountingAllocator {
    held: AtomicUsize,
    peak: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for CountingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

impl CountingAllocator {
    /// An allocator with all counters at zero and no limit.
    pub const fn new() -> Self {
        CountingAllocator {
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
        }
    }

    /// Bytes in use now, by all threads.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Peak of the bytes in use since the last [`restart`](Self::restart), or since the start.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Resets the peak to the bytes in use now, and returns them.
    pub fn restart(&self) -> usize {
        let held = self.held();
        self.peak.store(held, Ordering::Relaxed);
        held
    }

    /// From now on refuses any allocation that would raise the bytes in use above `bytes`; the
    /// standard library then ends the process.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` as in use and returns true, unless they would exceed the limit.
    fn take(&self, bytes: usize) -> bool {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        let after = held.saturating_add(bytes);
        if after > self.limit.load(Ordering::Relaxed) {
            self.give_back(bytes);
            return false;
        }
        self.peak.fetch_max(after, Ordering::Relaxed);
        true
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts the allocation that `allocate` returns; a null pointer is not counted.
    fn counted(&self, bytes: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
        if !self.take(bytes) {
            return std::ptr::null_mut();
        }
        let memory = allocate();
        if memory.is_null() {
            self.give_back(bytes);
        }
        memory
    }
}

// SAFETY: every call is passed to the system's allocator with its arguments unchanged, or
// answered by null, which means out of memory. The counters allocate nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are those that the system's allocator requires.
        self.counted(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        self.counted(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from this allocator, and so from the system's, with this layout.
        unsafe { System.dealloc(memory, layout) };
        self.give_back(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Memory that grows in place is never held twice. A copy is, for a moment that isn't
        // counted.
        let more = size.saturating_sub(layout.size());
        // SAFETY: `memory` came from the system's allocator with this layout, and the caller
        // guarantees that `size` fits its alignment.
        let moved = self.counted(more, || unsafe { System.realloc(memory, layout, size) });
        if !moved.is_null() {
            self.give_back(layout.size().saturating_sub(size));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout::new::<[u8; 1000]>();

    #[test]
    fn bytes_are_counted_until_they_are_given_back() {
        let memory = CountingAllocator::default();
        // SAFETY: the layouts aren't empty, and everything freed came from this allocator with
        // the layout passed here.
        unsafe {
            let first = memory.alloc(LAYOUT);
            let second = memory.alloc_zeroed(LAYOUT);
            assert_eq!(*second.add(999), 0);
            assert_eq!((memory.held(), memory.peak()), (2000, 2000));
            let second = memory.realloc(second, LAYOUT, 1500);
            assert_eq!((memory.held(), memory.peak()), (2500, 2500));
            let longer = Layout::from_size_align_unchecked(1500, LAYOUT.align());
            let second = memory.realloc(second, longer, 100);
            assert_eq!((memory.held(), memory.peak()), (1100, 2500));
            assert_eq!(memory.restart(), 1100);
            memory.dealloc(first, LAYOUT);
            let shorter = Layout::from_size_align_unchecked(100, LAYOUT.align());
            memory.dealloc(second, shorter);
        }
        assert_eq!((memory.held(), memory.peak()), (0, 1100));
    }

    #[test]
    fn nothing_is_given_beyond_the_limit() {
        let memory = CountingAllocator::new();
        memory.set_limit(1999);
        // SAFETY: as above.
        unsafe {
            let first = memory.alloc(LAYOUT);
            assert!(memory.alloc(LAYOUT).is_null());
            assert!(memory.alloc_zeroed(LAYOUT).is_null());
            assert!(memory.realloc(first, LAYOUT, 2000).is_null());
            assert_eq!((memory.held(), memory.peak()), (1000, 1000));
            memory.dealloc(first, LAYOUT);
        }
        assert_eq!(memory.held(), 0);
    }
}
