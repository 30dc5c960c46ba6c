//! Errors in attention, or in the requested selection.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use fp_kernels::KernelError;

use crate::{BudgetError, UnknownName};

/// An error of another library, or a text.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why no selection was made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// An attention value that no softmax produces.
    #[error(
        "attention of {}head {head}{} to image token {token} is {value}; after a softmax it is finite and not negative",
        place("layer", *layer), row.map_or(String::new(), |row| format!(" from row {row}"))
    )]
    InvalidAttention {
        /// Layer K, counted from 1, if known.
        layer: Option<usize>,
        /// Head, counted from 0.
        head: usize,
        /// Row in the sequence, if known.
        row: Option<usize>,
        /// Image token, counted from 0.
        token: usize,
        /// The value found.
        value: f64,
    },
    /// Every head's attention to the image is zero.
    #[error(
        "no attention from the chosen rows to the image{}: every head has zero mass, so it carries no signal; allow degenerate selections to keep the first tokens",
        if rows.is_empty() { String::new() } else { format!(" (rows {rows:?})") }
    )]
    NoAttention {
        /// The rows, if known.
        rows: Vec<usize>,
    },
    /// No row to read.
    #[error("no query row to read: the sequence has neither a token before nor after the image")]
    NoQueryRows,
    /// A row that a strategy reads was not given.
    #[error("row {row} is needed, but attention was given only for rows {given:?}")]
    MissingRow {
        /// The missing row.
        row: usize,
        /// The given rows.
        given: Vec<usize>,
    },
    /// Rows that are not ascending or lie outside the sequence.
    #[error("attention rows must be ascending and below {sequence_len}, got {rows:?}")]
    InvalidRows {
        /// The rows as given.
        rows: Vec<usize>,
        /// S.
        sequence_len: usize,
    },
    /// An image range that is empty or outside the sequence.
    #[error(
        "image range {start}..{end} is {} the sequence of {sequence_len} tokens; it is half-open, so 35..611 holds 576 tokens",
        if start < end { "outside" } else { "empty, as its start isn't below its end, in" }
    )]
    ImageRange {
        /// First image token.
        start: usize,
        /// One past the last image token.
        end: usize,
        /// S.
        sequence_len: usize,
    },
    /// A strategy that compares heads was given too few.
    #[error("`{strategy}` compares heads and needs at least {needed}, got {got}")]
    TooFewHeads {
        /// The strategy.
        strategy: &'static str,
        /// Number of heads that it needs.
        needed: usize,
        /// Number of heads given.
        got: usize,
    },
    /// Kept tokens that are not ascending, repeat, or lie outside the image.
    #[error("kept tokens must be ascending, unique and below {num_image_tokens}; {token} is not")]
    InvalidKeptTokens {
        /// The first invalid token.
        token: usize,
        /// N.
        num_image_tokens: usize,
    },
    /// A covered area that is negative or not finite.
    #[error("covered area of image token {token} is {value}; an area is finite and not negative")]
    InvalidArea {
        /// Image token, counted from 0.
        token: usize,
        /// The value found.
        value: f64,
    },
    /// Two values that should cover the same tokens differ in length.
    #[error("{what} has {got} entries, expected {expected}")]
    LengthMismatch {
        /// The value with the wrong length.
        what: &'static str,
        /// Expected length.
        expected: usize,
        /// Actual length.
        got: usize,
    },
    /// One sample of a batch can't be scored.
    #[error("sample {sample} can't be scored")]
    Sample {
        /// Index in the batch.
        sample: usize,
        /// Its error.
        source: Box<ScoringError>,
    },
    /// A budget or head count that can't be met.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// An unknown name.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// Scoring on a GPU failed.
    #[error("scoring on the GPU failed")]
    Gpu {
        /// The operation and the error that it found.
        source: SharedError,
    },
    /// A buffer that does not fill its shape.
    #[error(transparent)]
    Kernel(KernelError),
}

/// An error whose type is known only at its origin, shared so that the error that wraps it can be
/// cloned. Errors with equal texts compare equal.
#[derive(Clone)]
pub struct SharedError(Arc<dyn Error + Send + Sync>);

impl SharedError {
    /// Wraps `error`, which may be a text or any error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> SharedError {
        SharedError(Arc::from(error.into()))
    }
}

impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for SharedError {
    fn eq(&self, other: &SharedError) -> bool {
        self.to_string() == other.to_string()
    }
}

fn place(name: &str, index: Option<usize>) -> String {
    index.map_or(String::new(), |index| format!("{name} {index}, "))
}

impl From<KernelError> for ScoringError {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::InvalidAttention {
                row,
                position,
                value,
            } => ScoringError::InvalidAttention {
                layer: None,
                head: row,
                row: None,
                token: position,
                value,
            },
            other => ScoringError::Kernel(other),
        }
    }
}

impl ScoringError {
    /// Adds the layer that the attention came from.
    #[must_use]
    pub(crate) fn in_layer(self, layer: Option<usize>) -> Self {
        match self {
            ScoringError::InvalidAttention {
                head,
                row,
                token,
                value,
                ..
            } => ScoringError::InvalidAttention {
                layer,
                head,
                row,
                token,
                value,
            },
            other => other,
        }
    }

    /// Adds the rows that were read.
    #[must_use]
    pub(crate) fn naming_rows(self, rows: &[usize]) -> Self {
        match self {
            ScoringError::NoAttention { .. } => ScoringError::NoAttention {
                rows: rows.to_vec(),
            },
            other => other,
        }
    }
}
