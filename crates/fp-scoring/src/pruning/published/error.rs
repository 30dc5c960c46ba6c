//! Errors of published methods.

use crate::{PlanError, SelectError, did_you_mean};

/// Why a published method made no selection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// An unknown method.
    #[error(
        "unknown method `{name}`{}; expected one of: {}",
        did_you_mean(name, known.iter().copied()),
        known.join(", ")
    )]
    UnknownMethod {
        /// The given name.
        name: String,
        /// The known names.
        known: Vec<&'static str>,
    },
    /// A budget for a method that has no setting for the number of kept tokens.
    #[error("`{method}` can't be set by a budget")]
    NoBudget {
        /// The method.
        method: &'static str,
    },
    /// A budget below the fewest tokens of the method.
    #[error(
        "`{method}` can't meet a budget of {wanted:.2} image tokens on this model: the \
         minimum is {least:.2}"
    )]
    BudgetOutOfReach {
        /// The method.
        method: &'static str,
        /// Requested tokens: after its stage, or on the average over layers.
        wanted: f64,
        /// The fewest possible tokens.
        least: f64,
    },
    /// An unknown parameter.
    #[error(
        "`{method}` has no parameter `{param}`{}; {}",
        did_you_mean(param, known.iter().copied()),
        expected(known)
    )]
    UnknownParam {
        /// The method.
        method: &'static str,
        /// The given name.
        param: String,
        /// Known parameters.
        known: Vec<&'static str>,
    },
    /// A parameter that doesn't apply in this context.
    #[error("`{method}`: `{param}` is a setting of {belongs}; {}", expected(known))]
    ParamScope {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// The context that it applies to.
        belongs: &'static str,
        /// Parameters that can be set here.
        known: Vec<&'static str>,
    },
    /// A duplicate parameter.
    #[error("`{method}`: `{param}` is given twice")]
    ParamTwice {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
    },
    /// A parameter with an invalid value.
    #[error("`{method}`: `{param}` is `{found}`; expected {expected}")]
    ParamValue {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// The given value.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// A required parameter that is missing.
    #[error("`{method}` needs `{param}`: {summary}")]
    MissingParam {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// Its meaning.
        summary: &'static str,
    },
    /// A missing tensor.
    #[error("tensor `{tensor}` is missing; given: {}", listed(given))]
    MissingTensor {
        /// The tensor.
        tensor: &'static str,
        /// The given tensors.
        given: Vec<String>,
    },
    /// A tensor that is in the file twice.
    #[error("tensor `{tensor}` is given twice")]
    TensorTwice {
        /// The tensor.
        tensor: String,
    },
    /// A tensor of the wrong shape.
    #[error("tensor `{tensor}` has the shape {found:?}; expected {expected}")]
    TensorShape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The expected shape.
        expected: String,
    },
    /// A value that isn't finite.
    #[error("tensor `{tensor}` has the value {value} at index {index:?}; expected a finite number")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Its index.
        index: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// Attention that is negative.
    #[error(
        "tensor `{tensor}` has the value {value} at index {index:?}; after a softmax it is finite and not negative"
    )]
    Negative {
        /// The tensor.
        tensor: &'static str,
        /// Its index.
        index: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// A method that the model can't run.
    #[error("`{method}` can't be run in a model: {reason}")]
    NotInModel {
        /// The method.
        method: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Stages that don't fit the model.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An error of the rule.
    #[error(transparent)]
    Select(#[from] SelectError),
}

fn expected(known: &[&str]) -> String {
    if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("expected one of: {}", known.join(", "))
    }
}

fn listed(given: &[String]) -> String {
    if given.is_empty() {
        "none".to_owned()
    } else {
        let quoted: Vec<String> = given.iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    }
}
