//! An allocator that counts, for programs that hold memory use against a limit.
//!
//! Here because implementing an allocator is `unsafe`, and all `unsafe` of the workspace
//! is in this crate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with the bytes that are held now and were held at most.
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
    /// Counts from nothing, without a limit.
    pub const fn new() -> Self {
        CountingAllocator {
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
        }
    }

    /// Bytes that are held now, by all threads.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Most bytes that were held at once since [`restart`](Self::restart), or ever.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Lets the peak begin at what is held now, and gives that.
    pub fn restart(&self) -> usize {
        let held = self.held();
        self.peak.store(held, Ordering::Relaxed);
        held
    }

    /// Refuses from now on what would make the bytes held more than `bytes`; the
    /// standard library ends the process then.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` as held, unless that is beyond the limit.
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

    /// Counts what `allocate` gives; null is nothing.
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

// SAFETY: every call is handed on to the system's allocator with the arguments as they came,
// or answered by null, which says that there is no memory. The counters allocate nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        self.counted(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        self.counted(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came of this allocator, and so of the system's, with this layout.
        unsafe { System.dealloc(memory, layout) };
        self.give_back(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // What grows in place never stands twice; what is copied does, for a moment that
        // isn't counted.
        let more = size.saturating_sub(layout.size());
        // SAFETY: `memory` came of the system's allocator with this layout, and the caller
        // promises that `size` fits its alignment.
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
        // SAFETY: the layouts aren't empty, and all that is given back came of this
        // allocator with the layout that is named.
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
