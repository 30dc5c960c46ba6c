//! Measured times of a cell: time to the first token, time to select tokens, and savings in the
//! prefill.

use fp_eval::efficiency::{Efficiency, MeasuredSchedule, Pays};
use fp_eval::study::Method;

use crate::render::Source;

/// Medians of one cell's times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::render) struct CellTimes {
    /// From the pixels to the first token, token selection included.
    pub(in crate::render) first_token_ms: f64,
    /// Selecting the tokens; `None` where nothing is selected.
    pub(in crate::render) selection_ms: Option<f64>,
    /// Time saved in the decoder's prefill compared with no pruning, without the selection.
    pub(in crate::render) saved_ms: Option<f64>,
    /// Whether the savings exceed the cost of selection.
    pub(in crate::render) pays: Option<Pays>,
}

/// `None` where no measured schedule has the same cost as the cell.
pub(in crate::render) fn cell_times(
    source: &Source<'_>,
    efficiency: &Efficiency,
    cell: usize,
) -> Option<CellTimes> {
    let grid = &source.run.spec.grid;
    let found = &grid.cells[cell];
    if let Some(measured) = efficiency.method(&found.id) {
        return Some(CellTimes {
            first_token_ms: measured.first_token_ms.median,
            selection_ms: Some(measured.selection_ms.median),
            saved_ms: Some(measured.saved_ms.median),
            pays: Some(measured.pays()),
        });
    }
    let plan = &efficiency.plan;
    let mut schedules = plan.schedules.iter();
    let schedule = match (found.method.name(), found.budget) {
        (Some("vanilla"), _) => schedules.position(|s| !s.is_pruned)?,
        (Some("drop_all"), _) => schedules.position(|s| s.is_pruned && !s.is_scored)?,
        // Methods that are not one stage after layer K have a measurement of their own, or none.
        (None | Some("all_heads" | "random" | "uniform_grid"), Some(budget)) => {
            let budget = &grid.budgets[budget];
            let is_one_stage = budget.schedule.is_none();
            let is_first_layer = budget.prune_layer.is_none_or(|k| k == plan.prune_layer);
            let setting = Some(&budget.setting).filter(|_| is_one_stage && is_first_layer)?;
            plan.schedule_of(setting)?
        }
        _ => return None,
    };
    let measured = efficiency.schedules.get(schedule)?;
    let selection_ms = scoring_ms(efficiency, schedule, &found.method);
    let own = measured.scoring_ms.map_or(0.0, |scoring| scoring.median);
    let without = measured.first_token_ms.median - own;
    let saved_ms = plan.schedules[schedule]
        .is_pruned
        .then(|| saved(efficiency, measured));
    let saved_ms = saved_ms.flatten();
    Some(CellTimes {
        first_token_ms: without + selection_ms.unwrap_or(0.0),
        selection_ms,
        saved_ms,
        pays: selection_ms
            .zip(saved_ms)
            .map(|(cost, saved)| Pays::of(cost, saved)),
    })
}

/// The dense prefill minus the pruned one, without scoring.
fn saved(efficiency: &Efficiency, measured: &MeasuredSchedule) -> Option<f64> {
    let dense = efficiency.schedules.first()?;
    let own = measured.scoring_ms.map_or(0.0, |scoring| scoring.median);
    Some(dense.prefill_ms.median - (measured.prefill_ms.median - own))
}

/// Scoring and selection of a strategy with a schedule: its own time, else the median of those that
/// read the same rows; `None` for methods that read no attention.
fn scoring_ms(efficiency: &Efficiency, schedule: usize, method: &Method) -> Option<f64> {
    let query = method.query_strategy()?;
    let num_heads = efficiency.plan.shape.num_heads;
    let mut alike = Vec::new();
    for scoring in &efficiency.scoring {
        let (timed, ms) = (&scoring.method, scoring.ms.get(schedule).copied().flatten());
        let Some(ms) = ms.filter(|_| timed.query_strategy == query) else {
            continue;
        };
        let has_all_heads = timed.num_selected_heads == num_heads;
        let is_own = match method {
            Method::Strategy { head_strategy, .. } => {
                !has_all_heads && timed.head_strategy == *head_strategy
            }
            Method::Static { .. } => false,
            Method::Named { .. } => has_all_heads,
        };
        if is_own {
            return Some(ms.median);
        }
        alike.push(ms.median);
    }
    alike.sort_by(f64::total_cmp);
    alike.get(alike.len() / 2).copied()
}
