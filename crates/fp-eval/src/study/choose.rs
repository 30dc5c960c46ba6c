//! What each cell of the grid keeps of a sample.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fp_data::Sample;
use fp_data::metric::token_quality::{CoverageGrid, TokenPlaces};
use fp_image::ImageAspect;
use fp_model::{ModelError, SampleFacts};
use fp_scoring::{
    AttentionSelector, HeadCount, KeptTokens, MethodRegistry, Plan, PlanError, PlanSetting,
    PruningMethod, QueryStrategy, SelectError, Selected, Site, TokenLayout, TokenSelection,
    error_text,
};

use super::config::StudyConfig;
use super::grid::{Cell, Grid, ModelShape, square_grid};
use super::inputs::LoadedImage;
use super::method::Method;
use super::path::{PathStage, VisualInput};
use super::places::ImageTokens;
use super::quality::{Attentions, TokenFeatures};
use super::record::{AttentionRecord, CellRecord, CutRecord, DiversityRecord, QueryRows};
use super::spec::RunSpec;
use super::static_heads::{RankedRule, StaticHeads};

/// A cell's selection, and its audit.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) visible: Option<VisualInput>,
    /// The attention by which tokens were selected.
    pub(crate) attention: Option<AttentionRecord>,
    /// Diversity of the selected tokens.
    pub(crate) diversity: Option<DiversityRecord>,
    pub(crate) record: CellRecord,
}

/// The selection of one stage of a cell.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) site: Site,
    pub(crate) selection: TokenSelection,
    /// For each kept token, its index among the N image tokens.
    pub(crate) places: Arc<[usize]>,
    /// Description of the attention by which it selected.
    attention: Option<AttentionRecord>,
    /// The audit, if it selected by attention.
    record: Option<CellRecord>,
}

impl Chosen {
    /// A selection among tokens with the original indices `places`. Only the recorded part of its
    /// audit is kept, since a question has about a hundred of them.
    pub(crate) fn new(
        site: Site,
        selected: &Selected,
        places: &[usize],
        attention: Option<AttentionRecord>,
    ) -> Chosen {
        let selection = selected.selection.clone();
        let is_whole = places.iter().enumerate().all(|(i, place)| i == *place);
        Chosen {
            site,
            places: if is_whole {
                selection.shared_places()
            } else {
                selection
                    .places()
                    .iter()
                    .map(|&token| places[token])
                    .collect()
            },
            selection,
            attention,
            record: selected.audit.as_ref().map(CellRecord::of_selection),
        }
    }
}

impl Choice {
    fn new(visible: Option<VisualInput>, record: CellRecord) -> Choice {
        Choice {
            visible,
            attention: None,
            diversity: None,
            record,
        }
    }

    /// The selections of a plan's stages among N tokens. The record is that of the last stage that
    /// selected by attention, with the smallest gap at a cut of tokens over all stages.
    pub(crate) fn of_stages(plan: &Plan, chosen: Vec<Chosen>, num_image_tokens: usize) -> Choice {
        let (mut record, mut attention) = (CellRecord::default(), None);
        let mut closest: Option<CutRecord> = None;
        let mut stages = Vec::with_capacity(chosen.len());
        for stage in chosen {
            attention = stage.attention.or(attention);
            if let Some(of_stage) = stage.record {
                let cuts = closest.into_iter().chain(of_stage.token_cut);
                closest = cuts.min_by(|a, b| a.gap.total_cmp(&b.gap));
                record = of_stage;
            }
            stages.push(PathStage {
                site: stage.site,
                selection: stage.selection,
                places: stage.places,
            });
        }
        record.token_cut = closest;
        let visible = VisualInput::new(plan.input, plan.positions, stages, num_image_tokens);
        Choice {
            attention,
            ..Choice::new(Some(visible), record)
        }
    }

    pub(crate) fn failed(error: &dyn std::error::Error) -> Choice {
        Choice::new(None, CellRecord::failed(error_text(error)))
    }

    /// A cell that failed, or doesn't apply to the sample.
    pub(crate) fn of_error(error: &ModelError) -> Choice {
        match error {
            ModelError::Select(SelectError::NotApplicable { reason }) => Choice::skipped(reason),
            ModelError::Plan(error) => Choice::unplanned(error),
            other => Choice::failed(other),
        }
    }

    /// The choice of a cell for which no plan could be made.
    pub(crate) fn unplanned(error: &PlanError) -> Choice {
        match error {
            PlanError::NoGrid { .. } => Choice::skipped(&error.to_string()),
            other => Choice::failed(other),
        }
    }

