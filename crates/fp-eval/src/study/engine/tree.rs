//! The cells of a question as paths through a tree.
//!
//! A node is the state that a prefix of the model represents: an image as the vision tower was
//! given it, and the tokens that the stages have kept so far. Cells with the same state share a
//! node. At a node, every selector runs once for all cells that need it; cells with equal
//! selections then advance to the next stage together, siblings as one batch, depth first. What
//! remains is the end of each path, which runs later, in batches over many questions.
//!
//! **Why a tree.** The hundreds of cells of a grid differ in what they select, but rarely before
//! their first pruning layer. Run one by one they would repeat the vision tower, the layers up to
//! that point, and whole answers if two cells keep the same tokens. With depth-first order, a
//! node's caches are freed before its sibling's are made.
//!
//! **Cost.** Layers run once per distinct set of tokens instead of once per cell. Memory is needed
//! for the nodes on one path from the root, and for the ends that wait for a batch.
//!
//! **Reference.** `sequential` runs every cell separately from the vision tower on. Records of both
//! engines are bit-identical, which the tests of studies check for every kind of method.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fp_model::{Advance, ImageFeatures, ImagePrefix, ModelError, Prefix, Sample};
use fp_scoring::{ImageInput, Plan, PositionRule, Selected, Stage, TokenLayout, TokenSelection};

use super::runs::batches;
use super::shared::{Ending, Run, SharedImage, Walked};
use super::{Prompts, Worker};
use crate::study::choose::{CellPlans, Choice, Chosen, Subject};
use crate::study::quality::Attentions;
use crate::study::record::QueryRows;
use crate::study::timings::{StopWatch, TimingRecord};

/// The features and prefix of an image for one input of the vision tower, shared by its questions.
pub(super) struct Variant {
    features: ImageFeatures,
    prefix: ImagePrefix,
}

/// A question whose cells are passing through their stages.
pub(super) struct Tree<'w, 'a> {
    pub(super) worker: &'w Worker<'a>,
    pub(super) subject: &'w Subject<'w>,
    pub(super) prompts: &'w Prompts,
    pub(super) timing: &'w mut TimingRecord,
    pub(super) attentions: Attentions,
    /// By index of the query strategy in the grid: the cell that read the rows, and the rows.
    pub(super) looks: BTreeMap<usize, (usize, QueryRows)>,
    /// By cell, selections before layer 1 that depend only on the image.
    pub(super) of_image: HashMap<usize, Selected>,
    num_nodes: usize,
    held: u64,
    pub(super) cells: Vec<Way>,
}

/// A cell's progress along its path.
#[derive(Default)]
pub(super) struct Way {
    pub(super) chosen: Vec<Chosen>,
    pub(super) end: Option<(Choice, Option<Run>)>,
}

/// A node of the tree, with the cells at it.
pub(super) struct Node {
    pub(super) prefix: Arc<Prefix>,
    /// The same sequence one layer earlier, if a selector here reads it.
    pub(super) previous: Option<Arc<Prefix>>,
    /// Distinguishes its attention from that of other nodes.
    pub(super) number: usize,
    /// Indices into the grid; the next stage of all these cells is here.
    pub(super) cells: Vec<usize>,
}

/// Cells of a node with the same selection, position rule and next depth.
struct Group {
    selection: TokenSelection,
    positions: PositionRule,
    depth: usize,
    cells: Vec<usize>,
}

impl<'w, 'a> Tree<'w, 'a> {
    pub(super) fn new(
        worker: &'w Worker<'a>,
        subject: &'w Subject<'w>,
        prompts: &'w Prompts,
        timing: &'w mut TimingRecord,
    ) -> Tree<'w, 'a> {
        let num_cells = worker.grid.cells.len();
        Tree {
            worker,
            subject,
            prompts,
            timing,
            attentions: Attentions::default(),
            looks: BTreeMap::new(),
            of_image: HashMap::new(),
            num_nodes: 0,
            held: 0,
            cells: std::iter::repeat_with(Way::default)
                .take(num_cells)
                .collect(),
        }
    }

