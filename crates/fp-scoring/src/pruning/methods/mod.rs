//! The methods that come with this crate, one file each.

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
pub use sparsevlm_plus::{Rope, SparseVlmPlus, SparseVlmPlusTokens, sparsevlm_plus_tokens};
pub use sparsevlm_raters::{SparseVlmRaters, sparsevlm_raters};
pub use uniform_grid::{UniformGrid, uniform_grid_tokens};
pub use v2drop::{V2Drop, v2drop_tokens};
pub use vanilla::Vanilla;
pub use visionzip::{VisionZip, VisionZipTokens, visionzip_tokens};
pub use vispruner::{VisPruner, VisPrunerTokens, vispruner_tokens};
pub use vscan::{VScan, VScanTokens, vscan_tokens};

use std::sync::Arc;

use super::published::{Dense, MethodParams, ParamValue, PublishedError};
use crate::{
    BudgetError, Evidence, ImageInput, Plan, PositionRule, SelectError, Selector, Site, Stage,
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

/// The grid of at most `kept` cells that a grid of `columns` × `rows` is brought down to:
/// as many cells as possible, among those the one whose sides are nearest to the grid's own
/// proportion, wider before taller. Sides differ by a factor of 2 at most, relative to it,
/// where that is possible.
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

/// One stage before layer 1 that lets a grid of `cells` through, numbered anew.
fn before_decoder(
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
        positions: PositionRule::Renumber,
    }
}

/// Refuses image tokens that aren't the whole of a grid.
fn check_whole(evidence: &Evidence<'_>, [columns, rows]: [usize; 2]) -> Result<(), SelectError> {
    if evidence.num_tokens() == columns * rows {
        return Ok(());
    }
    Err(SelectError::NotApplicable {
        reason: format!("image tokens aren't the whole {columns} × {rows} grid"),
    })
}

/// The side of the square grid of so many tokens.
fn square_side(method: &str, num_tokens: usize) -> Result<usize, SelectError> {
    let side = num_tokens.isqrt();
    if side * side == num_tokens {
        return Ok(side);
    }
    Err(SelectError::NotApplicable {
        reason: format!("{method}: {num_tokens} image tokens aren't one square grid"),
    })
}

/// The raters that were given, each a row of the text.
fn raters(params: &MethodParams, num_rows: usize) -> Result<&[usize], PublishedError> {
    let raters = params.counts("raters")?;
    let found = raters.iter().enumerate();
    for (index, rater) in found {
        if *rater >= num_rows || raters[..index].contains(rater) {
            let expected = format!("each once, and below {num_rows}, the rows of `rows`");
            return Err(params.refuse("raters", &rater, expected));
        }
    }
    Ok(raters)
}

/// The raters of a sample.
fn found_raters(evidence: &Evidence<'_>) -> Result<ParamValue, PublishedError> {
    let visual = Dense::from(evidence.embeds()?);
    let text = Dense::from(evidence.text_embeds()?);
    Ok(ParamValue::Counts(sparsevlm_raters(&visual, &text)?))
}

/// Numbers as they are written in a list.
fn listed(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(",")
}

/// min(keep, n − 1), as SparseVLM drops one token at least.
fn keep_below(params: &MethodParams, num_tokens: usize) -> Result<usize, PublishedError> {
    let keep = params.count("keep")?;
    if keep == 0 || num_tokens < 2 {
        let expected = format!("1 or more, of 2 tokens or more; there are {num_tokens}");
        return Err(params.refuse("keep", &keep, expected));
    }
    Ok(keep.min(num_tokens - 1))
}

/// The number of image tokens in a sequence of `len`, the image at `start` and `num_text`
/// tokens at least behind it: as given, or the greatest square that fits.
fn visual_tokens(
    params: &MethodParams,
    len: usize,
    start: usize,
    num_text: usize,
) -> Result<usize, PublishedError> {
    // Some text there has to be in any case.
    let most = len.saturating_sub(start).saturating_sub(1);
    if params.get("visual_tokens").is_some() {
        return params.count_up_to("visual_tokens", most, "places from the image's first on");
    }
    let room = (most + 1).saturating_sub(num_text.max(1));
    if room == 0 {
        let last = len.saturating_sub(num_text.max(1) + 1);
        let expected = format!(
            "at most {last}: the sequence is {len} long, {} of text behind the image included",
            num_text.max(1)
        );
        return Err(params.refuse("visual_start", &start, expected));
    }
    Ok(room.isqrt().pow(2))
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