    fn skipped(reason: &str) -> Choice {
        Choice::new(None, CellRecord::skipped(reason))
    }
}

/// What the plans of all cells depend on: N, and columns and rows of the tokens' grid if they
/// form one.
type PlanKey = (usize, Option<[usize; 2]>);

/// Inputs of selections besides the model's own values.
#[derive(Debug)]
pub(crate) struct Chooser<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) registry: &'a MethodRegistry,
    pub(crate) config: &'a StudyConfig,
    /// Heads of static variants, if the grid has such cells and the heads are ranked.
    pub(crate) static_heads: Option<&'a StaticHeads>,
    pub(crate) shape: ModelShape,
    /// `None` for any-resolution tiles.
    pub(crate) aspect: Option<ImageAspect>,
    /// Side of the vision tower's input.
    pub(crate) image_side: usize,
    /// Plans of all cells, made once for each kind of image.
    pub(crate) plans: Mutex<HashMap<PlanKey, Arc<CellPlans>>>,
}

/// The plan of each cell of the grid.
pub(crate) type CellPlans = Vec<Result<Plan, PlanError>>;

/// The sample for which tokens are selected.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) layout: TokenLayout,
    grid: Option<[usize; 2]>,
    /// Which image tokens show only padding.
    padding: Option<&'a [bool]>,
    /// The tokens that the boxes cover, or why they aren't known.
    evidence: Result<CoverageGrid, String>,
}

impl Subject<'_> {
    /// Columns and rows of the single grid of its image tokens, if there is one.
    pub(crate) fn grid(&self) -> Option<[usize; 2]> {
        self.grid
    }

    pub(crate) fn evidence(&self) -> Option<&CoverageGrid> {
        self.evidence.as_ref().ok()
    }

    /// The facts that selectors may read.
    pub(crate) fn facts(&self) -> SampleFacts<'_> {
        SampleFacts {
            id: &self.sample.id,
            grid: self.grid,
            covered_area: match &self.evidence {
                Ok(grid) => Ok(grid.covered()),
                Err(reason) => Err(reason),
            },
            text_ids: None,
            padding: self.padding,
            question: Some(&self.sample.question),
        }
    }
}

impl<'a> Chooser<'a> {
    /// A chooser for the cells of a run.
    pub(crate) fn new(
        spec: &'a RunSpec,
        registry: &'a MethodRegistry,
        static_heads: Option<&'a StaticHeads>,
    ) -> Chooser<'a> {
        Chooser {
            grid: &spec.grid,
            registry,
            config: &spec.config,
            static_heads,
            shape: spec.model.shape,
            aspect: spec.model.image_aspect,
            image_side: spec.model.image_side,
            plans: Mutex::default(),
        }
    }
}

