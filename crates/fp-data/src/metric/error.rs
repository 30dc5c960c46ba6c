//! What can be wrong with answers, annotations and measures.

/// Every failure of a metric, with what was found and what would be right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A rule that no one knows.
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
    /// A label outside those that the rule knows.
    #[error("{what} is {got:?}, expected {expected}")]
    Label {
        /// What the label says.
        what: &'static str,
        /// The label.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Lists that belong together have different lengths.
    #[error("{what}: {got} entries, expected {expected}")]
    LengthMismatch {
        /// The list that is too short or too long.
        what: &'static str,
        /// Length of the list before it.
        expected: usize,
        /// Its own length.
        got: usize,
    },
    /// Nothing to score.
    #[error("{what} is empty")]
    Empty {
        /// The list.
        what: &'static str,
    },
    /// An answer without its question, or the other way round.
    #[error("{what} {id:?} {problem}")]
    Unpaired {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A prompt from which the question can't be recovered.
    #[error("cannot recover the question from the prompt {prompt:?}: {reason}")]
    Prompt {
        /// The prompt, its beginning if it is long.
        prompt: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A number outside the range in which it means something.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The number's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A matrix without the property that a measure needs.
    #[error("{what} has no value: {reason}")]
    Undefined {
        /// The measure.
        what: &'static str,
        /// Why.
        reason: &'static str,
    },
}
