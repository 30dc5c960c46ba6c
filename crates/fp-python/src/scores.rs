//! Scoring, published methods, equivalence.

use fp_cli::api::{self, NamedTensor};
use fp_scoring::{EquivalenceMatrix, KeptTokens, Selection};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::error::to_python;
use crate::memory::Borrowed;

/// What strategies chose on one array; values become Python's when they are asked for.
#[pyclass(module = "finepruner._native", frozen)]
struct NativeScores {
    scores: api::Scores,
}

impl NativeScores {
    fn selection(&self, index: usize) -> PyResult<&Selection> {
        let found = self.scores.selection(index);
        found.ok_or_else(|| PyIndexError::new_err("there are fewer selections"))
    }
}

#[pymethods]
impl NativeScores {
    fn __len__(&self) -> usize {
        self.scores.len()
    }

    /// What should be known of the result.
    fn notes(&self) -> Vec<String> {
        self.scores.notes().map(str::to_owned).collect()
    }

    /// Head strategy, query strategy and sample of a selection.
    fn names(&self, index: usize) -> PyResult<(&'static str, Option<&'static str>, Option<usize>)> {
        let selection = self.selection(index)?;
        let query = selection.audit.query.as_ref();
        Ok((
            selection.head_strategy.name(),
            query.map(|query| query.strategy.name()),
            self.scores.sample(index),
        ))
    }

    /// Its record as JSON.
    fn record(&self, index: usize) -> PyResult<&str> {
        self.selection(index)?;
        Ok(&self.scores.records().map_err(to_python)?[index])
    }

    /// Head scores and token importance as f64, selected heads and kept tokens as i64, each as
    /// bytes of this machine.
    fn head_scores<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(numbers(py, &self.selection(index)?.head_scores))
    }

    fn selected_heads<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(indices(py, &self.selection(index)?.selected_heads))
    }

    fn token_importance<'py>(
        &self,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(numbers(py, &self.selection(index)?.token_importance))
    }

    fn kept_tokens<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        let kept = &self.selection(index)?.kept_tokens;
        Ok(indices(py, kept.as_slice()))
    }
}

/// What strategies choose on attention in memory.
#[pyfunction]
fn score(
    py: Python<'_>,
    attention: &Bound<'_, PyAny>,
    flags: Vec<String>,
) -> PyResult<NativeScores> {
    let array = Borrowed::new("attention", attention)?;
    let elements = array.elements();
    let found = py.detach(|| api::score(elements, &flags));
    let scores = found.map_err(to_python)?;
    Ok(NativeScores { scores })
}

/// Every position that query strategies read.
#[pyfunction]
fn query_rows(
    queries: Vec<String>,
    image_range: (usize, usize),
    sequence_len: usize,
) -> PyResult<Vec<usize>> {
    let (start, end) = image_range;
    api::query_rows(&queries, start..end, sequence_len).map_err(to_python)
}

/// Address of the first element that is read of an array.
#[pyfunction]
fn address(array: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(Borrowed::new("array", array)?.address())
}

/// A method's choice as JSON, and its rows as f64 bytes where it makes some.
#[pyfunction]
fn select<'py>(
    py: Python<'py>,
    method: String,
    inputs: Vec<(String, Bound<'py, PyAny>)>,
    settings: Vec<(String, String)>,
) -> PyResult<(String, Option<Bound<'py, PyBytes>>)> {
    let mut arrays = Vec::with_capacity(inputs.len());
    for (name, array) in inputs {
        let array = Borrowed::new(&name, &array)?;
        arrays.push((name, array));
    }
    let views: Vec<_> = arrays
        .iter()
        .map(|(name, array)| (name, array.elements()))
        .collect();
    let chosen = py.detach(|| {
        let tensors = views.iter().map(|(name, elements)| NamedTensor {
            name: (*name).clone(),
            shape: elements.shape().to_vec(),
            values: elements.widened(),
        });
        api::choose(&method, tensors.collect(), &settings)
    });
    let choice = chosen.map_err(to_python)?;
    let rows = choice.rows.map(|(rows, _)| numbers(py, &rows));
    Ok((choice.report.to_string(), rows))
}

/// The agreement of selections: of each sample what each label kept. JSON.
#[pyfunction]
fn equivalence(labels: Vec<String>, samples: Vec<Vec<Vec<usize>>>) -> PyResult<String> {
    let mut matrix = EquivalenceMatrix::new(labels);
    for sample in samples {
        let kept: Vec<KeptTokens> = sample
            .into_iter()
            .map(|tokens| {
                let bound = tokens.iter().max().map_or(0, |last| last.saturating_add(1));
                KeptTokens::new(tokens, bound)
            })
            .collect::<Result<_, _>>()
            .map_err(to_python)?;
        let kept: Vec<&KeptTokens> = kept.iter().collect();
        matrix.add_sample(&kept).map_err(to_python)?;
    }
    let num_labels = matrix.labels().len();
    let table = |part: fn(fp_scoring::Equivalence) -> f64| -> Vec<Vec<Option<f64>>> {
        let row = |i| {
            (0..num_labels)
                .map(|j| matrix.get(i, j).map(part))
                .collect()
        };
        (0..num_labels).map(row).collect()
    };
    Ok(json!({
        "labels": matrix.labels(),
        "num_samples": matrix.num_samples(),
        "mean_jaccard": table(|cell| cell.mean_jaccard),
        "identical_share": table(|cell| cell.identical_share),
    })
    .to_string())
}

fn numbers<'py>(py: Python<'py>, values: &[f64]) -> Bound<'py, PyBytes> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect();
    PyBytes::new(py, &bytes)
}

fn indices<'py>(py: Python<'py>, values: &[usize]) -> Bound<'py, PyBytes> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|&value| (value as i64).to_ne_bytes())
        .collect();
    PyBytes::new(py, &bytes)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NativeScores>()?;
    module.add_function(wrap_pyfunction!(score, module)?)?;
    module.add_function(wrap_pyfunction!(query_rows, module)?)?;
    module.add_function(wrap_pyfunction!(address, module)?)?;
    module.add_function(wrap_pyfunction!(select, module)?)?;
    module.add_function(wrap_pyfunction!(equivalence, module)?)
}