impl Chooser<'_> {
    /// A sample with its image.
    pub(crate) fn subject<'a>(
        &self,
        sample: &'a Sample,
        image: &'a LoadedImage,
        layout: TokenLayout,
    ) -> Subject<'a> {
        Subject {
            sample,
            layout,
            grid: image.grid.or_else(|| self.square_grid(layout.num_image)),
            padding: image.padding.as_deref(),
            evidence: self.evidence(sample, image, layout.num_image),
        }
    }

    /// The single square grid of the image tokens, if there is one.
    fn square_grid(&self, num_image_tokens: usize) -> Option<[usize; 2]> {
        self.aspect.and_then(|_| square_grid(num_image_tokens))
    }

    fn evidence(
        &self,
        sample: &Sample,
        image: &LoadedImage,
        num_image_tokens: usize,
    ) -> Result<CoverageGrid, String> {
        if sample.boxes.is_empty() {
            return Err("no boxes".to_owned());
        }
        let tokens = ImageTokens {
            size: image.size,
            grids: &image.grids,
            count: num_image_tokens,
        };
        let places = match (self.aspect, self.square_grid(num_image_tokens)) {
            (Some(_), None) => {
                return Err(
                    "the image tokens include the class token, which has no grid cell".to_owned(),
                );
            }
            (aspect, _) => tokens.places(aspect, self.image_side),
        };
        places
            .and_then(|places| {
                let grid = |places: TokenPlaces| CoverageGrid::over(&sample.boxes, &places);
                places.map(grid).transpose()
            })
            .map_err(|error| error_text(&error))?
            .ok_or_else(|| "the image tokens lie on no known grid".to_owned())
    }

    /// Like [`Chooser::plans`], for an image of N tokens that is one square, or whose grid isn't
    /// known.
    pub(crate) fn plans_for(&self, num_image_tokens: usize) -> Arc<CellPlans> {
        self.plans(num_image_tokens, self.square_grid(num_image_tokens))
    }

    /// The plan of every cell for an image of N tokens, on `grid` if they have a single grid.
    pub(crate) fn plans(
        &self,
        num_image_tokens: usize,
        grid: Option<[usize; 2]>,
    ) -> Arc<CellPlans> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let made = plans.entry((num_image_tokens, grid)).or_insert_with(|| {
            let cells = self.grid.cells.iter();
            Arc::new(
                cells
                    .map(|cell| self.plan(cell, num_image_tokens, grid))
                    .collect(),
            )
        });
        Arc::clone(made)
    }

    fn plan(
        &self,
        cell: &Cell,
        num_image_tokens: usize,
        grid: Option<[usize; 2]>,
    ) -> Result<Plan, PlanError> {
        let budget = cell.budget.and_then(|index| self.grid.budgets.get(index));
        let setting = self
            .config
            .plan_setting(&self.shape, num_image_tokens, grid, budget);
        let mut setting = PlanSetting {
            crops: match self.aspect {
                None => self.shape.crops_of_any_size(setting.crops),
                Some(_) => setting.crops,
            },
            prune_layer: cell.prune_layer.unwrap_or(setting.prune_layer),
            query_strategy: cell
                .method
                .query_strategy()
                .unwrap_or(setting.query_strategy),
            ..setting
        };
        let plan = match &cell.method {
            Method::Strategy {
                head_strategy,
                query_strategy,
                num_selected_heads,
            } => {
                let selector = AttentionSelector {
                    head_strategy: *head_strategy,
                    query_strategy: *query_strategy,
                    num_selected_heads: HeadCount::Count(*num_selected_heads),
                    normalization: setting.normalization,
                    allow_degenerate: setting.allow_degenerate,
                };
                setting.staged(Arc::new(selector))?
            }
            Method::Static { .. } => {
                let name = cell.method.label();
                let missing = || PlanError::Setting {
                    method: name.clone(),
                    reason: "its heads were not ranked".to_owned(),
                };
                let rule = RankedRule::of(cell, self.config).ok_or_else(missing)?;
                let heads = self.static_heads.ok_or_else(missing)?;
                heads.method(&name, &rule)?.plan(&setting)?
            }
            Method::Named { name, seed, .. } => {
                setting.seed = seed.unwrap_or(0);
                let method = self
                    .registry
                    .get(name)
                    .map_err(|error| PlanError::Setting {
                        method: name.clone(),
                        reason: error.to_string(),
                    })?;
                method.plan(&setting)?
            }
        };
        let name = cell.method.label();
        plan.check(&name, self.shape.decoder.num_layers, num_image_tokens)?;
        Ok(if self.config.mask_padding {
            plan.masking_padding()
        } else {
            plan
        })
    }
}

/// Describes the attention behind a selection; `node` identifies where it was read.
pub(crate) fn describe(
    attentions: &mut Attentions,
    node: usize,
    query: Option<QueryStrategy>,
    selected: &Selected,
    subject: &Subject<'_>,
) -> Option<AttentionRecord> {
    let selection = selected.audit.as_ref()?;
    let query = query.or_else(|| Some(selection.audit.query.as_ref()?.strategy))?;
    attentions.of((node, query), selection, subject.evidence())
}

/// Measures the diversity of each choice's tokens, once per distinct set.
pub(crate) fn measure_diversity(choices: &mut [Choice], features: &TokenFeatures) {
    let mut known: HashMap<KeptTokens, Option<DiversityRecord>> = HashMap::new();
    for choice in choices {
        let visible = choice.visible.as_ref();
        let kept = visible.and_then(|visible| visible.last_tokens(features.num_tokens()));
        if let Some(kept) = kept {
            let measured = known
                .entry(kept.clone())
                .or_insert_with(|| features.diversity(&kept));
            choice.diversity.clone_from(measured);
        }
    }
}

impl QueryRows {
    pub(crate) fn new(
        branch: &str,
        query_strategy: QueryStrategy,
        rows: &[usize],
        weights: &[f64],
    ) -> QueryRows {
        let is_even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        QueryRows {
            query_strategy,
            branch: branch.to_owned(),
            rows: rows.to_vec(),
            weights: if is_even {
                Vec::new()
            } else {
                weights.iter().map(|w| (w * 1e4).round() / 1e4).collect()
            },
            zero_mass_heads: Vec::new(),
        }
    }
}
