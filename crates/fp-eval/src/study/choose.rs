//! What each cell of the grid keeps of one sample.

use super::grid::{Cell, Grid, Method};
use super::quality::{Attentions, TokenFeatures};
use super::record::{AttentionRecord, CellRecord, DiversityRecord, Look};
use fp_data::Sample;
use fp_data::metric::token_quality::{CoverageGrid, Framing};
use fp_image::ImageAspect;
use fp_model::{CombinedAttention, ModelError, Prefix, ScoreRequest};
use fp_scoring::error_text;
use fp_scoring::{
    HeadCount, HeadStrategy, KeptTokens, Normalization, QueryStrategy, ScoringError, SelectOptions,
    Selection, TokenLayout, oracle_tokens, random_tokens, uniform_grid_tokens,
};
use std::collections::HashMap;

/// What of the image goes on to the layers after K.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Visible {
    /// All of it.
    All,
    /// These tokens.
    Kept(KeptTokens),
    /// The image was never there.
    NoImage,
}

/// A cell's choice, and what decided it.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) visible: Option<Visible>,
    /// What tokens were chosen by.
    pub(crate) attention: Option<AttentionRecord>,
    /// How different the chosen tokens are.
    pub(crate) diversity: Option<DiversityRecord>,
    pub(crate) record: CellRecord,
}

impl Choice {
    fn new(visible: Option<Visible>, record: CellRecord) -> Choice {
        Choice {
            visible,
            attention: None,
            diversity: None,
            record,
        }
    }

    fn plain(visible: Visible) -> Choice {
        Choice::new(Some(visible), CellRecord::default())
    }

    pub(crate) fn selected(selection: &Selection, attention: Option<AttentionRecord>) -> Choice {
        let visible = Visible::Kept(selection.kept_tokens.clone());
        Choice {
            attention,
            ..Choice::new(Some(visible), CellRecord::of_selection(selection))
        }
    }

    pub(crate) fn failed(error: &dyn std::error::Error) -> Choice {
        Choice::new(None, CellRecord::failed(error_text(error)))
    }

    fn skipped(reason: &str) -> Choice {
        Choice::new(None, CellRecord::skipped(reason))
    }
}

/// What choices depend on beside the attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chooser<'a> {
    pub(crate) grid: &'a Grid,
    pub(crate) num_layers: usize,
    pub(crate) prune_layer: usize,
    pub(crate) normalization: Normalization,
    pub(crate) allow_degenerate: bool,
    /// None for any-resolution tiles.
    pub(crate) aspect: Option<ImageAspect>,
    /// Side of the vision tower's input.
    pub(crate) image_side: usize,
}

/// The sample that is chosen for.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) layout: TokenLayout,
    /// Which tokens the boxes cover, or why that can't be said.
    evidence: Result<CoverageGrid, String>,
}

impl Subject<'_> {
    pub(crate) fn evidence(&self) -> Option<&CoverageGrid> {
        self.evidence.as_ref().ok()
    }
}

