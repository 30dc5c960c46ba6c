//! Validity of a run folder from elsewhere: every index, count and size is checked against the run
//! before it is used.

use std::path::{Component, Path};

use fp_image::{AnyRes, Tiling};
use fp_scoring::TokenLayout;

use crate::study::budget::Budget;
use crate::study::grid::Cell;
use crate::study::method::Method;
use crate::study::record::{
    AttentionRecord, CellRecord, CutRecord, DiversityRecord, RunRecord, SampleRecord,
    VisualInputRecord,
};
use crate::study::spec::{DatasetSpec, RunSpec};

/// Upper limit for any size of a model, side of an image or number of tokens.
const MOST: usize = 1 << 24;
/// Upper limit for the number of samples of a run.
const MOST_SAMPLES: usize = 1 << 40;

type Check = Result<(), String>;

fn within(what: &str, value: usize, least: usize, most: usize) -> Check {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{what} is {value}; must be {least} to {most}"))
    }
}

/// Checks that an index is below `count`.
fn below(what: &str, value: usize, count: usize) -> Check {
    if value < count {
        Ok(())
    } else {
        Err(format!("{what} is {value}; must be below {count}"))
    }
}

fn all_below(what: &str, values: &[usize], count: usize) -> Check {
    let mut values = values.iter();
    values.try_for_each(|value| below(what, *value, count))
}

fn finite(what: &str, values: impl IntoIterator<Item = f64>) -> Check {
    match values.into_iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("{what} is {value}; must be finite")),
        None => Ok(()),
    }
}

/// Refuses a `run.json` that contradicts itself or states impossible sizes.
pub(crate) fn check_spec(spec: &RunSpec) -> Check {
    spec.config.check().map_err(|error| error.to_string())?;
    let decoder = spec.model.shape.decoder;
    for (name, size) in [
        ("num_layers", decoder.num_layers),
        ("hidden_size", decoder.hidden_size),
        ("intermediate_size", decoder.intermediate_size),
        ("num_heads", decoder.num_heads),
        ("num_kv_heads", decoder.num_kv_heads),
        ("head_dim", decoder.head_dim),
        (
            "num_image_tokens",
            spec.model.shape.num_image_tokens.unwrap_or(1),
        ),
        ("image_side", spec.model.image_side),
        ("patches_per_side", spec.model.patches_per_side),
    ] {
        within(&format!("model: {name}"), size, 1, MOST)?;
    }
    within("model: bytes_per_value", spec.model.bytes_per_value, 1, 16)?;
    if let Some(shard) = spec.shard {
        within("shard: count", shard.count, 1, MOST)?;
        within("shard: index", shard.index, 1, shard.count)?;
    }
    if spec.datasets.len() != spec.config.datasets.len() {
        return Err(format!(
            "it has {} datasets, its configuration names {}",
            spec.datasets.len(),
            spec.config.datasets.len()
        ));
    }
    check_samples(&spec.datasets, spec.num_samples)?;
    let of_datasets = spec.datasets.iter().flat_map(|dataset| {
        let families = dataset.families.iter();
        [&dataset.name, &dataset.split].into_iter().chain(families)
    });
    let budgets = spec.grid.budgets.iter().map(|budget| &budget.label);
    let cells = spec.grid.cells.iter().map(|cell| &cell.id);
    of_datasets
        .chain(budgets)
        .chain(cells)
        .chain([&spec.model.dtype, &spec.config.model])
        .try_for_each(|name| check_name(name))?;
    let budgets = spec.grid.budgets.iter().enumerate();
    for (index, budget) in budgets {
        check_budget(spec, budget).map_err(|reason| format!("budgets[{index}]: {reason}"))?;
    }
    let cells = spec.grid.cells.iter().enumerate();
    for (index, cell) in cells {
        check_cell(spec, cell).map_err(|reason| format!("cells[{index}]: {reason}"))?;
    }
    Ok(())
}

/// A name must be a single line without control characters.
fn check_name(name: &str) -> Check {
    if name.chars().any(char::is_control) {
        return Err(format!("the name {name:?} holds control characters"));
    }
    Ok(())
}

/// Datasets must be consecutive and cover all samples.
fn check_samples(datasets: &[DatasetSpec], num_samples: usize) -> Check {
    let mut next = 0_usize;
    for (index, dataset) in datasets.iter().enumerate() {
        let named = |what: &str| format!("datasets[{index}]: {what}");
        within(&named("num_samples"), dataset.num_samples, 0, MOST_SAMPLES)?;
        if dataset.first_index != next {
            let what = named("first_index");
            return Err(format!("{what} is {}; must be {next}", dataset.first_index));
        }
        if let Some(subset) = &dataset.subset {
            within(&named("of"), subset.of, dataset.num_samples, MOST_SAMPLES)?;
        }
        next = next.saturating_add(dataset.num_samples);
    }
    if next != num_samples {
        return Err(format!(
            "num_samples is {num_samples}, its datasets have {next}"
        ));
    }
    Ok(())
}

