//! The methods of this crate, one file each.

mod all_heads;
mod cdpruner;
mod dart;
mod divprune;
mod downsample;
mod drop_all;
mod fastervlm;
mod fitprune;
mod fixed_heads;
mod hiprune;
mod holov;
mod no_image;
mod oracle;
mod pool;
mod prumerge_plus;
mod pyramiddrop;
mod random;
mod scope;
mod sparsevlm;
mod sparsevlm_plus;
mod sparsevlm_raters;
mod uniform_grid;
mod v2drop;
mod vanilla;
mod visionzip;
mod vispruner;
mod vscan;

pub use all_heads::AllHeads;
pub use cdpruner::{CdPruner, cdpruner_relevance, cdpruner_tokens};
pub use dart::{Dart, DartTokens, dart_tokens};
pub use divprune::{DivPrune, divprune_tokens};
pub use downsample::Downsample;
pub use drop_all::DropAll;
pub use fastervlm::{FasterVlm, fastervlm_tokens};
pub use fitprune::{FitPrune, fitprune_tokens};
pub use fixed_heads::FixedHeads;
pub use hiprune::{HiPrune, HiPruneTokens, hiprune_tokens};
pub use holov::{HoloV, HoloVTokens, holov_tokens};
pub use no_image::NoImage;
pub use oracle::{Oracle, oracle_tokens};
pub use pool::Pool;
pub use prumerge_plus::{
    PruMergePlus, PruMergePlusTokens, prumerge_attention, prumerge_plus_tokens,
};
pub use pyramiddrop::{PyramidDrop, pyramiddrop_tokens};
pub use random::{Random, random_tokens};
pub use scope::{Scope, scope_tokens};
pub use sparsevlm::{Clusters, SparseVlm, dpc_knn};
pub use sparsevlm_plus::{SparseVlmPlus, SparseVlmPlusTokens, sparsevlm_plus_tokens};
pub use sparsevlm_raters::{SparseVlmRaters, sparsevlm_raters};
pub use uniform_grid::{UniformGrid, uniform_grid_tokens};
pub use v2drop::{V2Drop, v2drop_tokens};
pub use vanilla::Vanilla;
pub use visionzip::{VisionZip, VisionZipTokens, visionzip_tokens};
pub use vispruner::{VisPruner, VisPrunerTokens, vispruner_tokens};
pub use vscan::{VScan, VScanTokens, vscan_tokens};

use std::sync::Arc;

use crate::{
    BudgetError, Evidence, ImageInput, Plan, PlanSetting, PositionRule, SelectError, Selector,
    Site, Stage,
};

/// Refuses R outside 1..=N.
fn check_kept(name: &str, num_image_tokens: usize, kept: usize) -> Result<(), BudgetError> {
    if kept == 0 || kept > num_image_tokens {
        return Err(BudgetError::Kept {
            budget: format!("{name} with kept = {kept}"),
            kept: kept as f64,
            num_image_tokens,
        });
    }
    Ok(())
}

/// The grid of at most `kept` cells to which a grid of `columns` × `rows` is reduced: as many
/// cells as possible, and among those the grid whose proportions are nearest to the original,
/// wider before taller. Relative to the original the sides differ by at most a factor of 2, if
/// possible.
fn smaller_grid([columns, rows]: [usize; 2], kept: usize) -> [usize; 2] {
    let stretch = |w: usize, h: usize| {
        let ratio = (w * rows) as f64 / (h * columns) as f64;
        ratio.max(1.0 / ratio)
    };
    let mut best = ([1, 1], f64::INFINITY);
    for w in 1..=columns.min(kept) {
        for h in 1..=rows.min(kept / w) {
            let stretched = stretch(w, h);
            if stretched > 2.0 && !(kept < 2 || columns == 1 || rows == 1) {
                continue;
            }
            let is_more = w * h > best.0[0] * best.0[1];
            let is_alike = w * h == best.0[0] * best.0[1] && stretched <= best.1;
            if is_more || is_alike {
                best = ([w, h], stretched);
            }
        }
    }
    best.0
}

/// One stage before layer 1 that keeps a grid of `cells`, renumbered if positions are
/// one-dimensional.
fn before_decoder(
    setting: &PlanSetting,
    input: ImageInput,
    selector: impl Selector + 'static,
    [columns, rows]: [usize; 2],
) -> Plan {
    Plan {
        input,
        stages: vec![Stage {
            site: Site::Embeddings,
            selector: Arc::new(selector),
            kept: columns * rows,
        }],
        positions: setting.positions(PositionRule::Renumber),
    }
}

/// Refuses image tokens that aren't a complete grid.
fn check_whole(evidence: &Evidence<'_>, [columns, rows]: [usize; 2]) -> Result<(), SelectError> {
    if evidence.num_tokens() == columns * rows {
        return Ok(());
    }
    Err(SelectError::NotApplicable {
        reason: format!("image tokens don't form the complete {columns} × {rows} grid"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_grids_by_hand() {
        for (kept, expected) in [
            (144, [12, 12]),
            (143, [12, 11]),
            (42, [7, 6]),
            (25, [5, 5]),
            (8, [4, 2]),
            (7, [3, 2]),
            (3, [2, 1]),
            (1, [1, 1]),
        ] {
            assert_eq!(smaller_grid([12, 12], kept), expected, "{kept}");
        }
    }
}
