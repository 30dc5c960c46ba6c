//! Context and stream of a GPU, by its index.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::{CudaContext, CudaStream, DriverError};

use super::error::CudaError;
use super::is_driver_present;
use super::preflight::PreflightError;

/// The context of GPU `index`: one for the whole process, since creating another takes hundreds
/// of megabytes and a third of a second, and since dropping the last one drops all its buffers.
/// Events do not track its buffers.
pub(super) fn context(index: usize) -> Result<Arc<CudaContext>, DriverError> {
    static CONTEXTS: OnceLock<Mutex<HashMap<usize, Arc<CudaContext>>>> = OnceLock::new();
    let contexts = CONTEXTS.get_or_init(Mutex::default);
    let mut contexts = contexts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(context) = contexts.get(&index) {
        return Ok(context.clone());
    }
    let context = CudaContext::new(index)?;
    disable_event_tracking(&context);
    contexts.insert(index, context.clone());
    Ok(context)
}

/// Stops cudarc from keeping two events for each buffer of `context`, which order the buffer's
/// uses across streams.
///
/// Call it before anything is allocated, and use each buffer only on the stream that it was
/// allocated on: nothing else orders its uses.
pub fn disable_event_tracking(context: &CudaContext) {
    // SAFETY: buffers are allocated, used and freed in the order of one stream, as required of
    // the caller; the emulated driver detects violations.
    unsafe { context.disable_event_tracking() };
}

/// A stream of GPU `index` on which all work is enqueued, without the events that cudarc
/// otherwise keeps for each buffer: they cost time and can't be captured in a graph.
///
/// Use no buffer of this stream on another stream: nothing would order the two.
///
/// # Errors
/// No driver, or no such GPU.
pub fn only_stream(index: usize) -> Result<Arc<CudaStream>, CudaError> {
    if !is_driver_present() {
        return Err(PreflightError::NoDriver.into());
    }
    let failed = |source| CudaError::Driver {
        op: "opening a GPU",
        source,
    };
    context(index).map_err(failed)?.new_stream().map_err(failed)
}
