//! Combines the selections of all crops to one selection of the whole image.

use std::sync::Arc;

use crate::pruning::published::RunCodes;
use crate::pruning::{Dense, Extra, MethodChoice, SelectError, Selected, TokenSelection};

/// Combines `chosen` of each crop, whose patches became `tokens`, to a selection of all N tokens.
///
/// Unmerged tokens that each crop keeps in ascending order come in the order of the whole image:
/// the squeezed image's tokens, then row by row those of the stitched tiles (as FasterVLM,
/// VisPruner and CDPruner mask them). If a crop's tokens have another order, or rows are merged,
/// the crops follow each other, the squeezed image first.
pub(super) fn of_all(
    chosen: &[Selected],
    tokens: &[&[usize]],
    num_tokens: usize,
) -> Result<Selected, SelectError> {
    let is_plain = |selected: &Selected| selected.selection.kept_tokens().is_some();
    let in_order = chosen.iter().all(is_plain);
    let selection = if in_order {
        let mut places: Vec<usize> = Vec::new();
        for (selected, tokens) in chosen.iter().zip(tokens) {
            places.extend(selected.selection.places().iter().map(|&t| tokens[t]));
        }
        places.sort_unstable();
        TokenSelection::new(places, num_tokens)?
    } else {
        summed(chosen, tokens, num_tokens)?
    };
    let choices: Option<Vec<&MethodChoice>> = chosen.iter().map(|s| s.choice.as_deref()).collect();
    let choice = choices.map(|choices| choice(&choices, chosen, tokens, in_order));
    Ok(Selected {
        choice: choice.map(|choice| {
            Arc::new(MethodChoice {
                selection: Some(selection.clone()),
                ..choice
            })
        }),
        selection,
        audit: None,
    })
}

/// Concatenates the crops, each in its own order. Class tokens' rows come after all tokens, one
/// for each crop.
fn summed(
    chosen: &[Selected],
    tokens: &[&[usize]],
    num_tokens: usize,
) -> Result<TokenSelection, SelectError> {
    let mut rows = Vec::new();
    let mut is_before_projector = false;
    for (crop, (selected, tokens)) in chosen.iter().zip(tokens).enumerate() {
        let whole = |token: usize| tokens.get(token).copied().unwrap_or(num_tokens + crop);
        let selection = &selected.selection;
        let merge = selection.merge();
        is_before_projector |= merge.is_some_and(|merge| merge.is_before_projector());
        for (index, &place) in selection.places().iter().enumerate() {
            let sum = match merge.and_then(|merge| merge.rows().get(index)) {
                Some(sum) => sum.iter().map(|&(t, weight)| (whole(t), weight)).collect(),
                None => vec![(whole(place), 1.0)],
            };
            rows.push((whole(place), sum));
        }
    }
    if is_before_projector {
        TokenSelection::merged_with_class_rows(rows, num_tokens, chosen.len())
    } else {
        TokenSelection::merged(rows, num_tokens)
    }
}

/// Combines what the method reports of its choices, in the order of the crops.
fn choice(
    choices: &[&MethodChoice],
    chosen: &[Selected],
    tokens: &[&[usize]],
    in_order: bool,
) -> MethodChoice {
    let mut kept: Vec<i64> = Vec::new();
    let mut picked: Option<Vec<usize>> = Some(Vec::new());
    let mut rows: Option<Vec<Vec<f64>>> = Some(Vec::new());
    let mut width = 0;
    for ((choice, selected), tokens) in choices.iter().zip(chosen).zip(tokens) {
        let start = kept.len();
        if choice.has_class_token {
            kept.push(RunCodes::CLASS_TOKEN);
        }
        kept.extend(choice.kept.iter().map(|&code| match usize::try_from(code) {
            Ok(token) => tokens[token] as i64,
            Err(_) => code,
        }));
        kept.resize(start + selected.selection.len(), RunCodes::MERGED);
        picked = picked.zip(choice.picked.as_ref()).map(|(mut all, of)| {
            all.extend(of.iter().map(|&t| tokens[t]));
            all
        });
        rows = rows.zip(choice.rows.as_ref()).map(|(mut all, of)| {
            width = of.num_columns();
            all.extend(of.rows().map(<[f64]>::to_vec));
            all
        });
    }
    if in_order {
        kept.sort_unstable();
    }
    let first = choices.first().map_or(&[][..], |choice| &choice.extras);
    let extras = first.iter().filter_map(|(name, _)| {
        let of: Vec<(&Extra, &[usize])> = choices
            .iter()
            .zip(tokens)
            .filter_map(|(choice, tokens)| Some((choice.extra(name)?, *tokens)))
            .collect();
        Some((*name, joined(&of)?))
    });
    MethodChoice {
        kept,
        picked,
        extras: extras.collect(),
        has_class_token: false,
        rows: rows
            .filter(|rows| !rows.is_empty())
            .map(|rows| Dense::from_rows(rows, width)),
        selection: None,
    }
}

/// Joins one extra of all crops: tokens are indexed in the whole image, other numbers are
/// concatenated.
fn joined(of: &[(&Extra, &[usize])]) -> Option<Extra> {
    let whole = |list: &[usize], tokens: &[usize]| -> Vec<usize> {
        list.iter().map(|&t| tokens[t]).collect()
    };
    let mut all: Option<Extra> = None;
    for (extra, tokens) in of {
        let next = match extra {
            Extra::Count(count) => Extra::Indices(vec![*count]),
            Extra::Number(number) => Extra::Numbers(vec![*number]),
            Extra::Tokens(list) => Extra::Tokens(whole(list, tokens)),
            Extra::Groups(groups) => {
                Extra::Groups(groups.iter().map(|group| whole(group, tokens)).collect())
            }
            Extra::Numbers(_) | Extra::Indices(_) | Extra::Positions(_) => (*extra).clone(),
        };
        all = Some(match (all, next) {
            (None, next) => next,
            (Some(Extra::Indices(a)), Extra::Indices(b)) => Extra::Indices([a, b].concat()),
            (Some(Extra::Numbers(a)), Extra::Numbers(b)) => Extra::Numbers([a, b].concat()),
            (Some(Extra::Tokens(a)), Extra::Tokens(b)) => Extra::Tokens([a, b].concat()),
            (Some(Extra::Groups(a)), Extra::Groups(b)) => Extra::Groups([a, b].concat()),
            (Some(first), _) => first,
        });
    }
    all
}
