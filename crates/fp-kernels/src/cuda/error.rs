//! Errors of GPU operations.

use cudarc::driver::DriverError;

use super::preflight::PreflightError;
use crate::KernelError;

/// A GPU operation that can't be run, or that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// A GPU that can't be used.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// A buffer's length contradicts its shape, or a count or index is out of range.
    #[error(transparent)]
    Argument(#[from] KernelError),
    /// A dimension above the kernels' maximum.
    #[error("{op}: {what} is {got}; the maximum is {max}")]
    TooLarge {
        /// Operation that was called.
        op: &'static str,
        /// The dimension.
        what: &'static str,
        /// Its size.
        got: usize,
        /// The maximum.
        max: usize,
    },
    /// A size or stride that is not a multiple of a required number.
    #[error("{op}: {what} is {got}; it must be a multiple of {multiple}")]
    NotMultiple {
        /// Operation that was called.
        op: &'static str,
        /// Size or stride at fault.
        what: &'static str,
        /// Its value.
        got: usize,
        /// The required divisor.
        multiple: usize,
    },
    /// A buffer that doesn't start at an aligned address.
    #[error("{op}: {tensor} starts at {address:#x}, which is not a multiple of {alignment} bytes")]
    Misaligned {
        /// Operation that was called.
        op: &'static str,
        /// Buffer at fault.
        tensor: &'static str,
        /// Its start address.
        address: u64,
        /// Required alignment in bytes.
        alignment: usize,
    },
    /// A buffer that is written shares memory with another one.
    #[error("{op}: {written} is written and overlaps {other}")]
    Overlap {
        /// Operation that was called.
        op: &'static str,
        /// The buffer that is written.
        written: &'static str,
        /// The other buffer.
        other: &'static str,
    },
    /// A buffer on another device than the stream's.
    #[error("{op}: {tensor} is on GPU {got}, the stream is on GPU {expected}")]
    OtherDevice {
        /// Operation that was called.
        op: &'static str,
        /// Buffer at fault.
        tensor: &'static str,
        /// GPU that holds the buffer.
        got: usize,
        /// GPU of the stream.
        expected: usize,
    },
    /// Strategies that can't be combined, or that this operation does not compute.
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
    /// A scale that is not positive and finite.
    #[error("{op}: the scale of logits is {scale}; it must be positive and finite")]
    Scale {
        /// Operation that was called.
        op: &'static str,
        /// The value given.
        scale: f32,
    },
    /// A number that the operation does not accept.
    #[error("{op}: {what} is {got}; it must be {expected}")]
    Number {
        /// Operation that was called.
        op: &'static str,
        /// The argument at fault.
        what: &'static str,
        /// Its value.
        got: f32,
        /// Accepted values.
        expected: &'static str,
    },
    /// A buffer of scratch memory that is too small.
    #[error("{op}: the workspace has {got} bytes, expected at least {expected}")]
    Workspace {
        /// Operation that was called.
        op: &'static str,
        /// Required bytes.
        expected: usize,
        /// Bytes of the given buffer.
        got: usize,
    },
    /// The launcher refused its arguments, or CUDA failed to launch.
    #[error("{op} was not launched: {reason} (status {status})")]
    Launch {
        /// Operation that was called.
        op: &'static str,
        /// Status code of the launcher.
        status: i32,
        /// Its meaning.
        reason: String,
    },
    /// The device found values that it can't compute with.
    #[error("{op} found invalid input values")]
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

/// A problem that a kernel found in its input values; the lowest row is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// An attention value that no softmax produces.
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
    /// Queries or keys whose softmax is not a number.
    #[error("row {row}: the softmax of its queries and keys is not a number")]
    InvalidLogits {
        /// (b·H + h)·Q + q.
        row: usize,
    },
    /// A kept token outside the image or out of order.
    #[error(
        "row {row}: kept token number {position} is outside the image or not above the one before"
    )]
    BadIndex {
        /// Index in the batch.
        row: usize,
        /// Place among the kept tokens.
        position: usize,
    },
    /// A query row outside the sequence, or a position without an entry in the table of angles.
    #[error("row {row}: its position is outside the sequence, or beyond the table of angles")]
    BadPosition {
        /// Index among the rows.
        row: usize,
    },
    /// An index of a row that does not exist.
    #[error("row {row}: its index is outside {of}")]
    BadRow {
        /// Index among the requested rows.
        row: usize,
        /// Where the row was looked up: the table or the features.
        of: &'static str,
    },
    /// A slot that does not exist in a KV cache.
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
