//! What each cell of the grid keeps of one sample.

use super::coverage::covered_area;
use super::grid::{Cell, Grid, Method};
use super::record::{CellRecord, Look};
use crate::sample::Sample;
use fp_model::image::ImageAspect;
use fp_scoring::{
    AttentionRows, HeadCount, HeadStrategy, ImageAttention, KeptTokens, Normalization,
    QueryStrategy, ScoringError, SelectOptions, Selection, TokenLayout, image_attention,
    oracle_tokens, random_tokens, score_all, uniform_grid_tokens,
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
    pub(crate) record: CellRecord,
}

impl Choice {
    fn plain(visible: Visible) -> Choice {
        Choice {
            visible: Some(visible),
            record: CellRecord::default(),
        }
    }

    pub(crate) fn selected(selection: &Selection) -> Choice {
        Choice {
            visible: Some(Visible::Kept(selection.kept_tokens.clone())),
            record: CellRecord::of_selection(selection),
        }
    }

    pub(crate) fn failed(error: impl ToString) -> Choice {
        Choice {
            visible: None,
            record: CellRecord::failed(error),
        }
    }

    fn skipped(reason: &str) -> Choice {
        Choice {
            visible: None,
            record: CellRecord::skipped(reason),
        }
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
}

/// The sample that is chosen for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) image_size: [usize; 2],
    pub(crate) layout: TokenLayout,
}

impl Chooser<'_> {
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
            Err(error) => Choice::failed(error),
        };
        Some(match &cell.method {
            Method::Strategy { .. } | Method::AllHeads { .. } => return None,
            Method::Vanilla => Choice::plain(Visible::All),
            Method::NoImage => Choice::plain(Visible::NoImage),
            Method::DropAll => match KeptTokens::new(Vec::new(), n) {
                Ok(none) => Choice::plain(Visible::Kept(none)),
                Err(error) => Choice::failed(error),
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
        if subject.sample.boxes.is_empty() {
            return Choice::skipped("no boxes");
        }
        let n = subject.layout.num_image;
        let side = n.isqrt();
        let Some(aspect) = self.aspect.filter(|_| side * side == n) else {
            return Choice::skipped("image tokens aren't one square grid");
        };
        let area = covered_area(&subject.sample.boxes, subject.image_size, aspect, side);
        match self.kept(cell, n).and_then(|r| oracle_tokens(&area, r)) {
            Ok(tokens) => Choice::plain(Visible::Kept(tokens)),
            Err(error) => Choice::failed(error),
        }
    }

    /// What every cell keeps, all from the same rows, and where each query
    /// strategy of the grid looked from.
    pub(crate) fn all(
        &self,
        subject: &Subject<'_>,
        attention: &AttentionRows<'_, f32>,
    ) -> (Vec<Look>, Vec<Choice>) {
        let mut looks = Vec::new();
        let mut selections: HashMap<usize, Choice> = HashMap::new();
        for query in self.grid.query_strategies() {
            match image_attention(attention, query) {
                Ok((values, audit)) => {
                    let mut look = Look::new(&audit.branch, query, &audit.rows, &audit.weights);
                    look.zero_mass_heads = self.score(
                        query,
                        &values,
                        attention.num_heads(),
                        subject,
                        &mut selections,
                    );
                    looks.push(look);
                }
                Err(error) => {
                    looks.push(Look::new("none", query, &[], &[]));
                    for (index, _) in self.cells_of(query) {
                        selections.insert(index, Choice::failed(&error));
                    }
                }
            }
        }
        let choices = self
            .grid
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                self.control(cell, subject)
                    .or_else(|| selections.remove(&index))
                    .unwrap_or_else(|| Choice::failed("no attention was read for this cell"))
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
        query: QueryStrategy,
        values: &[f64],
        num_heads: usize,
        subject: &Subject<'_>,
        selections: &mut HashMap<usize, Choice>,
    ) -> Vec<usize> {
        // Cells of one budget and one h differ in the head strategy alone.
        let mut alike: Vec<((Option<usize>, HeadCount), Vec<(usize, HeadStrategy)>)> = Vec::new();
        for (index, cell) in self.cells_of(query) {
            let (head, count) = scored_by(&cell.method);
            let key = (cell.budget, count);
            match alike.iter_mut().find(|(other, _)| *other == key) {
                Some((_, cells)) => cells.push((index, head)),
                None => alike.push((key, vec![(index, head)])),
            }
        }
        let mut zero_mass_heads = Vec::new();
        for ((_, num_selected_heads), cells) in alike {
            let score = |cells: &[(usize, HeadStrategy)]| {
                let heads: Vec<HeadStrategy> = cells.iter().map(|&(_, head)| head).collect();
                let cell = &self.grid.cells[cells[0].0];
                let options = SelectOptions {
                    normalization: self.normalization,
                    num_selected_heads,
                    kept: self.kept(cell, subject.layout.num_image)?,
                    allow_degenerate: self.allow_degenerate,
                };
                let attention = ImageAttention::new(values, num_heads, subject.layout.num_image)?;
                score_all(&attention.with_layer(self.prune_layer), &heads, &options)
            };
            match score(&cells) {
                Ok(chosen) => {
                    for (&(index, _), selection) in cells.iter().zip(&chosen) {
                        zero_mass_heads.clone_from(&selection.audit.zero_mass_heads);
                        selections.insert(index, Choice::selected(selection));
                    }
                }
                // One strategy that can't be had must not take the others with it.
                Err(_) => {
                    for cell in cells {
                        let choice = match score(&[cell]) {
                            Ok(chosen) => Choice::selected(&chosen[0]),
                            Err(error) => Choice::failed(error),
                        };
                        selections.insert(cell.0, choice);
                    }
                }
            }
        }
        zero_mass_heads
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
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