fn check_budget(spec: &RunSpec, budget: &Budget) -> Check {
    let tokens = spec.model.shape.num_image_tokens.unwrap_or(MOST);
    within("kept", budget.kept.unwrap_or(0), 0, tokens)?;
    finite("average_visual_tokens", budget.average_visual_tokens)?;
    let layers = spec.model.shape.decoder.num_layers;
    within("prune_layer", budget.prune_layer.unwrap_or(0), 0, layers)
}

fn check_cell(spec: &RunSpec, cell: &Cell) -> Check {
    if let Some(budget) = cell.budget {
        below("budget", budget, spec.grid.budgets.len())?;
    } else if cell.method.num_selected_heads().is_some() {
        return Err("it has no budget; a cell of strategies has one".to_owned());
    }
    let decoder = spec.model.shape.decoder;
    let layer = cell.prune_layer.unwrap_or(0);
    within("prune_layer", layer, 0, decoder.num_layers)?;
    match &cell.method {
        Method::Strategy {
            num_selected_heads, ..
        }
        | Method::Static {
            num_selected_heads, ..
        } => within(
            "num_selected_heads",
            *num_selected_heads,
            1,
            decoder.num_heads,
        ),
        Method::Named { .. } => Ok(()),
    }
}

/// Refuses a record that contradicts itself or the run.
pub(crate) fn check_record(spec: &RunSpec, record: &SampleRecord) -> Check {
    below("index", record.index, spec.num_samples)?;
    let Some(dataset) = spec.datasets.get(record.dataset) else {
        let known = spec.datasets.len();
        return Err(format!(
            "its dataset is {}, but the run has {known} datasets",
            record.dataset
        ));
    };
    let end = dataset.first_index.saturating_add(dataset.num_samples);
    if !(dataset.first_index..end).contains(&record.index) {
        return Err(format!(
            "sample {} is not in dataset {}",
            record.index, record.dataset
        ));
    }
    if !is_inside(&record.image) {
        return Err(format!(
            "image {:?} is not a path inside the dataset's folder",
            record.image
        ));
    }
    check_text_only(record)?;
    for side in record.image_size.into_iter().flatten() {
        within("image_size", side, 1, MOST)?;
    }
    finite("boxes", record.boxes.iter().flatten().copied())?;
    let layout = record.layout.unwrap_or(TokenLayout {
        num_system: 0,
        num_image: 0,
        num_text: 0,
    });
    for (name, count) in [
        ("num_system", layout.num_system),
        ("num_image", layout.num_image),
        ("num_text", layout.num_text),
    ] {
        within(&format!("layout: {name}"), count, 0, MOST)?;
    }
    if let (Some(expected), Some(layout)) = (spec.model.shape.num_image_tokens, record.layout)
        && layout.num_image != expected
    {
        return Err(format!(
            "layout: num_image is {}, the model has {expected} image tokens",
            layout.num_image
        ));
    }
    check_grids(record, layout.num_image)?;
    let num_heads = spec.model.shape.decoder.num_heads;
    let sequence = layout.num_system + layout.num_image + layout.num_text;
    for query_rows in &record.looks {
        all_below("looks: a row", &query_rows.rows, sequence)?;
        finite("looks: a weight", query_rows.weights.iter().copied())?;
        all_below("looks: a head", &query_rows.zero_mass_heads, num_heads)?;
    }
    for attention in &record.attentions {
        check_attention(attention, layout.num_image)?;
    }
    for run in &record.runs {
        check_run(spec, run, layout.num_image)?;
    }
    for cell in &record.cells {
        check_cell_record(record, cell, num_heads)?;
    }
    if record.error.is_none() && record.cells.len() != spec.grid.cells.len() {
        let (found, expected) = (record.cells.len(), spec.grid.cells.len());
        return Err(format!("it has {found} cells, the run has {expected}"));
    }
    Ok(())
}

