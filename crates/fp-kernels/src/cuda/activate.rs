//! Operations between the matrix products of an MLP.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_max, dim};
use super::element::DeviceElement;
use super::error::CudaError;
use super::launch::Launch;
use super::sys;

/// Rows of an operation that works in place or from one buffer to another.
#[derive(Debug)]
pub enum RowsTo<'a, T> {
    /// Input and output share one buffer.
    InPlace(CudaViewMut<'a, T>),
    /// Input and output are separate buffers.
    Out {
        /// Input.
        from: CudaView<'a, T>,
        /// Output.
        to: CudaViewMut<'a, T>,
    },
}

/// The activation that [`activate`] applies to each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationKind {
    /// Identity: only the bias is added.
    None,
    /// `x / (1 + e^(−1.702 x))`
    QuickGelu,
    /// `x · Φ(x)`
    Gelu,
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`
    GeluTanh,
}

impl ActivationKind {
    fn raw(self) -> u32 {
        match self {
            ActivationKind::None => sys::FP_NO_ACTIVATION,
            ActivationKind::QuickGelu => sys::FP_QUICK_GELU,
            ActivationKind::Gelu => sys::FP_GELU,
            ActivationKind::GeluTanh => sys::FP_GELU_TANH,
        }
    }
}

fn check_sizes(op: &'static str, num_rows: usize, width: usize) -> Result<[u32; 2], CudaError> {
    check_max(op, "T", num_rows, i32::MAX as usize)?;
    check_max(op, "M", width, sys::FP_MAX_INNER_WIDTH as usize)?;
    Ok([dim(op, "T", num_rows)?, dim(op, "M", width)?])
}

/// Arguments of [`gated_silu`].
#[derive(Debug)]
pub struct GatedSilu<'a, T> {
    /// T.
    pub num_rows: usize,
    /// M.
    pub width: usize,
    /// `[T, 2·M]`: all gates, then all ups.
    pub gates_and_ups: CudaView<'a, T>,
    /// `[2·M]`, added to `gates_and_ups` first.
    pub bias: Option<CudaView<'a, T>>,
    /// Out, `[T, M]`.
    pub out: CudaViewMut<'a, T>,
}

/// `silu(gate) · up`, `[T, M]`.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; a failed launch.
pub fn gated_silu<T: DeviceElement>(
    stream: &CudaStream,
    mut call: GatedSilu<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "gated_silu";
    let [num_rows, width] = check_sizes(OP, call.num_rows, call.width)?;
    let both = 2 * call.width;
    let mut launch = Launch::new(OP, stream);
    let gates_and_ups =
        launch.input("gates and ups", &call.gates_and_ups, &[call.num_rows, both])?;
    let args = sys::fp_gated_silu_args {
        gates_and_ups: gates_and_ups.cast(),
        bias: launch
            .optional_input("bias", call.bias.as_ref(), &[both])?
            .cast(),
        out: launch
            .output("out", &mut call.out, &[call.num_rows, call.width])?
            .cast(),
        num_rows,
        width,
        dtype: T::DTYPE,
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_gated_silu(&args, stream) })
}

/// Arguments of [`activate`].
#[derive(Debug)]
pub struct Activate<'a, T> {
    /// T.
    pub num_rows: usize,
    /// M.
    pub width: usize,
    /// `[T, M]`.
    pub rows: RowsTo<'a, T>,
    /// `[M]`, added to the rows first.
    pub bias: Option<CudaView<'a, T>>,
    /// The activation.
    pub activation: ActivationKind,
}

/// Applies an activation to every value, after adding a bias.
///
/// # Errors
/// As [`gated_silu`].
pub fn activate<T: DeviceElement>(
    stream: &CudaStream,
    mut call: Activate<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "activate";
    let [num_rows, width] = check_sizes(OP, call.num_rows, call.width)?;
    let shape = [call.num_rows, call.width];
    let mut launch = Launch::new(OP, stream);
    let (x, out) = match &mut call.rows {
        RowsTo::InPlace(rows) => {
            let rows = launch.output("rows", rows, &shape)?;
            (rows.cast_const(), rows)
        }
        RowsTo::Out { from, to } => (
            launch.input("rows", from, &shape)?,
            launch.output("out", to, &shape)?,
        ),
    };
    let args = sys::fp_activate_args {
        x: x.cast(),
        bias: launch
            .optional_input("bias", call.bias.as_ref(), &[call.width])?
            .cast(),
        out: out.cast(),
        num_rows,
        width,
        dtype: T::DTYPE,
        activation: call.activation.raw(),
    };
    // SAFETY: as in `gated_silu`; the kernel allows the output to be its input.
    launch.run(|stream| unsafe { sys::fp_activate(&args, stream) })
}
