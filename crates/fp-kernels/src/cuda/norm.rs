//! RMS norm and layer norm.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_max, dim};
use super::element::DeviceElement;
use super::error::CudaError;
use super::launch::Launch;
use super::sys;

/// The kind of norm.
#[derive(Debug)]
pub enum NormKind<'a, T> {
    /// `x / √(mean(x²) + ε) · weight`
    Rms,
    /// `(x − mean) / √(variance + ε) · weight + bias`, with the population variance.
    Layer {
        /// `[D]`.
        bias: CudaView<'a, T>,
    },
}

/// The rows to normalize.
#[derive(Debug)]
pub enum NormInput<'a, T> {
    /// `[T, D]`, unchanged.
    Rows(CudaView<'a, T>),
    /// The sum of both buffers, which replaces the residual stream, rounded to its format.
    Sum {
        /// `[T, D]`; overwritten with the sum.
        residual: CudaViewMut<'a, T>,
        /// `[T, D]`.
        add: CudaView<'a, T>,
    },
}

/// Arguments of [`norm`].
#[derive(Debug)]
pub struct Norm<'a, T> {
    /// T.
    pub num_rows: usize,
    /// D, at most 16384.
    pub width: usize,
    /// The kind of norm.
    pub kind: NormKind<'a, T>,
    /// The rows to normalize.
    pub input: NormInput<'a, T>,
    /// `[D]`.
    pub weight: CudaView<'a, T>,
    /// ε, at least 0.
    pub epsilon: f32,
    /// Out, `[T, D]`.
    pub out: CudaViewMut<'a, T>,
}

/// Norm of each row, after an addition if requested, in one launch and one read.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; an unsupported width
/// or ε; a failed launch.
pub fn norm<T: DeviceElement>(stream: &CudaStream, mut call: Norm<'_, T>) -> Result<(), CudaError> {
    const OP: &str = "norm";
    let (shape, width) = ([call.num_rows, call.width], [call.width]);
    check_max(OP, "D", call.width, sys::FP_MAX_WIDTH as usize)?;
    check_max(OP, "T", call.num_rows, i32::MAX as usize)?;
    if !(call.epsilon.is_finite() && call.epsilon >= 0.0) {
        return Err(CudaError::Number {
            op: OP,
            what: "epsilon",
            got: call.epsilon,
            expected: "finite and at least 0",
        });
    }
    let mut launch = Launch::new(OP, stream);
    let (x, add) = match &mut call.input {
        NormInput::Rows(rows) => {
            let rows = launch.input("rows", rows, &shape)?;
            (rows.cast_mut(), std::ptr::null())
        }
        NormInput::Sum { residual, add } => (
            launch.output("the residual stream", residual, &shape)?,
            launch.input("what is added", add, &shape)?,
        ),
    };
    let bias = match &call.kind {
        NormKind::Rms => std::ptr::null(),
        NormKind::Layer { bias } => launch.input("bias", bias, &width)?,
    };
    let args = sys::fp_norm_args {
        x: x.cast(),
        add: add.cast(),
        weight: launch.input("weight", &call.weight, &width)?.cast(),
        bias: bias.cast(),
        out: launch.output("out", &mut call.out, &shape)?.cast(),
        num_rows: dim(OP, "T", call.num_rows)?,
        width: dim(OP, "D", call.width)?,
        epsilon: call.epsilon,
        dtype: T::DTYPE,
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // held until the launch is enqueued and freed in stream order. `x` is written only with
    // `add`, in which case it came from a mutable view.
    launch.run(|stream| unsafe { sys::fp_norm(&args, stream) })
}
