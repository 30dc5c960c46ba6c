//! The word in which launches report errors in their data.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use cudarc::driver::CudaStream;
use fp_kernels::cuda::ErrorWord;

use super::gpu;
use crate::error::Result;

/// Calls `f` with this thread's error word on the device: all launches of a thread report errors in
/// their data in one word, which [`super::choose_tokens`] reads along with the tokens.
pub(crate) fn with_word<R>(
    stream: &Arc<CudaStream>,
    f: impl FnOnce(&mut ErrorWord) -> Result<R>,
) -> Result<R> {
    thread_local! {
        static WORDS: RefCell<HashMap<usize, ErrorWord>> = RefCell::default();
    }
    WORDS.with_borrow_mut(|words| {
        let ordinal = stream.context().ordinal();
        let word = match words.entry(ordinal) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(gpu(ErrorWord::new(stream))?),
        };
        f(word)
    })
}
