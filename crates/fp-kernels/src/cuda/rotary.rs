//! Rotary embedding, and appending of new keys and values to their caches.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView};

use super::activate::RowsTo;
use super::check::{check_max, check_multiple, dim};
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::kv_runs::KvRunTable;
use super::launch::Launch;
use super::sys;
use crate::KernelError;
use crate::error::check_shape;

/// Cosines and sines of every position, `[positions, D/2]` each, in device memory. A position is
/// a row of the table: a position in a sequence ([`RotaryAngles::new`]), or any index that the
/// caller gives angles for ([`RotaryAngles::of_rows`]).
#[derive(Debug)]
pub struct RotaryAngles {
    cosines: CudaSlice<f32>,
    sines: CudaSlice<f32>,
    num_positions: usize,
    head_dim: usize,
}

impl RotaryAngles {
    /// Angles `position / stretch · theta^(−2i / D)` of positions below `num_positions`, as in
    /// [`rotary_angles`].
    ///
    /// # Errors
    /// An odd D, no positions, or memory that can't be allocated.
    pub fn new(
        stream: &Arc<CudaStream>,
        head_dim: usize,
        theta: f64,
        stretch: f32,
        num_positions: usize,
    ) -> Result<RotaryAngles, CudaError> {
        check_table([num_positions, head_dim])?;
        let (cosines, sines) = rotary_angles(head_dim, theta, stretch, num_positions);
        RotaryAngles::of_rows(stream, head_dim, &cosines, &sines)
    }

    /// Given cosines and sines, `[rows, D/2]` each: for tokens whose frequencies depend on
    /// several axes, which a table over one position can't express.
    ///
    /// # Errors
    /// An odd D, no rows, cosines or sines that don't fill whole rows or differ in number, or
    /// memory that can't be allocated.
    pub fn of_rows(
        stream: &Arc<CudaStream>,
        head_dim: usize,
        cosines: &[f32],
        sines: &[f32],
    ) -> Result<RotaryAngles, CudaError> {
        let half = head_dim / 2;
        let num_positions = cosines.len().checked_div(half).unwrap_or(0);
        check_table([num_positions, head_dim])?;
        for (tensor, values) in [("cosines", cosines), ("sines", sines)] {
            check_shape(TABLE, tensor, &[num_positions, half], values.len())?;
        }
        let upload = |values: &[f32]| {
            let failed = |source| CudaError::Driver { op: TABLE, source };
            stream.clone_htod(values).map_err(failed)
        };
        Ok(RotaryAngles {
            cosines: upload(cosines)?,
            sines: upload(sines)?,
            num_positions,
            head_dim,
        })
    }

    /// Number of positions with angles.
    pub fn num_positions(&self) -> usize {
        self.num_positions
    }
}

const TABLE: &str = "rotary angles";

fn check_table([num_positions, head_dim]: [usize; 2]) -> Result<(), CudaError> {
    check_multiple(TABLE, "D", head_dim, 2)?;
    if head_dim == 0 || num_positions == 0 {
        return Err(KernelError::EmptyShape {
            op: TABLE,
            tensor: "[positions, D]",
            shape: vec![num_positions, head_dim],
        }
        .into());
    }
    Ok(())
}

/// Cosines and sines `[num_positions, head_dim / 2]` of the angles `position / stretch ·
/// theta^(−2i / head_dim)`. The angles are computed in `f32`, as in the training of the models;
/// their cosines and sines in `f64`, then rounded.
pub fn rotary_angles(
    head_dim: usize,
    theta: f64,
    stretch: f32,
    num_positions: usize,
) -> (Vec<f32>, Vec<f32>) {
    let frequencies: Vec<f32> = (0..head_dim / 2)
        .map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64) as f32)
        .collect();
    (0..num_positions)
        .flat_map(|position| {
            let position = position as f32 / stretch;
            frequencies.iter().map(move |frequency| {
                let (sine, cosine) = f64::from(position * frequency).sin_cos();
                (cosine as f32, sine as f32)
            })
        })
        .unzip()
}

