//! Measured figures beside published ones for the same method, budget and benchmark.

use fp_data::dataset::Benchmark;
use fp_data::rescore::benchmark_of;
use fp_eval::study::{Cell, CountedCost, Method, ModelShape};
use fp_scoring::TokenBudget;
use serde::Serialize;

use super::{
    Origin, PublishedColumn, PublishedError, PublishedModel, PublishedRow, published_rows,
};
use crate::analysis::{BY_DATASET, CellIndex, CellSummary, DatasetFigures};
use crate::run::Run;

/// Largest distance of a layer average from the nominal number of tokens of a budget: rounding to
/// whole tokens changes it by less, and the next budget is farther away.
const NEAR: f64 = 1.5;

/// Published figures beside measured ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedComparison {
    /// The model of both; `None` where no published row is for the run's model.
    pub model: Option<&'static str>,
    /// Measured figures that have published ones beside them.
    pub figures: Vec<BesidePublished>,
    /// Why there are none, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_none: Option<String>,
}

/// A measured figure with its published counterparts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BesidePublished {
    /// The dataset, as named in strata.
    pub dataset: String,
    /// The figure.
    pub column: PublishedColumn,
    /// The cell's id.
    pub cell: String,
    /// B of the cell: the mean number of visual tokens that enter a layer.
    pub average_visual_tokens: f64,
    /// Number of questions that the figure covers.
    pub n: usize,
    /// Whether the run asked only some of the dataset's questions.
    pub is_of_part: bool,
    /// The measured value.
    pub measured: f64,
    /// The published values, each with its source.
    pub published: Vec<PublishedFigure>,
}

/// A published figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedFigure {
    /// Its value.
    pub value: f64,
    /// The budget's nominal number of tokens in the row.
    pub visual_tokens: usize,
    /// Who measured it.
    pub origin: Origin,
    /// Paper and table.
    pub source: String,
    /// The schedule, if it is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// A remark for readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The data that are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BesideGrounds<'a> {
    pub(crate) run: &'a Run,
    pub(crate) cell_index: &'a CellIndex,
    pub(crate) cells: &'a [CellSummary],
    pub(crate) figures: &'a [DatasetFigures],
    pub(crate) costs: &'a [CountedCost],
}

/// Published rows beside a run's figures. `None` where there are none and the run is not about
/// published methods.
pub(crate) fn beside(
    grounds: &BesideGrounds<'_>,
) -> Result<Option<PublishedComparison>, PublishedError> {
    let rows = published_rows()?;
    let run = grounds.run;
    let is_published = |cell: &Cell| {
        let mut rows = rows.iter();
        !is_control(cell) && rows.any(|row| is_of(row, cell))
    };
    let columns: Vec<(usize, PublishedColumn)> = run
        .spec
        .datasets
        .iter()
        .enumerate()
        .flat_map(|(at, dataset)| {
            let benchmark = benchmark_of(&dataset.name, dataset.answer_rule);
            let columns = benchmark.map_or(&[][..], columns_of);
            columns.iter().map(move |column| (at, *column))
        })
        .collect();
    let is_about_methods =
        grounds.cell_index.compares_methods() || run.spec.grid.cells.iter().any(is_published);
    if columns.is_empty() && !is_about_methods {
        return Ok(None);
    }
    let none = |model, why: String| {
        Ok(is_about_methods.then(|| PublishedComparison {
            model,
            figures: Vec::new(),
            why_none: Some(why),
        }))
    };
    let shape = &run.spec.model.shape;
    let Some(model) = model_of(shape) else {
        return none(None, other_shape(shape));
    };
    let rows: Vec<&PublishedRow> = rows.iter().filter(|row| row.model == model).collect();
    if rows.is_empty() {
        return none(
            None,
            format!("No published row of {} is known.", model.title()),
        );
    }
    let names = run.dataset_names();
    let mut figures = Vec::new();
    for (dataset, column) in columns {
        for index in 0..run.spec.grid.cells.len() {
            figures.extend(figure(
                grounds,
                &rows,
                (dataset, &names[dataset]),
                column,
                index,
            ));
        }
    }
    if figures.is_empty() {
        let why = "No published row is of a method, a benchmark and a budget of this run.";
        return none(Some(model.title()), why.to_owned());
    }
    Ok(Some(PublishedComparison {
        model: Some(model.title()),
        figures,
        why_none: None,
    }))
}

