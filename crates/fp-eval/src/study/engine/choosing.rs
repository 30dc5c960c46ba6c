//! Selection by the cells at a node of the tree.

use std::sync::Arc;

use fp_model::{ImageFeatures, ModelError, SampleFacts, ScoreRequest};
use fp_scoring::{
    AttentionSelector, HeadStrategy, QueryStrategy, SelectOptions, Selected, Selection, Stage,
    TokenSelection,
};

use super::tree::{Node, Tree};
use crate::study::choose::{CellPlans, Choice, Chosen, describe};
use crate::study::record::QueryRows;
use crate::study::timings::StopWatch;

/// A cell, its attention rule, and the number of tokens to keep.
type Ruled = (usize, AttentionSelector, usize);

impl Tree<'_, '_> {
    /// Runs the selectors of a node's cells. Attention rules are scored together, all others one by
    /// one.
    pub(super) fn choose(&mut self, node: &Node, plans: &CellPlans, features: &ImageFeatures) {
        let mut watch = StopWatch::start();
        let mut by_query: Vec<(QueryStrategy, Vec<Ruled>)> = Vec::new();
        let mut others: Vec<(usize, &Stage)> = Vec::new();
        let subject = self.subject;
        let facts = subject.facts();
        for &cell in &node.cells {
            let Some(stage) = self.next_stage(cell, plans) else {
                continue;
            };
            let kept = stage.kept.min(node.prefix.layout().num_image);
            let selector = stage.selector_for(facts.padding);
            match selector.as_attention().filter(|_| kept > 0) {
                Some(rule) => {
                    let entry = (cell, *rule, kept);
                    let query = rule.query_strategy;
                    match by_query.iter_mut().find(|(known, _)| *known == query) {
                        Some((_, cells)) => cells.push(entry),
                        None => by_query.push((query, vec![entry])),
                    }
                }
                None => others.push((cell, stage)),
            }
        }
        for (query, cells) in by_query {
            self.score(node, query, &cells, plans);
        }
        for (cell, stage) in others {
            let selected = self.select(node, cell, stage, features);
            let selected = selected.map_err(|error| Choice::of_error(&error));
            self.note_rows_of(cell, &selected);
            self.put(node, cell, plans, None, selected);
        }
        self.timing.seconds.scoring += watch.lap();
    }

    /// The selection of a stage's selector at a node. Selectors that depend only on the image
    /// select the same tokens for every question on it, so that is computed once.
    fn select(
        &mut self,
        node: &Node,
        cell: usize,
        stage: &Stage,
        features: &ImageFeatures,
    ) -> Result<Selected, ModelError> {
        let is_shared = node.prefix.depth() == 0
            && self.cells[cell].chosen.is_empty()
            && stage.selector.looks_at_image_alone()
            && self.worker.engine.runs_equals_once();
        if let Some(known) = self.of_image.get(&cell).filter(|_| is_shared) {
            return Ok(known.clone());
        }
        let facts = SampleFacts {
            text_ids: Some(self.prompts.with_image.text_ids()),
            ..self.subject.facts()
        };
        let (model, previous) = (self.worker.model, node.previous.as_deref());
        let selected =
            model.select_stage_behind(&node.prefix, previous, stage, features, &facts)?;
        if is_shared {
            self.of_image.insert(cell, selected.clone());
        }
        Ok(selected)
    }

    /// Stores a cell's selection at a node.
    fn put(
        &mut self,
        node: &Node,
        cell: usize,
        plans: &CellPlans,
        query: Option<QueryStrategy>,
        selected: Result<Selected, Choice>,
    ) {
        let stage = self.next_stage(cell, plans);
        match (selected, stage) {
            (Ok(selected), Some(stage)) => {
                let attention = describe(
                    &mut self.attentions,
                    node.number,
                    query,
                    &selected,
                    self.subject,
                );
                let places = node.prefix.places();
                let chosen = Chosen::new(stage.site, &selected, places, attention);
                self.cells[cell].chosen.push(chosen);
            }
            (Err(choice), _) => self.cells[cell].end = Some((choice, None)),
            (Ok(_), None) => {}
        }
    }

