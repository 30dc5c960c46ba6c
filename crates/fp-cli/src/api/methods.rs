//! Published methods on tensors in memory.

use anyhow::{Result, ensure};
use fp_scoring::{MethodInputs, MethodParams, ParamScope, published_method};
use serde_json::Value;

use crate::commands::select::report;

/// A tensor that a method reads.
pub struct NamedTensor {
    /// Name in the method's card.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f64>,
}

/// Result of a method.
pub struct Choice {
    /// What `finepruner select --json` prints.
    pub report: Value,
    /// The rows that the method outputs, `[n, D]`, and D; `None` where tokens are kept unchanged.
    pub rows: Option<(Vec<f64>, usize)>,
}

/// Runs a published method on `tensors`; settings are written as on the command line.
///
/// # Errors
/// An unknown method, setting or tensor, or one that doesn't fit.
pub fn choose(
    method: &str,
    tensors: Vec<NamedTensor>,
    settings: &[(String, String)],
) -> Result<Choice> {
    let method = published_method(method)?;
    let card = method.card();
    let params = MethodParams::parse(card, ParamScope::Selection, settings)?;
    let mut inputs = MethodInputs::default();
    for tensor in tensors {
        ensure!(
            card.inputs.iter().any(|input| input.name == tensor.name),
            "`{}` reads no tensor `{}`; it reads {}",
            card.name,
            tensor.name,
            card.inputs
                .iter()
                .map(|input| format!("`{}` {}", input.name, input.shape))
                .collect::<Vec<_>>()
                .join(", ")
        );
        inputs.insert(&tensor.name, tensor.shape, tensor.values)?;
    }
    let choice = method.choose(&inputs, &params)?;
    let rows = choice.rows.as_ref();
    Ok(Choice {
        report: Value::Object(report(&choice, &params)),
        rows: rows.map(|rows| (rows.values().to_vec(), rows.num_columns())),
    })
}