/// Grids must hold all image tokens, and the image must have been read.
fn check_grids(record: &SampleRecord, num_image: usize) -> Check {
    if record.grids.is_empty() {
        return Ok(());
    }
    for grid in &record.grids {
        within("grids: columns", grid.columns, 1, MOST)?;
        within("grids: rows", grid.rows, 1, MOST)?;
        finite("grids: area", grid.area)?;
        let [x0, y0, x1, y1] = grid.area;
        if x1 <= x0 || y1 <= y0 {
            return Err(format!("grids: area {:?} is empty", grid.area));
        }
    }
    let tokens = record.grids.iter().map(|grid| grid.num_tokens());
    let tokens = tokens.fold(0_usize, usize::saturating_add);
    if tokens != num_image || record.image_size.is_none() {
        return Err(format!(
            "grids of {tokens} tokens; the layout has {num_image} image tokens"
        ));
    }
    Ok(())
}

/// A text-only question must have no image and a single answer.
fn check_text_only(record: &SampleRecord) -> Check {
    if !record.text_only {
        return Ok(());
    }
    let sees_image = |run: &RunRecord| run.seen != VisualInputRecord::NoImage;
    if !record.image.is_empty() || record.runs.iter().any(sees_image) || record.runs.len() > 1 {
        return Err("it is text-only, but has an image or several runs".to_owned());
    }
    Ok(())
}

/// Whether an image's name stays inside the folder. The name of an image inside another file is
/// that file's path, followed by `#` and a place.
fn is_inside(image: &str) -> bool {
    let mut parts = Path::new(image).components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn check_attention(attention: &AttentionRecord, num_image: usize) -> Check {
    let values = [attention.entropy, attention.gini, attention.max];
    let values = values.into_iter().chain(attention.box_mass);
    let values = values.chain(attention.box_ratio);
    finite("attentions: a value", values.map(f64::from))?;
    within("attentions: nucleus", attention.nucleus, 0, num_image)
}

fn check_run(spec: &RunSpec, run: &RunRecord, num_image: usize) -> Check {
    if !(0.0..=1.0).contains(&run.score) {
        return Err(format!("a score is {}; must be 0 to 1", run.score));
    }
    finite("min_margin", run.min_margin.map(f64::from))?;
    let layers = spec.model.shape.decoder.num_layers;
    within("after_layer", run.after_layer.unwrap_or(0), 0, layers)?;
    if let Some(diversity) = &run.diversity {
        check_diversity(diversity)?;
    }
    match &run.seen {
        VisualInputRecord::All | VisualInputRecord::NoImage => Ok(()),
        VisualInputRecord::Kept(kept) => {
            if !kept.is_sorted_by(|a, b| a < b) {
                return Err("kept tokens are not ascending".to_owned());
            }
            all_below("a kept token", kept, num_image)
        }
        VisualInputRecord::Stages(seen) => {
            for stage in &seen.stages {
                // At the vision tower, the class token is one more.
                all_below("a kept token", &stage.kept, num_image.saturating_add(1))?;
                let parts = stage.merge.iter().flatten().flatten();
                for (token, weight) in parts {
                    // One row per crop, if there are several.
                    let class_rows = match spec.config.anyres {
                        Some(AnyRes::Fixed2880) => Tiling::FIXED_SQUARES,
                        Some(AnyRes::Unpad) | None => 1,
                    };
                    below(
                        "a merged token",
                        *token,
                        num_image.saturating_add(class_rows),
                    )?;
                    finite("a merged token's weight", [*weight])?;
                }
            }
            Ok(())
        }
    }
}

fn check_diversity(diversity: &DiversityRecord) -> Check {
    let values = [
        Some(diversity.mean_cosine_distance),
        Some(diversity.min_cosine_distance),
        Some(diversity.redundancy),
        Some(diversity.coverage),
        diversity.effective_rank,
        diversity.vendi,
        diversity.log_det_plus_identity,
    ];
    let values = values.into_iter().flatten().map(f64::from);
    finite("diversity: a value", values)
}

fn check_cell_record(record: &SampleRecord, cell: &CellRecord, num_heads: usize) -> Check {
    if let Some(run) = cell.run {
        below("a cell's run", run, record.runs.len())?;
    }
    if let Some(attention) = cell.attention {
        below("a cell's attention", attention, record.attentions.len())?;
    }
    all_below("a selected head", &cell.heads, num_heads)?;
    all_below("a head that isn't a number", &cell.nan_heads, num_heads)?;
    let cuts = [cell.head_cut, cell.coarse_head_cut, cell.token_cut];
    for CutRecord {
        gap,
        num_tied,
        num_tied_kept,
    } in cuts.into_iter().flatten()
    {
        finite("a gap", [gap])?;
        within("num_tied", num_tied, 0, MOST)?;
        within("num_tied_kept", num_tied_kept, 0, num_tied)?;
    }
    Ok(())
}