    /// Takes all cells through their stages.
    ///
    /// # Errors
    /// An error that prevents running the question at all.
    pub(super) fn walk(mut self, image: &mut SharedImage<'_>) -> Result<Walked, ModelError> {
        let subject = self.subject;
        let plans = self
            .worker
            .chooser
            .plans(subject.layout.num_image, subject.grid());
        let mut by_input: BTreeMap<ImageInput, Vec<usize>> = BTreeMap::new();
        for (index, plan) in plans.iter().enumerate() {
            match plan {
                Ok(plan) if plan.input == ImageInput::None => {
                    let choice = Choice::of_stages(plan, Vec::new(), 0);
                    self.cells[index].end = Some((choice, Some(Run::Text)));
                }
                Ok(plan) => by_input.entry(plan.input).or_default().push(index),
                Err(error) => {
                    self.cells[index].end = Some((Choice::unplanned(error), None));
                }
            }
        }
        self.of_image = std::mem::take(&mut image.of_image);
        for (input, cells) in by_input {
            match self.roots(input, &cells, &plans, image) {
                Ok(()) => {}
                // All cells depend on the whole image.
                Err(error) if input.is_whole() => return Err(error),
                Err(error) => {
                    for cell in cells {
                        self.cells[cell].end = Some((Choice::of_error(&error), None));
                    }
                }
            }
        }
        image.of_image = std::mem::take(&mut self.of_image);
        let looks = self.looks();
        let missing = "no attention was read for this cell";
        let cells = self.cells.into_iter().map(|way| {
            way.end.unwrap_or_else(|| {
                let error = std::io::Error::other(missing);
                (Choice::failed(&error), None)
            })
        });
        Ok(Walked {
            cells: cells.collect(),
            looks,
            held: self.held,
        })
    }

    /// Runs the question up to the first stage of each plan and continues from there.
    fn roots(
        &mut self,
        input: ImageInput,
        cells: &[usize],
        plans: &CellPlans,
        image: &mut SharedImage<'_>,
    ) -> Result<(), ModelError> {
        let first = |cell: usize| plan_of(plans, cell)?.stages.first();
        // Cells without a stage start from the deepest root.
        let mut depths: BTreeSet<usize> = cells
            .iter()
            .filter_map(|&cell| Some(first(cell)?.site.depth()))
            .collect();
        if depths.is_empty() {
            depths.insert(self.worker.chooser.config.prune_layer.first());
        }
        // Selectors that read the previous layer's input also get that prefix.
        let behind: Vec<usize> = cells
            .iter()
            .filter_map(|&cell| first(cell).filter(|stage| looks_behind(stage)))
            .filter_map(|stage| stage.site.depth().checked_sub(1))
            .collect();
        depths.extend(&behind);
        let depths: Vec<usize> = depths.into_iter().collect();
        let variant = self.variant(input, &depths, image)?;
        let mut watch = StopWatch::start();
        let layout = Sample {
            prompt: &self.prompts.with_image,
            features: &variant.features,
        }
        .layout();
        let rows: Vec<Vec<usize>> = depths
            .iter()
            .map(|&depth| {
                let stages = cells.iter().filter_map(|&cell| first(cell));
                let here = stages.filter(|stage| stage.site.depth() == depth);
                self.rows(here, &layout)
            })
            .collect();
        let prefixes =
            self.worker
                .model
                .prefill_question(&variant.prefix, &self.prompts.with_image, &rows);
        let features = variant.features.clone();
        image.variants.insert(input, variant);
        let prefixes: Vec<Arc<Prefix>> = prefixes?.into_iter().map(Arc::new).collect();
        self.timing.seconds.prefix += watch.lap();
        for &cell in cells {
            let plan = plan_of(plans, cell).filter(|plan| plan.stages.is_empty());
            if let (Some(plan), Some(prefix)) = (plan, prefixes.last()) {
                let n = prefix.layout().num_image;
                let ending = Ending {
                    prefix: Arc::clone(prefix),
                    selection: TokenSelection::all(n),
                    positions: plan.positions,
                };
                let choice = Choice::of_stages(plan, Vec::new(), n);
                self.cells[cell].end = Some((choice, Some(Run::Ending(ending))));
            }
        }
        let mut before: Option<(usize, Arc<Prefix>)> = None;
        for (&depth, prefix) in depths.iter().zip(prefixes) {
            let is_here = |cell: &usize| first(*cell).is_some_and(|s| s.site.depth() == depth);
            let previous = before.replace((depth, Arc::clone(&prefix)));
            let previous = previous.filter(|(at, _)| behind.contains(at) && at + 1 == depth);
            let node = Node {
                prefix,
                previous: previous.map(|(_, prefix)| prefix),
                number: self.number(),
                cells: cells.iter().copied().filter(is_here).collect(),
            };
            if !node.cells.is_empty() {
                self.expand(&node, plans, &features);
            }
        }
        Ok(())
    }