    /// Scores the cells of a node that read the rows of one query strategy.
    fn score(&mut self, node: &Node, query: QueryStrategy, cells: &[Ruled], plans: &CellPlans) {
        let prefix = Arc::clone(&node.prefix);
        let combined = match prefix.combine(query) {
            Ok(combined) => combined,
            Err(error) => {
                for (cell, ..) in cells {
                    self.cells[*cell].end = Some((Choice::of_error(&error), None));
                }
                return;
            }
        };
        // Groups of cells that differ only in the head strategy.
        let mut groups: Vec<(SelectOptions, Vec<(usize, HeadStrategy)>)> = Vec::new();
        for (cell, rule, kept) in cells {
            let options = rule.options(*kept);
            let entry = (*cell, rule.head_strategy);
            match groups.iter_mut().find(|(known, _)| *known == options) {
                Some((_, together)) => together.push(entry),
                None => groups.push((options, vec![entry])),
            }
        }
        let requests: Vec<ScoreRequest> = groups
            .iter()
            .map(|(options, together)| ScoreRequest {
                head_strategies: together.iter().map(|(_, head)| *head).collect(),
                options: *options,
            })
            .collect();
        let mut zero_mass_heads = Vec::new();
        let scored = combined.score(&requests);
        for ((options, together), scored) in groups.iter().zip(scored) {
            let chosen: Vec<Result<Selection, ModelError>> = match scored {
                Ok(chosen) => chosen.into_iter().map(Ok).collect(),
                // One strategy that fails must not fail the others, and run alone each one gives
                // the most precise error.
                Err(_) => together
                    .iter()
                    .map(|(_, head)| prefix.select(*head, query, options))
                    .collect(),
            };
            for ((cell, _), chosen) in together.iter().zip(chosen) {
                let selected = chosen.map_err(|error| Choice::of_error(&error));
                let selected = selected.map(|audit| {
                    zero_mass_heads.clone_from(&audit.audit.zero_mass_heads);
                    Selected {
                        selection: TokenSelection::from(&audit.kept_tokens),
                        audit: Some(audit),
                        choice: None,
                    }
                });
                self.put(node, *cell, plans, Some(query), selected);
            }
        }
        match combined.audit() {
            Ok(audit) => {
                let query_rows = QueryRows {
                    zero_mass_heads,
                    ..QueryRows::new(&audit.branch, query, &audit.rows, &audit.weights)
                };
                let first = cells.iter().map(|(cell, ..)| *cell).min();
                self.note_rows(first.unwrap_or(usize::MAX), query, query_rows);
            }
            Err(error) => {
                for (cell, ..) in cells {
                    self.cells[*cell].end = Some((Choice::of_error(&error), None));
                }
            }
        }
    }

    /// Stores the rows read by a rule that ran by itself.
    fn note_rows_of(&mut self, cell: usize, selected: &Result<Selected, Choice>) {
        let audit = selected.as_ref().ok().and_then(|s| s.audit.as_ref());
        let Some((audit, query)) = audit.and_then(|a| Some((a, a.audit.query.as_ref()?))) else {
            return;
        };
        let query_rows = QueryRows {
            zero_mass_heads: audit.audit.zero_mass_heads.clone(),
            ..QueryRows::new(&query.branch, query.strategy, &query.rows, &query.weights)
        };
        self.note_rows(cell, query.strategy, query_rows);
    }

    /// Stores the rows read by a query strategy; those of the grid's first cell count, at its first
    /// stage.
    fn note_rows(&mut self, cell: usize, query: QueryStrategy, query_rows: QueryRows) {
        let queries = self.worker.grid.query_strategies();
        let Some(at) = queries.iter().position(|other| *other == query) else {
            return;
        };
        match self.looks.get(&at) {
            Some((first, _)) if *first <= cell => {}
            _ => {
                self.looks.insert(at, (cell, query_rows));
            }
        }
    }

    /// The rows read by each query strategy, in the order of the grid.
    pub(super) fn looks(&mut self) -> Vec<QueryRows> {
        let queries = self.worker.grid.query_strategies().into_iter().enumerate();
        queries
            .map(|(at, query)| {
                let found = self.looks.remove(&at);
                found.map_or_else(
                    || QueryRows::new("none", query, &[], &[]),
                    |(_, query_rows)| query_rows,
                )
            })
            .collect()
    }
}
