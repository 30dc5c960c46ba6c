//! A GPU by its number.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream};

use super::error::CudaError;
use super::is_driver_present;

/// A stream of GPU `ordinal` for work that is all enqueued on it, without the events that
/// cudarc keeps for each buffer otherwise: they cost time and can't be captured in a graph.
///
/// Make no second stream of this stream's context: nothing would keep the two in order.
///
/// # Errors
/// No driver, or no such GPU.
pub fn only_stream(ordinal: usize) -> Result<Arc<CudaStream>, CudaError> {
    if !is_driver_present() {
        return Err(CudaError::NoDriver);
    }
    let failed = |source| CudaError::Driver {
        op: "opening a GPU",
        source,
    };
    let context = CudaContext::new(ordinal).map_err(failed)?;
    // SAFETY: memory of this context is allocated, used and freed in the order of the one
    // stream that is returned.
    unsafe { context.disable_event_tracking() };
    context.new_stream().map_err(failed)
}
