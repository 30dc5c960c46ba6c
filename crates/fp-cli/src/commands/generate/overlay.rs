//! The overlay of kept tokens on the model's input picture.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fp_model::{ModelConfig, SampleOutput};
use fp_report::drawing::{Overlay, OverlayFormat, Panel};
use fp_scoring::{MethodParams, Selection};

use super::inputs::Inputs;
use crate::commands::output_file::OutputFile;

/// The file that `--overlay` names.
pub(super) struct OverlayFile {
    file: OutputFile,
    format: OverlayFormat,
}

impl OverlayFile {
    /// Checks the path before the model answers; `None` if no overlay is requested.
    pub(super) fn new(path: Option<&Path>, is_pruned: bool) -> Result<Option<OverlayFile>> {
        let Some(path) = path else {
            return Ok(None);
        };
        ensure!(
            is_pruned,
            "--overlay shows kept tokens, and without a budget all are kept; give a budget with --keep R, --average-visual-tokens B or --retention SHARE, or name a method with --method"
        );
        Ok(Some(OverlayFile {
            format: OverlayFormat::of(path).context("--overlay")?,
            file: OutputFile::at("--overlay", path)?,
        }))
    }

    /// The file's content: the vision tower's input on the image's own grid of tokens. For
    /// any-resolution input that is the whole image with the tiles below it. Tokens kept by the
    /// last stage are framed, and shaded by the importance at the first; published methods have no
    /// such shading.
    pub(super) fn draw(
        &self,
        inputs: &Inputs,
        config: &ModelConfig,
        output: &SampleOutput,
        method: Option<&MethodParams>,
    ) -> Result<Vec<u8>> {
        let [columns, rows] = inputs.drawn_grid(config);
        let num_cells = columns * rows;
        let num_tokens = inputs.num_image_tokens(config);
        // A tower may output an additional token before those of the patches.
        let first = match config.dynamic {
            Some(_) => 0,
            None => config.tokens_per_square() - num_cells,
        };
        let mut overlay = Overlay::new(columns, rows);
        match inputs.seen()? {
            Some(picture) => overlay = overlay.with_picture(&picture, None),
            None => overlay.note("dummy weights: there is no picture"),
        }
        let by = output.stages.first();
        let by = by.and_then(|stage| stage.selected.audit.as_ref());
        let (titles, importance) = match (by, method) {
            (Some(selection), None) => {
                (of_selection(selection), selection.token_importance.clone())
            }
            _ => (of_method(output, method, num_tokens), vec![0.0; num_tokens]),
        };
        let kept = output.stages.last().map_or(&[][..], |stage| &stage.places);
        let num_kept = kept.len();
        let mut kept: Vec<usize> = kept
            .iter()
            .filter_map(|&token| token.checked_sub(first))
            .collect();
        // Tokens without a grid position share one.
        kept.sort_unstable();
        kept.dedup();
        let tiles = inputs.stitched(config)?;
        let num_drawn = num_cells
            + tiles
                .as_ref()
                .map_or(0, |(_, grid)| grid.columns * grid.rows);
        let undrawn = num_tokens.saturating_sub(num_drawn);
        if tiles.is_some() || undrawn > 0 {
            let place = if tiles.is_some() {
                "that end rows"
            } else {
                "before the grid"
            };
            let rest = match undrawn {
                0 => String::new(),
                1 => format!("; the one {place} is not drawn"),
                _ => format!("; the {undrawn} {place} are not drawn"),
            };
            overlay.note(format!(
                "kept {num_kept} of {num_tokens} image tokens{rest}"
            ));
        }
        let below = tiles.map(|(picture, grid)| {
            let (columns, rows) = (grid.columns, grid.rows);
            let token =
                |cell: usize| num_cells + cell / columns * grid.tokens_per_row() + cell % columns;
            let mut tiles = Overlay::new(columns, rows).with_picture(&picture, None);
            tiles.add(Panel {
                titles: vec!["tiles".to_owned()],
                importance: (0..columns * rows)
                    .map(|cell| importance[token(cell)])
                    .collect(),
                kept: (0..columns * rows)
                    .filter(|cell| kept.binary_search(&token(*cell)).is_ok())
                    .collect(),
            });
            tiles
        });
        let all = num_cells.min(num_tokens - first);
        overlay.add(Panel {
            titles,
            importance: importance[first..first + all].to_vec(),
            kept: kept.into_iter().filter(|token| *token < all).collect(),
        });
        if let Some(below) = below {
            overlay = overlay.above(below);
        }
        overlay.render(self.format).context("--overlay")
    }

    /// Writes the file, and reports it.
    pub(super) fn write(&self, content: &[u8]) -> Result<()> {
        self.file.write(content)?;
        eprintln!("wrote {}", self.file.path().display());
        Ok(())
    }
}

/// Title for a selection by attention.
fn of_selection(selection: &Selection) -> Vec<String> {
    let mut titles = vec![format!(
        "{}, h = {}",
        selection.head_strategy,
        selection.selected_heads.len()
    )];
    let query = selection.audit.query.as_ref();
    titles.extend(query.map(|query| query.strategy.to_string()));
    titles
}

/// The method, its last stage, and the kinds of tokens that it output.
fn of_method(
    output: &SampleOutput,
    method: Option<&MethodParams>,
    num_tokens: usize,
) -> Vec<String> {
    let name = method.map_or("", |params| params.card().name);
    let Some(last) = output.stages.last() else {
        return vec![name.to_owned()];
    };
    let mut kinds = vec![Kind::Plain; num_tokens];
    for stage in &output.stages {
        let selection = &stage.selected.selection;
        let merge = selection.merge();
        kinds = (0..selection.len())
            .map(|at| match merge.and_then(|merge| merge.rows().get(at)) {
                None => kinds[selection.places()[at]],
                Some(sum) => match sum.as_slice() {
                    [] => Kind::Zero,
                    [(token, weight)] if *weight == 1.0 => {
                        kinds.get(*token).copied().unwrap_or(Kind::Class)
                    }
                    _ => Kind::Merged,
                },
            })
            .collect();
    }
    let count = |kind: Kind| kinds.iter().filter(|other| **other == kind).count();
    let parts: Vec<String> = [
        (count(Kind::Plain), "unchanged"),
        (count(Kind::Merged), "merged"),
        (count(Kind::Class), "class"),
        (count(Kind::Zero), "zero"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    vec![
        format!("{name}, {}", last.site),
        format!("{} = {}", kinds.len(), parts.join(" + ")),
    ]
}

/// How an output token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An unchanged token.
    Plain,
    /// A weighted sum of several tokens.
    Merged,
    /// The class token.
    Class,
    /// The zero vector.
    Zero,
}
