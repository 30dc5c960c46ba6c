//! The overlay of kept tokens on the picture that the model saw.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fp_model::ModelConfig;
use fp_report::drawing::{Overlay, OverlayFormat, Panel};
use fp_scoring::Selection;

use super::inputs::Inputs;
use crate::commands::output_file::OutputFile;

/// The file that `--overlay` names.
pub(super) struct OverlayFile {
    file: OutputFile,
    format: OverlayFormat,
}

impl OverlayFile {
    /// Checked before the model answers; none where none is asked for.
    pub(super) fn new(path: Option<&Path>, is_pruned: bool) -> Result<Option<OverlayFile>> {
        let Some(path) = path else {
            return Ok(None);
        };
        ensure!(
            is_pruned,
            "--overlay shows kept tokens, and without a budget all are kept; say how much stays with --keep R, --average-visual-tokens B or --retention SHARE"
        );
        Ok(Some(OverlayFile {
            format: OverlayFormat::of(path).context("--overlay")?,
            file: OutputFile::at("--overlay", path)?,
        }))
    }

    /// The file's content: the square that the vision tower sees. Of any-resolution input
    /// that is the whole image, whose tokens come before those of the tiles. `selection` is
    /// that of the first stage, `kept` what the last one let through.
    pub(super) fn draw(
        &self,
        inputs: &Inputs,
        config: &ModelConfig,
        selection: &Selection,
        kept: &[usize],
    ) -> Result<Vec<u8>> {
        let side = config.vision.patches_per_side();
        let num_tokens = selection.token_importance.len();
        // A tower may give a token of its own before those of the patches.
        let first = config.tokens_per_square() - side * side;
        let mut overlay = Overlay::new(side, side);
        match inputs.seen()? {
            Some(picture) => overlay = overlay.with_picture(&picture, None),
            None => overlay.note("dummy weights: there is no picture"),
        }
        if num_tokens > side * side {
            overlay.note(format!(
                "of {num_tokens} image tokens the {} of the whole image are drawn; the {} others{} are not",
                side * side,
                num_tokens - side * side,
                if num_tokens > config.tokens_per_square() { ", of tiles," } else { "" },
            ));
        }
        let mut titles = vec![format!(
            "{}, h = {}",
            selection.head_strategy,
            selection.selected_heads.len()
        )];
        let query = selection.audit.query.as_ref();
        titles.extend(query.map(|query| query.strategy.to_string()));
        let kept = kept.iter();
        overlay.add(Panel {
            titles,
            importance: selection.token_importance[first..].to_vec(),
            kept: kept.filter_map(|&token| token.checked_sub(first)).collect(),
        });
        overlay.render(self.format).context("--overlay")
    }

    /// Writes it, and says so beside the output.
    pub(super) fn write(&self, content: &[u8]) -> Result<()> {
        self.file.write(content)?;
        eprintln!("wrote {}", self.file.path().display());
        Ok(())
    }
}
