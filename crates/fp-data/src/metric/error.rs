//! Errors about answers, annotations and measures.

/// Errors of metrics, with what was found and what is expected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// An unknown rule.
    #[error("unknown answer rule `{name}`; expected one of: {known}")]
    UnknownRule {
        /// The name given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A rule needs more answers than a question has.
    #[error("{rule} needs {needed} answers per question, got {got}")]
    AnswerCount {
        /// The rule.
        rule: &'static str,
        /// How many it needs.
        needed: &'static str,
        /// How many there are.
        got: usize,
    },
    /// A label that the rule doesn't know.
    #[error("{what} is {got:?}, expected {expected}")]
    Label {
        /// Which label it is.
        what: &'static str,
        /// The label.
        got: String,
        /// Expected labels.
        expected: &'static str,
    },
    /// Corresponding lists of different lengths.
    #[error("{what}: {got} entries, expected {expected}")]
    LengthMismatch {
        /// The list that is too short or too long.
        what: &'static str,
        /// Length of the other list.
        expected: usize,
        /// Length of this list.
        got: usize,
    },
    /// An empty list, which can't be scored.
    #[error("{what} is empty")]
    Empty {
        /// The list.
        what: &'static str,
    },
    /// An answer without a question, or a question without an answer.
    #[error("{what} {id:?} {problem}")]
    Unpaired {
        /// Kind of item.
        what: &'static str,
        /// Its id.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A prompt from which the question can't be recovered.
    #[error("cannot recover the question from the prompt {prompt:?}: {reason}")]
    Prompt {
        /// The prompt; only its beginning if it is long.
        prompt: String,
        /// The missing part.
        reason: &'static str,
    },
    /// A number out of range.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The number's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Expected range.
        expected: &'static str,
    },
    /// A measure that is undefined for this input.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// The measure.
        what: &'static str,
        /// The reason.
        reason: &'static str,
    },
}
