//! What kept tokens see.

use fp_cli::api::Elements;
use fp_data::metric::MetricError;
use fp_data::metric::token_quality::{
    AttentionOverlap, Concentration, CoverageGrid, Diversity, DiversityOptions, Overlap, Spatial,
    TokenPlaces, coverage_of_all, padding_waste, row_profile,
};
use fp_image::{ImageAspect, ImageSize, TokenGrid};
use fp_scoring::KeptTokens;
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::error::to_python;
use crate::memory::Borrowed;

/// Where the image lay in what the vision tower saw: boxes `[x0, y0, x1, y1]` in pixels, width
/// and height, what happened to an image that isn't square (none: the grid lies over the whole
/// image), and the tower's input side.
type Evidence = (Vec<[f64; 4]>, [usize; 2], Option<String>, usize);

/// Mass of the nucleus whose size is told.
const NUCLEUS: f64 = 0.9;

/// JSON of the measures of kept tokens on a grid of `[columns, rows]`.
#[pyfunction]
fn token_quality(
    py: Python<'_>,
    kept: Vec<usize>,
    grid: [usize; 2],
    importance: Option<&Bound<'_, PyAny>>,
    features: Option<&Bound<'_, PyAny>>,
    evidence: Option<Evidence>,
) -> PyResult<String> {
    let importance = borrowed("importance", importance)?;
    let features = borrowed("features", features)?;
    let importance = importance.as_ref().map(Borrowed::elements);
    let features = features.as_ref().map(Borrowed::elements);
    let found = py.detach(|| -> anyhow::Result<Value> {
        let num_cells = grid[0].saturating_mul(grid[1]);
        let kept = KeptTokens::new(kept, num_cells)?;
        let importance = importance.as_ref().map(Elements::widened);
        let mut all = Map::new();
        all.insert("spatial".to_owned(), json!(Spatial::new(&kept, grid)?));
        all.insert("row_profile".to_owned(), json!(row_profile(&kept, grid)?));
        if let Some(importance) = &importance {
            all.insert("attention".to_owned(), concentration(importance)?);
        }
        if let Some(features) = &features {
            let shape = features.shape();
            let &[num_tokens, width] = shape else {
                anyhow::bail!("features are of shape {shape:?}; expected [image tokens, D]");
            };
            anyhow::ensure!(
                num_tokens == num_cells && width > 0,
                "features are of shape {shape:?}; expected one row for each of {num_cells} image tokens"
            );
            let values = features.widened();
            let rows: Vec<Vec<f64>> = values.chunks_exact(width).map(<[f64]>::to_vec).collect();
            all.insert("diversity".to_owned(), diversity(&rows, &kept)?);
        }
        if let Some(evidence) = &evidence {
            let found = overlap(evidence, &kept, grid, importance.as_deref())?;
            all.insert("evidence".to_owned(), found);
        }
        Ok(Value::Object(all))
    });
    Ok(found.map_err(to_python)?.to_string())
}

fn borrowed<'py>(name: &str, array: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Borrowed<'py>>> {
    array.map(|array| Borrowed::new(name, array)).transpose()
}

fn concentration(importance: &[f64]) -> Result<Value, MetricError> {
    let found = Concentration::new(importance)?;
    Ok(json!({
        "entropy": found.entropy,
        "normalized_entropy": found.normalized_entropy,
        "effective_number": found.effective_number,
        "inverse_simpson": found.inverse_simpson,
        "gini": found.gini,
        "kl_from_uniform": found.kl_from_uniform,
        "max": found.max,
        "share_below_uniform": found.share_below_uniform,
        "nucleus": found.num_for_mass(NUCLEUS),
    }))
}

fn diversity(rows: &[Vec<f64>], kept: &KeptTokens) -> anyhow::Result<Value> {
    let chosen: Vec<Vec<f64>> = kept.as_slice().iter().map(|&at| rows[at].clone()).collect();
    let options = DiversityOptions {
        has_all_ranks: false,
    };
    let mut found = serde_json::to_value(Diversity::new(&chosen, options)?)?;
    found["coverage"] = json!(coverage_of_all(rows, kept.as_slice())?);
    Ok(found)
}

fn overlap(
    (boxes, size, aspect, input_side): &Evidence,
    kept: &KeptTokens,
    grid: [usize; 2],
    importance: Option<&[f64]>,
) -> anyhow::Result<Value> {
    let places = match aspect {
        Some(aspect) => {
            let aspect: ImageAspect = aspect.parse()?;
            TokenPlaces::square(*size, aspect, *input_side, grid[0])?
        }
        None => {
            let [width, height] = *size;
            let grid = TokenGrid::over(ImageSize { height, width }, grid);
            TokenPlaces::of_grids(*size, &[grid])?
        }
    };
    let grid = CoverageGrid::over(boxes, &places)?;
    let attention = importance
        .map(|importance| -> Result<_, MetricError> {
            let total: f64 = importance.iter().sum();
            let shares: Vec<f64> = importance.iter().map(|value| value / total).collect();
            Ok(AttentionOverlap::new(&grid, &shares)?
                .map(|found| json!({"mass": found.mass, "pointing_hit": found.pointing_hit})))
        })
        .transpose()?
        .flatten();
    Ok(json!({
        "gold_share": grid.gold_share(),
        "padding_waste": padding_waste(&grid, kept)?,
        "overlap": Overlap::new(&grid, kept)?,
        "attention": attention,
    }))
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(token_quality, module)?)
}
