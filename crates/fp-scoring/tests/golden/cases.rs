//! The golden cases, for all tests that use them.

use std::collections::BTreeMap;

use fp_scoring::{HeadStrategy, QueryStrategy};
use safetensors::SafeTensors;

/// Input, strategy, h, R, heads, tokens, gaps of the two cuts.
pub(crate) type HeadCase = (
    String,
    HeadStrategy,
    usize,
    usize,
    Vec<usize>,
    Vec<usize>,
    f64,
    f64,
);
/// The same, with the query strategy before the head strategy.
pub(crate) type QueryCase = (
    String,
    QueryStrategy,
    HeadStrategy,
    usize,
    usize,
    Vec<usize>,
    Vec<usize>,
    f64,
    f64,
);

#[derive(serde::Deserialize)]
pub(crate) struct Cases {
    pub(crate) layouts: BTreeMap<String, (usize, usize, usize)>,
    pub(crate) head_selection: Vec<HeadCase>,
    pub(crate) query_selection: Vec<QueryCase>,
}

static ATTENTION: &[u8] = include_bytes!("attention.safetensors");

pub(crate) fn cases() -> Cases {
    serde_json::from_str(include_str!("cases.json")).unwrap()
}

/// Shape and values of an input.
pub(crate) fn tensor(name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = SafeTensors::deserialize(ATTENTION).unwrap();
    let view = file.tensor(name).unwrap();
    let (values, _) = view.data().as_chunks::<4>();
    (
        view.shape().to_vec(),
        values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
    )
}
