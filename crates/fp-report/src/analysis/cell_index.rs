//! Roles of cells: strategies by h and budget, and the controls beside them.

use fp_eval::study::config::StudyKind;
use fp_eval::study::{Cell, Grid, Method, StudyConfig};
use fp_scoring::{HeadStrategy, QueryStrategy, StrategyCard};

/// A strategy under study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strategy {
    /// Name of what is varied: a head strategy, a query strategy, or both joined by `+`.
    pub(crate) name: String,
    pub(crate) head: HeadStrategy,
    pub(crate) query: QueryStrategy,
}

/// A method of the registry without a role of its own in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherMethod {
    /// Label of its cells, without the budget.
    pub(crate) label: String,
    /// Its cell, if the method takes no budget.
    pub(crate) without_budget: Option<usize>,
    /// `[budgets]`, its cell at each budget.
    pub(crate) cells: Vec<Option<usize>>,
}

impl OtherMethod {
    /// The cell to compare at a budget.
    pub(crate) fn at(&self, budget: usize) -> Option<usize> {
        self.without_budget.or(self.cells[budget])
    }
}

/// The cells of a grid by role. Indices are those of the grid's cells.
#[derive(Debug, Clone)]
pub(crate) struct CellIndex {
    pub(crate) kind: StudyKind,
    pub(crate) strategies: Vec<Strategy>,
    pub(crate) head_counts: Vec<usize>,
    pub(crate) budgets: Vec<String>,
    /// `[strategies][head counts][budgets]`.
    studied: Vec<Vec<Vec<Option<usize>>>>,
    /// `[strategies][head counts][budgets]`, the cells of their static variants.
    statics: Vec<Vec<Vec<Option<usize>>>>,
    pub(crate) vanilla: Option<usize>,
    pub(crate) no_image: Option<usize>,
    pub(crate) drop_all: Option<usize>,
    /// `[budgets]`.
    pub(crate) all_heads: Vec<Option<usize>>,
    pub(crate) uniform_grid: Vec<Option<usize>>,
    pub(crate) oracle: Vec<Option<usize>>,
    /// `[budgets][seeds]`.
    pub(crate) random: Vec<Vec<usize>>,
    /// All other methods of the registry, in the order of the grid.
    pub(crate) others: Vec<OtherMethod>,
    baseline: String,
}

impl CellIndex {
    pub(crate) fn new(config: &StudyConfig, grid: &Grid) -> CellIndex {
        let num_budgets = grid.budgets.len();
        let mut cell_index = CellIndex {
            kind: config.study,
            strategies: Vec::new(),
            head_counts: Vec::new(),
            budgets: grid.budgets.iter().map(|b| b.label.clone()).collect(),
            studied: Vec::new(),
            statics: Vec::new(),
            vanilla: None,
            no_image: None,
            drop_all: None,
            all_heads: vec![None; num_budgets],
            uniform_grid: vec![None; num_budgets],
            oracle: vec![None; num_budgets],
            random: vec![Vec::new(); num_budgets],
            others: Vec::new(),
            baseline: config.baseline().to_owned(),
        };
        for cell in &grid.cells {
            cell_index.note(cell);
        }
        let (rows, columns) = (cell_index.head_counts.len(), num_budgets);
        cell_index.studied = vec![vec![vec![None; columns]; rows]; cell_index.strategies.len()];
        cell_index.statics = cell_index.studied.clone();
        for (index, cell) in grid.cells.iter().enumerate() {
            cell_index.place(index, cell);
        }
        cell_index
    }

    /// Collects the strategies and head counts that occur.
    fn note(&mut self, cell: &Cell) {
        if let Method::Strategy {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } = cell.method
        {
            let strategy = Strategy {
                name: match self.kind {
                    StudyKind::A => head_strategy.to_string(),
                    StudyKind::B => query_strategy.to_string(),
                    StudyKind::Full | StudyKind::Methods => {
                        format!("{head_strategy}+{query_strategy}")
                    }
                },
                head: head_strategy,
                query: query_strategy,
            };
            if !self.strategies.contains(&strategy) {
                self.strategies.push(strategy);
            }
            if !self.head_counts.contains(&num_selected_heads) {
                self.head_counts.push(num_selected_heads);
            }
        }
    }