    fn number(&mut self) -> usize {
        self.num_nodes += 1;
        self.num_nodes
    }

    /// The features and prefix of the image for an input of the tower.
    fn variant(
        &mut self,
        input: ImageInput,
        depths: &[usize],
        image: &mut SharedImage<'_>,
    ) -> Result<Variant, ModelError> {
        if let Some(known) = image.variants.remove(&input) {
            return Ok(known);
        }
        let worker = self.worker;
        let mut watch = StopWatch::start();
        let features = match input {
            ImageInput::Whole | ImageInput::None => image.features.clone(),
            ImageInput::Shrunk { .. } => {
                image
                    .image
                    .features_of(input, worker.model, worker.inputs, worker.vision)?
            }
        };
        self.timing.seconds.vision += watch.lap();
        let system = worker.system(self.prompts.with_image.system_ids())?;
        let prefix = worker.model.prefill_image(&system, &features, depths)?;
        self.timing.seconds.prefix += watch.lap();
        Ok(Variant { features, prefix })
    }

    /// Rows that any of the stages at one site reads. A stage without rows to read fails when it
    /// selects.
    fn rows<'s>(
        &self,
        stages: impl Iterator<Item = &'s Stage>,
        layout: &TokenLayout,
    ) -> Vec<usize> {
        let rows: BTreeSet<usize> = stages
            .filter_map(|stage| self.worker.model.rows_for_stage(stage, layout).ok())
            .flatten()
            .collect();
        rows.into_iter().collect()
    }

    /// The next stage of a cell.
    pub(super) fn next_stage<'p>(&self, cell: usize, plans: &'p CellPlans) -> Option<&'p Stage> {
        plan_of(plans, cell)?
            .stages
            .get(self.cells[cell].chosen.len())
    }

    /// Runs the selectors of a node's cells, then advances the cells that have another stage.
    fn expand(&mut self, node: &Node, plans: &CellPlans, features: &ImageFeatures) {
        self.choose(node, plans, features);
        // Groups by what cells have in common: selection, positions, next depth.
        let mut groups: Vec<Group> = Vec::new();
        for &cell in &node.cells {
            let way = &self.cells[cell];
            let (Some(plan), Some(last), true) =
                (plan_of(plans, cell), way.chosen.last(), way.end.is_none())
            else {
                continue;
            };
            let selection = last.selection.clone();
            match plan.stages.get(way.chosen.len()) {
                None => {
                    let n = self.subject.layout.num_image;
                    let ending = Ending {
                        prefix: Arc::clone(&node.prefix),
                        selection,
                        positions: plan.positions,
                    };
                    let chosen = std::mem::take(&mut self.cells[cell].chosen);
                    let choice = Choice::of_stages(plan, chosen, n);
                    self.cells[cell].end = Some((choice, Some(Run::Ending(ending))));
                }
                Some(next) => {
                    let depth = next.site.depth();
                    let same = groups.iter_mut().find(|group| {
                        (group.positions, group.depth) == (plan.positions, depth)
                            && group.selection == selection
                    });
                    match same {
                        Some(group) => group.cells.push(cell),
                        None => groups.push(Group {
                            selection,
                            positions: plan.positions,
                            depth,
                            cells: vec![cell],
                        }),
                    }
                }
            }
        }
        let depths: BTreeSet<usize> = groups.iter().map(|group| group.depth).collect();
        for depth in depths {
            let here: Vec<_> = groups.iter().filter(|group| group.depth == depth).collect();
            self.go_on(node, &here, depth, plans, features);
        }
    }

    /// Runs siblings up to their next stage, in batches, and expands each.
    fn go_on(
        &mut self,
        node: &Node,
        groups: &[&Group],
        depth: usize,
        plans: &CellPlans,
        features: &ImageFeatures,
    ) {
        // Groups whose selectors read the previous layer's input also stop one layer earlier.
        let is_behind = |group: &&&Group| {
            let mut stages = group
                .cells
                .iter()
                .filter_map(|cell| self.next_stage(*cell, plans));
            stages.any(looks_behind)
        };
        let (behind, plain): (Vec<&Group>, Vec<&Group>) =
            groups.iter().partition(|group| is_behind(group));
        for (groups, stops_before) in [(plain, false), (behind, true)] {
            self.advance(node, &groups, (depth, stops_before), plans, features);
        }
    }

    /// Runs siblings up to `depth`, with a stop one layer earlier if `stops_before` is set.
    fn advance(
        &mut self,
        node: &Node,
        groups: &[&Group],
        (depth, stops_before): (usize, bool),
        plans: &CellPlans,
        features: &ImageFeatures,
    ) {
        let worker = self.worker;
        let rows: Vec<Vec<usize>> = groups
            .iter()
            .map(|group| {
                let layout = TokenLayout {
                    num_image: group.selection.len(),
                    ..*node.prefix.layout()
                };
                let stages = group.cells.iter();
                let stages = stages.filter_map(|cell| self.next_stage(*cell, plans));
                self.rows(stages, &layout)
            })
            .collect();
        let layers = depth - node.prefix.depth();
        let lens: Vec<usize> = groups
            .iter()
            .map(|group| group.selection.len() + node.prefix.layout().num_text)
            .collect();
        let mut start = 0;
        for end in batches(worker, &lens, layers) {
            let mut watch = StopWatch::start();
            let (groups, rows) = (&groups[start..end], &rows[start..end]);
            let advanced = if stops_before {
                advance_in_two(worker, node, groups, rows, depth)
            } else {
                advance_at_once(worker, node, groups, rows, depth)
            };
            self.timing.seconds.suffix += watch.lap();
            self.timing.num_suffix_rows += lens[start..end].iter().sum::<usize>();
            match advanced {
                Ok(prefixes) => {
                    for (group, (previous, prefix)) in groups.iter().zip(prefixes) {
                        let len = prefix.layout().sequence_len();
                        self.held += worker.plan.node_bytes(len, layers);
                        let node = Node {
                            prefix: Arc::new(prefix),
                            previous: previous.map(Arc::new),
                            number: self.number(),
                            cells: group.cells.clone(),
                        };
                        self.expand(&node, plans, features);
                    }
                }
                Err(error) => {
                    for &cell in groups.iter().flat_map(|group| &group.cells) {
                        self.cells[cell].end = Some((Choice::of_error(&error), None));
                    }
                }
            }
            start = end;
        }
    }
}