/// The published model with the given shape, as far as decoder and image tokens show it.
fn model_of(shape: &ModelShape) -> Option<PublishedModel> {
    let is_square = shape.num_image_tokens == Some(PublishedModel::NUM_IMAGE_TOKENS);
    let mut models = PublishedModel::ALL.into_iter().filter(|_| is_square);
    models.find(|model| model.shape() == shape.decoder)
}

fn other_shape(shape: &ModelShape) -> String {
    let published = PublishedModel::Llava7b;
    let (known, own) = (published.shape(), &shape.decoder);
    let tokens = shape.num_image_tokens;
    format!(
        "No published figure is comparable: published rows are of {} ({} layers of width {}, {} image tokens), this model has {} layers of width {} and {} image tokens.",
        published.title(),
        known.num_layers,
        known.hidden_size,
        PublishedModel::NUM_IMAGE_TOKENS,
        own.num_layers,
        own.hidden_size,
        tokens.map_or("a varying number of".to_owned(), |n| n.to_string()),
    )
}

/// The figures that papers print of a benchmark.
fn columns_of(benchmark: Benchmark) -> &'static [PublishedColumn] {
    use PublishedColumn::{Gqa, Mmbench, Mme, MmePerception, Pope, Scienceqa, Textvqa, Vqav2};
    match benchmark {
        Benchmark::Gqa => &[Gqa],
        Benchmark::Mmbench => &[Mmbench],
        Benchmark::Mme => &[Mme, MmePerception],
        Benchmark::Pope => &[Pope],
        Benchmark::Scienceqa => &[Scienceqa],
        Benchmark::Vqav2 => &[Vqav2],
        Benchmark::Textvqa => &[Textvqa],
        _ => &[],
    }
}

fn is_control(cell: &Cell) -> bool {
    ["vanilla", "no_image", "all_heads"]
        .iter()
        .any(|name| cell.method.is(name))
}

