//! Angles of the rotary embedding, kept on the device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::CudaStream;
use fp_kernels::cuda::RotaryAngles;

use crate::config::{RopeScaling, TextConfig};
use crate::error::Result;
use crate::gpu::gpu;
use crate::llama::rope::{angles, cosines_and_sines};
use crate::positions::Position;

/// Number of positions in the first table; each later table has at least twice as many.
const FEWEST: usize = 4096;

/// Cosines and sines of all line positions requested so far.
#[derive(Debug, Default)]
pub(in crate::llama) struct Angles(Mutex<Option<Arc<RotaryAngles>>>);

/// A table of angles, and for each row of a run the index of its angles.
pub(super) struct RowAngles {
    pub(super) table: Arc<RotaryAngles>,
    pub(super) rows: Vec<u32>,
}

impl Angles {
    /// The angles of rows at `positions`. Positions on a line use one table that serves every run;
    /// if some rows are on a grid, the run gets its own table, with one row per distinct position.
    pub(super) fn of(
        &self,
        stream: &Arc<CudaStream>,
        config: &TextConfig,
        positions: &[Position],
    ) -> Result<RowAngles> {
        let is_plain = config.rope_sections.is_none();
        if is_plain || positions.iter().all(|position| position.is_on_line()) {
            let times = || positions.iter().map(|position| position.time);
            let furthest = times().max().map_or(0, |last| last + 1);
            return Ok(RowAngles {
                table: self.reaching(stream, config, furthest)?,
                rows: times().map(|at| at as u32).collect(),
            });
        }
        let (mut different, mut known) = (Vec::new(), HashMap::new());
        let rows = positions.iter().map(|&position| {
            *known.entry(position).or_insert_with(|| {
                different.push(position);
                different.len() as u32 - 1
            })
        });
        let rows = rows.collect();
        let head_dim = config.head_dim();
        let len = different.len() * (head_dim / 2);
        let (cosines, sines) = cosines_and_sines(angles(config, &different), len);
        let table = gpu(RotaryAngles::of_rows(stream, head_dim, &cosines, &sines))?;
        Ok(RowAngles {
            table: Arc::new(table),
            rows,
        })
    }

    /// A table of the line positions below `num_positions`.
    fn reaching(
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
