//! The measurement for a study's run: its model, its budgets, one of its questions.

use std::path::Path;

use fp_data::dataset;
use fp_model::ModelSource;
use fp_scoring::{HeadCount, HeadStrategy, QueryStrategy, TokenBudget, error_text};

use super::EFFICIENCY_FILE;
use super::error::EfficiencyError;
use super::input::Input;
use super::plan::{Plan, Pruning};
use super::prepared::{Prepared, bare, every_pair};
use super::settings::EfficiencySettings;
use super::summary::{Efficiency, read};
use crate::study::{
    Cell, Cut, Inputs, Records, RunSpec, SampleRecord, StudyConfig, dataset_selector, load_options,
    plans_of_run, read_spec,
};

/// Plans the measurement for the run in `folder`, on the run's first question: every budget, the
/// control `drop_all` if the run has it, the scoring of every strategy at the middle one of its
/// head counts, and every other method whole.
///
/// # Errors
/// A folder that isn't a run's; a model or data that no longer exists.
pub fn prepare_run(
    folder: &Path,
    settings: EfficiencySettings,
    threads: usize,
) -> Result<Prepared, EfficiencyError> {
    let spec = read_spec(folder)?;
    let config = &spec.config;
    let options = load_options(config)?;
    let path = spec.model.path.display().to_string();
    let source = ModelSource::open(&path, options.vision_tower.as_deref())?;
    let input = first_question(folder, &spec, &source)?;
    let budgets: Vec<TokenBudget> = spec
        .grid
        .budgets
        .iter()
        .filter(|budget| budget.schedule.is_none())
        .map(|budget| budget.setting)
        .collect();
    let plan = Plan {
        model_sha256: Some(spec.model.sha256.clone()),
        config_sha256: Some(spec.config_sha256.clone()),
        normalization: config.normalization,
        allow_degenerate: config.allow_degenerate,
        device: config.device.clone(),
        threads,
        settings,
        ..bare(
            &config.model,
            &source,
            &input,
            &options,
            config.prune_layer.first(),
        )
    };
    let plan = plan.with(&Pruning {
        budgets: &budgets,
        drop_all: config.controls.has("drop_all"),
        methods: &methods(config),
    })?;
    let mut prepared = Prepared {
        plan,
        input,
        source,
        options,
        named: Vec::new(),
    };
    let plans = plans_of_run(&spec, prepared.plan.layout.num_image, prepared.input.grid());
    for (cell, plan) in spec.grid.cells.iter().zip(plans.iter()) {
        if is_run_whole(&spec, cell) {
            let plan = plan.clone().map_err(|error| error_text(&error));
            prepared.add_method(cell.id.clone(), plan);
        }
    }
    Ok(prepared)
}

/// Whether a cell is measured separately: a method other than one stage after the first K, and
/// FastV for budgets that aren't. The other controls cost the same as their schedule, or read
/// ground truth that isn't available in use.
fn is_run_whole(spec: &RunSpec, cell: &Cell) -> bool {
    let Some(name) = cell.method.name() else {
        return false;
    };
    match name {
        "vanilla" | "no_image" | "drop_all" | "random" | "uniform_grid" | "oracle" => false,
        "all_heads" => cell.budget.is_some_and(|index| {
            let budget = &spec.grid.budgets[index];
            let first = spec.config.prune_layer.first();
            budget.schedule.is_some() || budget.prune_layer.is_some_and(|k| k != first)
        }),
        _ => true,
    }
}

/// Every pair of strategies at the middle head count, and the control of all heads.
fn methods(config: &StudyConfig) -> Vec<(HeadStrategy, QueryStrategy, HeadCount)> {
    let counts = &config.num_selected_heads;
    let middle = counts.get(counts.len() / 2);
    let heads = middle.map_or(HeadCount::HALF, |setting| setting.head_count());
    let mut methods = every_pair(
        &config.head_selection_strategies,
        &config.query_selection_strategies,
        heads,
    );
    if config.controls.has("all_heads") {
        methods.push((HeadStrategy::Sum, config.all_heads_query(), HeadCount::All));
    }
    methods
}

/// The first question that the run recorded.
fn first_question(
    folder: &Path,
    spec: &RunSpec,
    source: &ModelSource,
) -> Result<Input, EfficiencyError> {
    let study = &spec.config;
    let opened = source
        .checkpoint()
        .ok_or_else(|| EfficiencyError::Setting {
            what: "the run's model",
            found: study.model.clone(),
            expected: "the folder of a checkpoint".to_owned(),
        })?;
    let cut = Cut {
        aspect: study.image_aspect,
        anyres: study.anyres,
    };
    let inputs = Inputs::new(opened, cut, study.prompt_template)?;
    let mut first: Option<SampleRecord> = None;
    Records::open(folder)?.stream(spec, |records| {
        let answered = records
            .into_iter()
            .filter(|r| r.error.is_none() && !r.text_only);
        let all = first.take().into_iter().chain(answered);
        first = all.min_by_key(|record| record.index);
        Ok::<_, EfficiencyError>(())
    })?;
    let number = first.as_ref().map_or(0, |record| record.dataset);
    let name = study.datasets.get(number);
    let missing = || EfficiencyError::Setting {
        what: "the run's first question",
        found: "missing".to_owned(),
        expected: "one that its dataset still contains".to_owned(),
    };
    let selector = dataset_selector(name.ok_or_else(missing)?)?;
    let (dataset, _) = dataset::open_but_for_images(&selector)?;
    let id = first.as_ref().map(|record| record.id.as_str());
    let mut samples = dataset.samples.iter();
    let sample = samples.find(|sample| id.is_none_or(|id| id == sample.id));
    Input::of_sample(inputs, source.config(), sample.ok_or_else(missing)?)
}

/// The measurement in `folder`, if it was made with this plan.
///
/// # Errors
/// A file that can't be read or isn't a measurement of this version.
pub fn stored_for(folder: &Path, plan: &Plan) -> Result<Option<Efficiency>, EfficiencyError> {
    let stored = read(&folder.join(EFFICIENCY_FILE))?;
    let sha256 = plan.sha256()?;
    Ok(stored.filter(|stored| stored.plan_sha256 == sha256))
}