impl Chooser<'_> {
    /// A sample on an image of `size` pixels.
    pub(crate) fn subject<'a>(
        &self,
        sample: &'a Sample,
        size: [usize; 2],
        layout: TokenLayout,
    ) -> Subject<'a> {
        Subject {
            sample,
            layout,
            evidence: self.evidence(sample, size, layout.num_image),
        }
    }

    fn evidence(
        &self,
        sample: &Sample,
        [width, height]: [usize; 2],
        num_image_tokens: usize,
    ) -> Result<CoverageGrid, String> {
        if sample.boxes.is_empty() {
            return Err("no boxes".to_owned());
        }
        let side = num_image_tokens.isqrt();
        let aspect = self
            .aspect
            .filter(|_| side * side == num_image_tokens)
            .ok_or("image tokens aren't one square grid")?;
        Framing::new(width, height, aspect, self.image_side)
            .and_then(|framing| CoverageGrid::new(&sample.boxes, &framing, side))
            .map_err(|error| error_text(&error))
    }

    /// R of a cell's budget for an image of N tokens.
    pub(crate) fn kept(&self, cell: &Cell, num_image_tokens: usize) -> Result<usize, ScoringError> {
        let budget = cell.budget.and_then(|index| self.grid.budgets.get(index));
        match budget {
            Some(budget) => {
                Ok(budget
                    .setting
                    .kept(num_image_tokens, self.num_layers, self.prune_layer)?)
            }
            None => Ok(num_image_tokens),
        }
    }

    /// What a method keeps that reads no attention; none for those that do.
    pub(crate) fn control(&self, cell: &Cell, subject: &Subject<'_>) -> Option<Choice> {
        let n = subject.layout.num_image;
        let kept = |choose: &dyn Fn(usize) -> Result<KeptTokens, ScoringError>| match self
            .kept(cell, n)
            .and_then(choose)
        {
            Ok(tokens) => Choice::plain(Visible::Kept(tokens)),
            Err(error) => Choice::failed(&error),
        };
        Some(match &cell.method {
            Method::Strategy { .. } | Method::AllHeads { .. } => return None,
            Method::Vanilla => Choice::plain(Visible::All),
            Method::NoImage => Choice::plain(Visible::NoImage),
            Method::DropAll => match KeptTokens::new(Vec::new(), n) {
                Ok(none) => Choice::plain(Visible::Kept(none)),
                Err(error) => Choice::failed(&error),
            },
            Method::Random { seed } => {
                let seed = stream_of(*seed, &subject.sample.id);
                kept(&|r| random_tokens(n, r, seed))
            }
            Method::UniformGrid => kept(&|r| uniform_grid_tokens(n, r)),
            Method::Oracle => self.oracle(cell, subject),
        })
    }

    fn oracle(&self, cell: &Cell, subject: &Subject<'_>) -> Choice {
        let evidence = match &subject.evidence {
            Ok(evidence) => evidence,
            Err(reason) => return Choice::skipped(reason),
        };
        let kept = self.kept(cell, subject.layout.num_image);
        match kept.and_then(|r| oracle_tokens(evidence.covered(), r)) {
            Ok(tokens) => Choice::plain(Visible::Kept(tokens)),
            Err(error) => Choice::failed(&error),
        }
    }

    /// What every cell keeps, all from the rows of one prefix, and where each query
    /// strategy of the grid looked from.
    pub(crate) fn all(&self, subject: &Subject<'_>, prefix: &Prefix) -> (Vec<Look>, Vec<Choice>) {
        let mut looks = Vec::new();
        let mut selections: HashMap<usize, Choice> = HashMap::new();
        let mut attentions = Attentions::default();
        for query in self.grid.query_strategies() {
            let scored = prefix.combine(query).and_then(|combined| {
                let scored = Scored {
                    query,
                    prefix,
                    combined: &combined,
                };
                let zero_mass_heads =
                    self.score(&scored, subject, &mut attentions, &mut selections);
                Ok((combined.audit()?, zero_mass_heads))
            });
            let look = match scored {
                Ok((audit, zero_mass_heads)) => Look {
                    zero_mass_heads,
                    ..Look::new(&audit.branch, query, &audit.rows, &audit.weights)
                },
                Err(error) => {
                    for (index, _) in self.cells_of(query) {
                        selections.insert(index, Choice::failed(&error));
                    }
                    Look::new("none", query, &[], &[])
                }
            };
            looks.push(look);
        }
        let choices = self
            .grid
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                self.control(cell, subject)
                    .or_else(|| selections.remove(&index))
                    .unwrap_or_else(|| {
                        let reason = "no attention was read for this cell";
                        Choice::new(None, CellRecord::failed(reason.to_owned()))
                    })
            })
            .collect();
        (looks, choices)
    }

    fn cells_of(&self, query: QueryStrategy) -> impl Iterator<Item = (usize, &Cell)> {
        let cells = self.grid.cells.iter().enumerate();
        cells.filter(move |(_, cell)| cell.method.query_strategy() == Some(query))
    }

    /// Scores all cells of one query strategy; returns the heads without mass.
    fn score(
        &self,
        scored: &Scored<'_>,
        subject: &Subject<'_>,
        attentions: &mut Attentions,
        selections: &mut HashMap<usize, Choice>,
    ) -> Vec<usize> {
        let n = subject.layout.num_image;
        let mut zero_mass_heads = Vec::new();
        let (mut groups, mut requests) = (Vec::new(), Vec::new());
        for alike in self.cells_alike(scored.query) {
            match self.kept(&self.grid.cells[alike.cells[0]], n) {
                Ok(kept) => {
                    requests.push(ScoreRequest {
                        head_strategies: alike.head_strategies,
                        options: SelectOptions {
                            normalization: self.normalization,
                            num_selected_heads: alike.num_selected_heads,
                            kept,
                            allow_degenerate: self.allow_degenerate,
                        },
                    });
                    groups.push(alike.cells);
                }
                Err(error) => {
                    let failed = |index| (index, Choice::failed(&error));
                    selections.extend(alike.cells.into_iter().map(failed));
                }
            }
        }
        let together = scored.combined.score(&requests);
        for ((cells, request), together) in groups.iter().zip(&requests).zip(together) {
            let chosen: Vec<Result<Selection, ModelError>> = match together {
                Ok(chosen) => chosen.into_iter().map(Ok).collect(),
                // One strategy that can't be had must not take the others with it,
                // and alone each one says best what is wrong.
                Err(_) => request
                    .head_strategies
                    .iter()
                    .map(|&head| scored.prefix.select(head, scored.query, &request.options))
                    .collect(),
            };
            for (&index, chosen) in cells.iter().zip(chosen) {
                let choice = match chosen {
                    Ok(selection) => {
                        zero_mass_heads.clone_from(&selection.audit.zero_mass_heads);
                        let attention = attentions.of(scored.query, &selection, subject.evidence());
                        Choice::selected(&selection, attention)
                    }
                    Err(error) => Choice::failed(&error),
                };
                selections.insert(index, choice);
            }
        }
        zero_mass_heads
    }

    /// Cells of one query strategy, those together that differ in the head strategy alone.
    fn cells_alike(&self, query: QueryStrategy) -> Vec<Alike> {
        let mut groups: Vec<Alike> = Vec::new();
        for (index, cell) in self.cells_of(query) {
            let (head, num_selected_heads) = scored_by(&cell.method);
            let same = groups.iter_mut().find(|group| {
                group.budget == cell.budget && group.num_selected_heads == num_selected_heads
            });
            match same {
                Some(group) => {
                    group.cells.push(index);
                    group.head_strategies.push(head);
                }
                None => groups.push(Alike {
                    budget: cell.budget,
                    num_selected_heads,
                    cells: vec![index],
                    head_strategies: vec![head],
                }),
            }
        }
        groups
    }
}

