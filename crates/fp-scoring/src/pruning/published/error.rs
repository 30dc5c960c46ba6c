//! What keeps a published method from choosing.

use crate::{PlanError, SelectError, did_you_mean};

/// Why a published method chose nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// No published method has the name.
    #[error(
        "unknown method `{name}`{}; expected one of: {}",
        did_you_mean(name, known.iter().copied()),
        known.join(", ")
    )]
    UnknownMethod {
        /// The name as given.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The method has no setting for the number of tokens kept.
    #[error("`{method}` has no setting for a budget")]
    NoBudget {
        /// The method.
        method: &'static str,
    },
    /// A budget below what the method's layers leave.
    #[error(
        "`{method}` can't meet a budget of {wanted:.2} image tokens on this model: it has at \
         least {least:.2}"
    )]
    BudgetOutOfReach {
        /// The method.
        method: &'static str,
        /// Tokens wanted: after its stage, or on the average over layers.
        wanted: f64,
        /// The fewest that there can be.
        least: f64,
    },
    /// The method has no such parameter.
    #[error(
        "`{method}` has no parameter `{param}`{}; {}",
        did_you_mean(param, known.iter().copied()),
        expected(known)
    )]
    UnknownParam {
        /// The method.
        method: &'static str,
        /// The parameter as given.
        param: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A parameter that is of account elsewhere.
    #[error("`{method}`: `{param}` is a setting of {belongs}; {}", expected(known))]
    ParamScope {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// What it is a setting of.
        belongs: &'static str,
        /// Those that can be set.
        known: Vec<&'static str>,
    },
    /// A parameter that comes twice.
    #[error("`{method}`: `{param}` is given twice")]
    ParamTwice {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
    },
    /// A parameter that isn't what it may be.
    #[error("`{method}`: `{param}` is `{found}`; expected {expected}")]
    ParamValue {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// As given.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A parameter that has to be given.
    #[error("`{method}` needs `{param}`: {summary}")]
    MissingParam {
        /// The method.
        method: &'static str,
        /// The parameter.
        param: &'static str,
        /// What it is.
        summary: &'static str,
    },
    /// A tensor that isn't there.
    #[error("tensor `{tensor}` is missing; there are {}", listed(given))]
    MissingTensor {
        /// The tensor.
        tensor: &'static str,
        /// Those that there are.
        given: Vec<String>,
    },
    /// A tensor that is in the file twice.
    #[error("tensor `{tensor}` comes twice")]
    TensorTwice {
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape.
    #[error("tensor `{tensor}` has the shape {found:?}; expected {expected}")]
    TensorShape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// What would be right.
        expected: String,
    },
    /// A value that no rule can compare.
    #[error("tensor `{tensor}` has the value {value} at index {index:?}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Where.
        index: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// A model can't run the method.
    #[error("`{method}` can't be run in a model: {reason}")]
    NotInModel {
        /// The method.
        method: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The stages don't fit the model.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The rule can't be followed.
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