/// Whether a row is about a cell's method.
fn is_of(row: &PublishedRow, cell: &Cell) -> bool {
    let name = match &cell.method {
        Method::Named { name, .. } if name == "all_heads" => "fastv".to_owned(),
        Method::Named { name, .. } => name.clone(),
        method => {
            let heads = method.num_selected_heads().unwrap_or_default();
            format!("{}/h{heads}", method.label())
        }
    };
    // A method name with settings, such as `sparsevlm:192`, is that method.
    let rest = name.strip_prefix(row.method.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-', '@']))
}

/// Whether a row's budget is a cell's: by the tokens that enter or leave a layer, as its authors
/// count them, or because the study sets that average.
fn is_at(row: &PublishedRow, cost: &CountedCost, setting: Option<TokenBudget>) -> bool {
    let named = row.visual_tokens as f64;
    let averages = [cost.average_visual_tokens, cost.average_by_output];
    let is_asked = matches!(
        setting,
        Some(TokenBudget::AverageVisualTokens(average)) if (average - named).abs() < 0.5
    );
    is_asked
        || averages
            .iter()
            .any(|average| (average - named).abs() <= NEAR)
}

fn figure(
    grounds: &BesideGrounds<'_>,
    rows: &[&PublishedRow],
    (dataset, name): (usize, &str),
    column: PublishedColumn,
    index: usize,
) -> Option<BesidePublished> {
    let run = grounds.run;
    let (cell, cost) = (&run.spec.grid.cells[index], &grounds.costs[index]);
    let budget = cell
        .budget
        .map(|budget| run.spec.grid.budgets[budget].setting);
    let (measured, n) = measured(grounds, name, column, index)?;
    let found = rows
        .iter()
        .filter(|row| is_of(row, cell) && is_at(row, cost, budget));
    let published: Vec<PublishedFigure> = found
        .filter_map(|row| {
            Some(PublishedFigure {
                value: *row.scores.get(&column)?,
                visual_tokens: row.visual_tokens,
                origin: row.origin,
                source: row.source.clone(),
                schedule: row.schedule.as_ref().map(ToString::to_string),
                note: row.note.clone(),
            })
        })
        .collect();
    (!published.is_empty()).then(|| BesidePublished {
        dataset: name.to_owned(),
        column,
        cell: cell.id.clone(),
        average_visual_tokens: cost.average_visual_tokens,
        n,
        is_of_part: run.spec.datasets[dataset].subset.is_some() || !run.is_complete(),
        measured,
        published,
    })
}

/// A cell's result on a dataset, in the column's unit, and the number of questions.
fn measured(
    grounds: &BesideGrounds<'_>,
    dataset: &str,
    column: PublishedColumn,
    index: usize,
) -> Option<(f64, usize)> {
    let own = |wanted: &dyn Fn(&str) -> bool| {
        let mut all = grounds.figures.iter();
        let of_cell = all
            .find(|figures| figures.dataset == dataset)?
            .cells
            .get(index)?;
        let mut figures = of_cell.figures.iter();
        let value = figures.find(|figure| wanted(&figure.name))?.value?;
        Some((value, of_cell.n))
    };
    match column {
        PublishedColumn::Pope => own(&|name| name == "mean F1"),
        PublishedColumn::Mme => own(&|name| name == "perception + cognition"),
        PublishedColumn::MmePerception => own(&|name| name == "perception"),
        PublishedColumn::Mmbench => own(&|name| name.starts_with("circular (")),
        PublishedColumn::MmbenchCn => None,
        PublishedColumn::Gqa
        | PublishedColumn::Scienceqa
        | PublishedColumn::Vqav2
        | PublishedColumn::Textvqa => {
            let cell = &grounds.cells[index];
            let is_whole = grounds.run.spec.datasets.len() == 1;
            let mut strata = cell.strata.iter();
            let of_dataset = strata.find(|s| s.by == BY_DATASET && s.group == dataset);
            let accuracy = match of_dataset {
                Some(stratum) => &stratum.accuracy,
                None if is_whole => &cell.accuracy,
                None => return None,
            };
            Some((100.0 * accuracy.mean?, accuracy.n))
        }
    }
}

#[cfg(test)]
mod tests {
    use fp_scoring::DecoderShape;

    use super::*;

    fn cell(method: Method) -> Cell {
        Cell {
            id: method.label(),
            method,
            budget: None,
            prune_layer: None,
        }
    }

    #[test]
    fn rows_are_of_methods_by_their_names() {
        let rows = published_rows().unwrap();
        let sources = |name: &str| {
            let cell = cell(Method::named(name));
            let mut methods: Vec<&str> = rows
                .iter()
                .filter(|row| is_of(row, &cell))
                .map(|row| row.method.as_str())
                .collect();
            methods.dedup();
            methods
        };
        assert_eq!(sources("all_heads"), ["fastv"]);
        assert_eq!(sources("sparsevlm"), ["sparsevlm"]);
        assert_eq!(sources("sparsevlm:192"), ["sparsevlm"]);
        assert!(sources("sparsevlm_plus").is_empty());
        assert!(sources("pool").is_empty());
        let strategy = cell(Method::Strategy {
            head_strategy: fp_scoring::HeadStrategy::Sparsity,
            query_strategy: fp_scoring::QueryStrategy::LastToken,
            num_selected_heads: 16,
        });
        assert!(rows.iter().any(|row| is_of(row, &strategy)));
    }

    #[test]
    fn shapes_are_those_of_the_published_models() {
        let shape = |decoder, num_image_tokens| ModelShape {
            decoder,
            num_image_tokens,
            num_vision_layers: None,
            has_class_token: true,
        };
        let seven = DecoderShape::LLAVA_1_5_7B;
        assert_eq!(
            model_of(&shape(seven, Some(576))),
            Some(PublishedModel::Llava7b)
        );
        let thirteen = DecoderShape::LLAVA_1_5_13B;
        assert_eq!(
            model_of(&shape(thirteen, Some(576))),
            Some(PublishedModel::Llava13b)
        );
        for (decoder, tokens) in [
            (seven, Some(144)),
            (seven, None),
            (
                DecoderShape {
                    num_layers: 31,
                    ..seven
                },
                Some(576),
            ),
        ] {
            assert_eq!(model_of(&shape(decoder, tokens)), None);
        }
        let why = other_shape(&shape(seven, Some(144)));
        assert!(
            why.ends_with("32 layers of width 4096 and 144 image tokens."),
            "{why}"
        );
    }
}