    fn place(&mut self, index: usize, cell: &Cell) {
        let is_static = matches!(cell.method, Method::Static { .. });
        let (head_strategy, query_strategy, num_selected_heads) = match &cell.method {
            Method::Named { name, .. } => {
                match (name.as_str(), cell.budget) {
                    ("vanilla", _) => self.vanilla = Some(index),
                    ("no_image", _) => self.no_image = Some(index),
                    // With several values of K, the cell of the first.
                    ("drop_all", _) => self.drop_all = self.drop_all.or(Some(index)),
                    ("all_heads", Some(budget)) => self.all_heads[budget] = Some(index),
                    ("uniform_grid", Some(budget)) => self.uniform_grid[budget] = Some(index),
                    ("oracle", Some(budget)) => self.oracle[budget] = Some(index),
                    ("random", Some(budget)) => self.random[budget].push(index),
                    (_, budget) => self.place_other(index, cell, budget),
                }
                return;
            }
            Method::Strategy {
                head_strategy,
                query_strategy,
                num_selected_heads,
            }
            | Method::Static {
                head_strategy,
                query_strategy,
                num_selected_heads,
            } => (head_strategy, query_strategy, num_selected_heads),
        };
        let Some(budget) = cell.budget else {
            return;
        };
        let strategy = self
            .strategies
            .iter()
            .position(|s| s.head == *head_strategy && s.query == *query_strategy);
        let count = self
            .head_counts
            .iter()
            .position(|h| h == num_selected_heads);
        if let (Some(strategy), Some(count)) = (strategy, count) {
            let of = if is_static {
                &mut self.statics
            } else {
                &mut self.studied
            };
            of[strategy][count][budget] = Some(index);
        }
    }

    fn place_other(&mut self, index: usize, cell: &Cell, budget: Option<usize>) {
        let label = cell.method.label();
        let known = self.others.iter().position(|other| other.label == label);
        let at = known.unwrap_or_else(|| {
            self.others.push(OtherMethod {
                label,
                without_budget: None,
                cells: vec![None; self.budgets.len()],
            });
            self.others.len() - 1
        });
        match budget {
            Some(budget) => self.others[at].cells[budget] = Some(index),
            None => self.others[at].without_budget = Some(index),
        }
    }

    /// Whether the study compares whole methods, strategies among them.
    pub(crate) fn compares_methods(&self) -> bool {
        self.kind == StudyKind::Methods
    }

    /// Whether reports are primarily about whole methods.
    pub(crate) fn asks_about_methods(&self) -> bool {
        self.compares_methods() || self.strategies.is_empty()
    }

    /// The cell of a strategy at a head count and a budget, all by index.
    pub(crate) fn cell(&self, strategy: usize, head_count: usize, budget: usize) -> Option<usize> {
        self.studied[strategy][head_count][budget]
    }

    /// All studied cells: strategy, head count, budget, cell.
    pub(crate) fn studied(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        cells_in(&self.studied)
    }

    /// The cells of static variants: strategy, head count, budget, cell.
    pub(crate) fn static_variants(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        cells_in(&self.statics)
    }

    /// All cells of a strategy.
    pub(crate) fn cells_of(&self, strategy: usize) -> Vec<usize> {
        self.studied()
            .filter(|(s, ..)| *s == strategy)
            .map(|(.., cell)| cell)
            .collect()
    }

    /// The strategy that another is tested against; `None` for the baseline itself and where the
    /// run lacks it. With both kinds varied it is the baseline head strategy with the same query
    /// strategy.
    pub(crate) fn reference_of(&self, strategy: usize) -> Option<usize> {
        let (this, reference) = (&self.strategies[strategy], self.baseline_with(strategy)?);
        (this != &self.strategies[reference]).then_some(reference)
    }

    /// Whether other strategies are tested against this one.
    pub(crate) fn is_baseline(&self, strategy: usize) -> bool {
        self.baseline_with(strategy) == Some(strategy)
    }

    fn baseline_with(&self, strategy: usize) -> Option<usize> {
        let query = self.strategies[strategy].query;
        self.strategies.iter().position(|other| match self.kind {
            StudyKind::A | StudyKind::B => other.name == self.baseline,
            StudyKind::Full | StudyKind::Methods => {
                other.head.name() == self.baseline && other.query == query
            }
        })
    }

    /// The baseline's name in the configuration.
    pub(crate) fn baseline_name(&self) -> &str {
        &self.baseline
    }

    /// Formula, hypothesis and source of a strategy.
    pub(crate) fn card(&self, strategy: usize) -> StrategyCard {
        let strategy = &self.strategies[strategy];
        match self.kind {
            StudyKind::B => strategy.query.card(),
            StudyKind::A | StudyKind::Full | StudyKind::Methods => strategy.head.card(),
        }
    }
}

/// The cells in `[strategies][head counts][budgets]`, each preceded by its indices.
fn cells_in(
    cells: &[Vec<Vec<Option<usize>>>],
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    cells.iter().enumerate().flat_map(|(s, by_heads)| {
        by_heads.iter().enumerate().flat_map(move |(h, by_budget)| {
            by_budget
                .iter()
                .enumerate()
                .filter_map(move |(b, cell)| Some((s, h, b, (*cell)?)))
        })
    })
}
