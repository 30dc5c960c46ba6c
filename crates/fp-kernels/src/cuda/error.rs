//! What can go wrong on a GPU.

use cudarc::driver::DriverError;

use super::preflight::PreflightError;
use crate::KernelError;

/// An operation that can't be run, or that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// A GPU that can't be used.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// A buffer's length contradicts its shape, or a count or index is out of range.
    #[error(transparent)]
    Argument(#[from] KernelError),
    /// A dimension above what the kernels are built for.
    #[error("{op}: {what} is {got}; the kernels take up to {max}")]
    TooLarge {
        /// Operation that was called.
        op: &'static str,
        /// Dimension at fault.
        what: &'static str,
        /// Its size.
        got: usize,
        /// The largest possible.
        max: usize,
    },
    /// A size or stride that must be a multiple of something and isn't.
    #[error("{op}: {what} is {got}; it must be a multiple of {multiple}")]
    NotMultiple {
        /// Operation that was called.
        op: &'static str,
        /// Size or stride at fault.
        what: &'static str,
        /// Its value.
        got: usize,
        /// What it must be a multiple of.
        multiple: usize,
    },
    /// A buffer that doesn't start at an aligned address.
    #[error("{op}: {tensor} starts at {address:#x}, which is not a multiple of {alignment} bytes")]
    Misaligned {
        /// Operation that was called.
        op: &'static str,
        /// Buffer at fault.
        tensor: &'static str,
        /// Where it starts.
        address: u64,
        /// Bytes.
        alignment: usize,
    },
    /// A buffer that is written shares memory with another one.
    #[error("{op}: {written} is written and overlaps {other}")]
    Overlap {
        /// Operation that was called.
        op: &'static str,
        /// The buffer that is written.
        written: &'static str,
        /// The other one.
        other: &'static str,
    },
    /// A buffer on another device than the stream's.
    #[error("{op}: {tensor} is on GPU {got}, the stream is on GPU {expected}")]
    OtherDevice {
        /// Operation that was called.
        op: &'static str,
        /// Buffer at fault.
        tensor: &'static str,
        /// GPU that holds it.
        got: usize,
        /// GPU of the stream.
        expected: usize,
    },
    /// Strategies that can't be asked for together, or of this operation.
    #[error("{op}: {reason}")]
    Strategies {
        /// Operation that was called.
        op: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A sequence whose rows, keys and runs contradict each other.
    #[error("{op}: sequence {index}: {reason}")]
    Sequence {
        /// Operation that was called.
        op: &'static str,
        /// Index of the sequence in its layer.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// A scale that is no number.
    #[error("{op}: the scale of logits is {scale}; it must be finite")]
    Scale {
        /// Operation that was called.
        op: &'static str,
        /// The value given.
        scale: f32,
    },
    /// A number that an operation can't be run with.
    #[error("{op}: {what} is {got}; it must be {expected}")]
    Number {
        /// Operation that was called.
        op: &'static str,
        /// The argument at fault.
        what: &'static str,
        /// Its value.
        got: f32,
        /// What it may be.
        expected: &'static str,
    },
    /// A buffer of scratch memory that is too small.
    #[error("{op}: the workspace has {got} bytes and takes {expected}")]
    Workspace {
        /// Operation that was called.
        op: &'static str,
        /// Bytes that it must have.
        expected: usize,
        /// Bytes that it has.
        got: usize,
    },
    /// The launcher refused or CUDA failed to launch.
    #[error("{op} was not launched: {reason} (status {status})")]
    Launch {
        /// Operation that was called.
        op: &'static str,
        /// Status of the launcher.
        status: i32,
        /// What it means.
        reason: String,
    },
    /// The device found values that can't be worked with.
    #[error("{op} can't work with the values that it read")]
    Data {
        /// Operation that was called.
        op: &'static str,
        /// What was found, and in which row.
        source: DataError,
    },
    /// The driver failed.
    #[error("{op}: the CUDA driver failed")]
    Driver {
        /// Operation that was called.
        op: &'static str,
        /// The driver's reason.
        source: DriverError,
    },
}

/// What a kernel found wrong with the values that it read; the first row of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// An attention value that no softmax gives.
    #[error(
        "row {row} holds NaN, infinity or a negative value at position {position}; attention after \
         a softmax is finite and not negative"
    )]
    InvalidAttention {
        /// Row in the flat `[rows, N]` input.
        row: usize,
        /// Image token.
        position: usize,
    },
    /// No head of a sample attends to the image.
    #[error("row {row}: no head of this sample attends to the image")]
    NoAttention {
        /// Index in the batch.
        row: usize,
    },
    /// Queries or keys whose softmax is no number.
    #[error("row {row}: the softmax of its queries and keys is not a number")]
    InvalidLogits {
        /// (b·H + h)·Q + q.
        row: usize,
    },
    /// A kept token that can't be, or out of order.
    #[error(
        "row {row}: kept token number {position} is outside the image or not above the one before"
    )]
    BadIndex {
        /// Index in the batch.
        row: usize,
        /// Place among the kept tokens.
        position: usize,
    },
    /// A query row outside the sequence, or a position that the table of angles lacks.
    #[error("row {row}: its position is outside the sequence, or beyond the table of angles")]
    BadPosition {
        /// Index among the rows.
        row: usize,
    },
    /// An index of a row that isn't there.
    #[error("row {row}: its index is outside {of}")]
    BadRow {
        /// Index among the rows that were asked for.
        row: usize,
        /// The table or the features.
        of: &'static str,
    },
    /// A place in a KV cache that isn't there.
    #[error("row {row}: its run or slot is outside the KV cache")]
    BadSlot {
        /// Index among the rows.
        row: usize,
    },
    /// A sequence of attention whose descriptor contradicts itself or the launch.
    #[error("row {row}: this sequence's rows, keys and runs contradict each other")]
    BadSequence {
        /// Index of the sequence.
        row: usize,
    },
    /// A code that this build doesn't know.
    #[error("row {row}, position {position}: unknown code {code}")]
    Unknown {
        /// Row by the device.
        row: usize,
        /// Position by the device.
        position: usize,
        /// The code.
        code: u8,
    },
}