/// Arguments of [`rotary_append`].
#[derive(Debug)]
pub struct RotaryAppend<'a, T> {
    /// H.
    pub num_heads: usize,
    /// T.
    pub num_rows: usize,
    /// Projections `[T, (H + 2·H_kv)·D]`: queries, keys and values side by side. Rotated queries
    /// overwrite the queries in place, or go to `[T, H·D]`.
    pub projected: RowsTo<'a, T>,
    /// Angles by position.
    pub angles: &'a RotaryAngles,
    /// `[T]`: the position of each row.
    pub positions: CudaView<'a, u32>,
    /// The runs, whose shape gives H_kv and D.
    pub table: &'a KvRunTable<T>,
    /// Layer of the table.
    pub layer: usize,
    /// `[T]`: the run of each row, by index within the layer.
    pub runs: CudaView<'a, u32>,
    /// `[T]`: the slot in its run that each row is written to. No two rows may share a slot.
    pub slots: CudaView<'a, u32>,
    /// Reports bad positions, runs and slots.
    pub error: &'a mut ErrorWord,
}

/// Rotates queries and keys by their rows' positions and writes keys and values into the
/// caches of any number of sequences, in one launch.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; sizes that contradict
/// each other; a failed launch. Positions without angles, and runs and slots that do not exist,
/// are reported by the error word; their rows are not written.
pub fn rotary_append<T: DeviceElement>(
    stream: &CudaStream,
    mut call: RotaryAppend<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "rotary_append";
    let (t, h) = (call.num_rows, call.num_heads);
    let (table, angles) = (call.table, call.angles);
    let (h_kv, d) = (table.num_kv_heads(), table.head_dim());
    check_max(OP, "T", t, i32::MAX as usize)?;
    check_max(OP, "H", h, MAX_HEADS)?;
    check_max(OP, "H_kv", h_kv, h)?;
    check_max(OP, "D", d, sys::FP_MAX_HEAD_DIM as usize)?;
    if angles.head_dim != d {
        return Err(KernelError::ShapeMismatch {
            op: OP,
            tensor: "angles",
            shape: vec![angles.num_positions, d / 2],
            expected: angles.num_positions * (d / 2),
            got: angles.num_positions * (angles.head_dim / 2),
        }
        .into());
    }
    let (width, query_width) = ((h + 2 * h_kv) * d, h * d);
    let (first_entry, regions) = table.layer(OP, call.layer)?;
    let entries = table.entries().slice(first_entry..);
    let mut launch = Launch::new(OP, stream);
    let (projected, queries, query_stride) = match &mut call.projected {
        RowsTo::InPlace(projected) => {
            let projected = launch.output("projections", projected, &[t, width])?;
            (projected.cast_const(), projected, width)
        }
        RowsTo::Out { from, to } => (
            launch.input("projections", from, &[t, width])?,
            launch.output("queries", to, &[t, query_width])?,
            query_width,
        ),
    };
    let args = sys::fp_rotary_append_args {
        projected: projected.cast(),
        queries: queries.cast(),
        cosines: launch.read("cosines", &angles.cosines)?,
        sines: launch.read("sines", &angles.sines)?,
        positions: launch.input("positions", &call.positions, &[t])?,
        runs: launch.input("runs", &call.runs, &[t])?,
        slots: launch.input("slots", &call.slots, &[t])?,
        run_table: launch.read("the table of runs", &entries)?.cast(),
        error: launch.error(call.error)?,
        projected_stride: width,
        query_stride,
        num_rows: dim(OP, "T", t)?,
        num_heads: dim(OP, "H", h)?,
        num_kv_heads: dim(OP, "H_kv", h_kv)?,
        head_dim: dim(OP, "D", d)?,
        num_positions: dim(OP, "positions", angles.num_positions)?,
        num_runs: dim(OP, "runs", table.num_runs())?,
        dtype: T::DTYPE,
    };
    launch.check_apart(regions)?;
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // held until the launch is enqueued and freed in stream order; this includes those in the
    // table, whose runs it borrows. The kernel checks each position, run and slot before it uses
    // them.
    launch.run(|stream| unsafe { sys::fp_rotary_append(&args, stream) })
}

/// The launcher's limit.
const MAX_HEADS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_products_of_f32() {
        let (cosines, sines) = rotary_angles(4, 10_000.0, 2.0, 3);
        // Positions 0, ½ and 1 times the frequencies 1 and 1/100.
        let of = |angle: f32| f64::from(angle).sin_cos();
        for (at, angle) in [0.0, 0.0, 0.5, 0.5 * 0.01, 1.0, 0.01]
            .into_iter()
            .enumerate()
        {
            let (sine, cosine) = of(angle);
            assert_eq!((cosines[at], sines[at]), (cosine as f32, sine as f32));
        }
    }
}
