//! The overlay of kept tokens.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fp_image::{ImageAspect, RgbImage, decode_file};
use fp_report::drawing::{Overlay, OverlayFormat, Panel};

use super::ScoreArgs;
use super::opened::OpenedDump;
use super::report::Outcome;
use crate::commands::output_file::OutputFile;

/// Columns and rows of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    columns: usize,
    rows: usize,
}

/// Parses `24x24`.
pub(super) fn parse_grid(text: &str) -> Result<Grid, String> {
    let wrong = || format!("`{text}` is not a grid; expected COLUMNSxROWS, such as 24x24");
    let (columns, rows) = text.split_once(['x', '×']).ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse().ok().filter(|&n: &usize| n > 0);
    match (number(columns), number(rows)) {
        (Some(columns), Some(rows)) => Ok(Grid { columns, rows }),
        _ => Err(wrong()),
    }
}

/// A requested overlay.
pub(super) struct OverlayRequest {
    file: OutputFile,
    format: OverlayFormat,
    grid: Grid,
    picture: Option<(PathBuf, RgbImage, ImageAspect)>,
}

/// A drawn overlay that has not been written yet.
pub(super) struct Drawn {
    file: OutputFile,
    content: Vec<u8>,
    num_panels: usize,
}

impl OverlayRequest {
    /// The requested overlay, checked as far as possible before scoring.
    pub(super) fn new(args: &ScoreArgs, dumps: &[OpenedDump]) -> Result<Option<OverlayRequest>> {
        let Some(path) = &args.overlay else {
            return Ok(None);
        };
        let format = OverlayFormat::of(path).context("--overlay")?;
        let file = OutputFile::at("--overlay", path)?;
        let grid = grid(args, dumps)?;
        let picture = match &args.image {
            None => None,
            Some(image) => {
                ensure!(
                    num_samples(dumps) == 1,
                    "--image: one picture can't be that of {} samples; score them one by one",
                    num_samples(dumps)
                );
                let aspect = args.aspect.unwrap_or(ImageAspect::Pad);
                let picture = decode_file(image).context("--image")?;
                Some((image.clone(), picture, aspect))
            }
        };
        Ok(Some(OverlayRequest {
            file,
            format,
            grid,
            picture,
        }))
    }

    /// Draws every selection.
    pub(super) fn draw(self, outcomes: &[Outcome]) -> Result<Drawn> {
        let Grid { columns, rows } = self.grid;
        let mut overlay = Overlay::new(columns, rows);
        if let Some((path, picture, aspect)) = &self.picture {
            // Models with a grid that isn't square don't square their images.
            let is_square = columns == rows;
            overlay = overlay.with_picture(picture, is_square.then_some(*aspect));
            let how = if is_square {
                format!("made square by {aspect}")
            } else {
                "stretched to the grid".to_owned()
            };
            overlay.note(format!("picture: {}, {how}", path.display()));
        }
        let num_places = columns * rows;
        let is_more = |outcome: &Outcome| outcome.selection.token_importance.len() > num_places;
        if outcomes.iter().any(is_more) {
            overlay.note(format!(
                "only the first {num_places} image tokens are drawn, {columns} by {rows}"
            ));
        }
        for outcome in outcomes {
            overlay.add(Panel {
                titles: titles(outcome),
                importance: outcome.selection.token_importance.clone(),
                kept: outcome.selection.kept_tokens.as_slice().to_vec(),
            });
        }
        Ok(Drawn {
            content: overlay.render(self.format).context("--overlay")?,
            file: self.file,
            num_panels: outcomes.len(),
        })
    }
}

impl Drawn {
    /// Writes the file, and reports it.
    pub(super) fn write(self) -> Result<()> {
        self.file.write(&self.content)?;
        let selections = match self.num_panels {
            1 => "1 selection".to_owned(),
            count => format!("{count} selections"),
        };
        eprintln!("wrote {}: {selections}", self.file.path().display());
        Ok(())
    }
}

fn num_samples(dumps: &[OpenedDump]) -> usize {
    dumps.iter().map(|dump| dump.form.num_slabs()).sum()
}

/// The given grid, or a square of all tokens.
fn grid(args: &ScoreArgs, dumps: &[OpenedDump]) -> Result<Grid> {
    let mut square = None;
    for dump in dumps {
        let num_image = dump.form.num_image();
        if let Some(Grid { columns, rows }) = args.grid {
            let places = columns.checked_mul(rows);
            ensure!(
                places.is_some_and(|places| places <= num_image),
                "{}--grid {columns}x{rows} has more places than there are image tokens, {num_image}",
                dump.place()
            );
            continue;
        }
        let side = num_image.isqrt();
        ensure!(
            side * side == num_image && square.is_none_or(|known| known == side),
            "{}--overlay: {num_image} image tokens don't form a square; give the layout of the first of them with --grid COLUMNSxROWS, such as the base grid of an any-resolution model",
            dump.place()
        );
        square = Some(side);
    }
    let side = square.unwrap_or(0);
    Ok(args.grid.unwrap_or(Grid {
        columns: side,
        rows: side,
    }))
}

/// Title: what selected the tokens, and on which dump, sample and layer.
fn titles(outcome: &Outcome) -> Vec<String> {
    let selection = &outcome.selection;
    let heads = &selection.selected_heads;
    let mut titles = vec![format!("{}, h = {}", selection.head_strategy, heads.len())];
    titles.extend(
        selection
            .audit
            .query
            .as_ref()
            .map(|q| q.strategy.to_string()),
    );
    let mut place: Vec<String> = Vec::new();
    place.extend(outcome.dump.clone());
    place.extend(outcome.sample.map(|sample| format!("sample {sample}")));
    place.extend(outcome.layer.map(|layer| format!("layer {layer}")));
    if !place.is_empty() {
        titles.push(place.join(", "));
    }
    titles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids() {
        let grid = |columns, rows| Ok(Grid { columns, rows });
        assert_eq!(parse_grid("24x24"), grid(24, 24));
        assert_eq!(parse_grid("3×2"), grid(3, 2));
        for wrong in ["24", "0x4", "-1x2", "axb", "3x"] {
            assert!(parse_grid(wrong).is_err(), "{wrong}");
        }
    }
}
