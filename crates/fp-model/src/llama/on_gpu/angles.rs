//! Angles of the rotary embedding, kept on the device.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::CudaStream;
use fp_kernels::cuda::RotaryAngles;

use crate::config::{RopeScaling, TextConfig};
use crate::error::Result;
use crate::gpu::gpu;

/// Positions of the first table; a further one has at least twice as many.
const FEWEST: usize = 4096;

/// Cosines and sines of all positions that were asked for so far.
#[derive(Debug, Default)]
pub(in crate::llama) struct Angles(Mutex<Option<Arc<RotaryAngles>>>);

impl Angles {
    /// A table that has the positions below `num_positions`.
    pub(super) fn reaching(
        &self,
        stream: &Arc<CudaStream>,
        config: &TextConfig,
        num_positions: usize,
    ) -> Result<Arc<RotaryAngles>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(angles) = known.as_ref()
            && angles.num_positions() >= num_positions
        {
            return Ok(Arc::clone(angles));
        }
        let stretch = match config.rope_scaling {
            RopeScaling::None => 1.0,
            RopeScaling::Linear(factor) => factor as f32,
        };
        let angles = Arc::new(gpu(RotaryAngles::new(
            stream,
            config.head_dim(),
            config.rope_theta,
            stretch,
            num_positions.next_power_of_two().max(FEWEST),
        ))?);
        *known = Some(Arc::clone(&angles));
        Ok(angles)
    }
}