/// A prefix, preceded by the same sequence one layer earlier if that is needed.
type Advanced = (Option<Prefix>, Prefix);

/// Runs the groups' selections through the layers up to `depth`, reading `rows` there.
fn advance_at_once(
    worker: &Worker<'_>,
    node: &Node,
    groups: &[&Group],
    rows: &[Vec<usize>],
    depth: usize,
) -> Result<Vec<Advanced>, ModelError> {
    let advances = groups.iter().zip(rows).map(|(group, rows)| Advance {
        prefix: &node.prefix,
        selection: &group.selection,
        positions: group.positions,
        query_rows: rows.clone(),
    });
    let prefixes = worker.model.advance(&advances.collect::<Vec<_>>(), depth)?;
    Ok(prefixes.into_iter().map(|prefix| (None, prefix)).collect())
}

/// The same with a stop one layer before `depth`.
fn advance_in_two(
    worker: &Worker<'_>,
    node: &Node,
    groups: &[&Group],
    rows: &[Vec<usize>],
    depth: usize,
) -> Result<Vec<Advanced>, ModelError> {
    let unread = vec![Vec::new(); rows.len()];
    let previous = advance_at_once(worker, node, groups, &unread, depth - 1)?;
    let all: Vec<TokenSelection> = previous
        .iter()
        .map(|(_, prefix)| TokenSelection::all(prefix.layout().num_image))
        .collect();
    let parts = previous.iter().zip(&all).zip(groups).zip(rows);
    let advances = parts.map(|((((_, prefix), selection), group), rows)| Advance {
        prefix,
        selection,
        positions: group.positions,
        query_rows: rows.clone(),
    });
    let present = worker.model.advance(&advances.collect::<Vec<_>>(), depth)?;
    let previous = previous.into_iter().map(|(_, prefix)| Some(prefix));
    Ok(previous.zip(present).collect())
}

/// Whether a stage's selector reads the previous layer's input.
fn looks_behind(stage: &Stage) -> bool {
    stage.site.depth() > 0 && stage.selector.needs().previous_hidden
}

/// A cell's plan, if it has one.
fn plan_of(plans: &CellPlans, cell: usize) -> Option<&Plan> {
    plans.get(cell)?.as_ref().ok()
}