/// Attention as one query strategy combines it.
struct Scored<'a> {
    query: QueryStrategy,
    prefix: &'a Prefix,
    combined: &'a CombinedAttention<'a>,
}

/// Cells that differ in the head strategy alone; at least one.
struct Alike {
    budget: Option<usize>,
    num_selected_heads: HeadCount,
    cells: Vec<usize>,
    head_strategies: Vec<HeadStrategy>,
}

/// Measures how different the tokens of each choice are, each distinct set once.
pub(crate) fn measure_diversity(choices: &mut [Choice], features: &TokenFeatures) {
    let mut known: HashMap<KeptTokens, Option<DiversityRecord>> = HashMap::new();
    for choice in choices {
        if let Some(Visible::Kept(kept)) = &choice.visible {
            let measured = known
                .entry(kept.clone())
                .or_insert_with(|| features.diversity(kept));
            choice.diversity.clone_from(measured);
        }
    }
}

/// Head strategy and h that a method scores by; with every head selected the
/// strategy is of no account.
pub(crate) fn scored_by(method: &Method) -> (HeadStrategy, HeadCount) {
    match method {
        Method::Strategy {
            head_strategy,
            num_selected_heads,
            ..
        } => (*head_strategy, HeadCount::Count(*num_selected_heads)),
        _ => (HeadStrategy::Sum, HeadCount::All),
    }
}

impl Look {
    pub(crate) fn new(
        branch: &str,
        query_strategy: QueryStrategy,
        rows: &[usize],
        weights: &[f64],
    ) -> Look {
        let is_even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Look {
            query_strategy,
            branch: branch.to_owned(),
            rows: rows.to_vec(),
            weights: match is_even {
                true => Vec::new(),
                false => weights.iter().map(|w| (w * 1e4).round() / 1e4).collect(),
            },
            zero_mass_heads: Vec::new(),
        }
    }
}

/// A seed for one sample under a study's seed: chance must not keep the same
/// places in every image. 64-bit FNV-1a of the id, so that it is the same everywhere.
fn stream_of(seed: u64, id: &str) -> u64 {
    fp_scoring::hash::fnv1a(id.bytes()) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
