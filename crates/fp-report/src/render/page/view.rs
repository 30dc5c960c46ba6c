//! Drawings of image token grids: the picture, dropped patches dark, boxes framed.

use std::fmt::Write as _;

use fp_data::metric::token_quality::PlacedGrid;
use maud::{Markup, html};
use serde::{Serialize, Serializer};

use crate::run::Run;
use crate::sample::ReportSample;

/// A grid of a sample's tokens; coordinates are in cells. Names are short, since there are many.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// Number of columns.
    #[serde(rename = "c")]
    pub(super) columns: usize,
    /// Number of rows.
    #[serde(rename = "r")]
    pub(super) rows: usize,
    /// Whether each row ends with a token that is no cell.
    #[serde(rename = "n")]
    has_newlines: bool,
    /// Index of its first token among the image's tokens.
    #[serde(rename = "f")]
    first: usize,
    /// Position of the picture, `[x, y, width, height]`.
    #[serde(rename = "p", serialize_with = "rounded")]
    picture: [f64; 4],
    /// Boxes, `[x, y, width, height]`.
    #[serde(rename = "b", serialize_with = "all_rounded")]
    pub(super) boxes: Vec<[f64; 4]>,
}

/// The grids of a sample's tokens; empty where they are unknown.
pub(super) fn views(run: &Run, sample: &ReportSample) -> Vec<View> {
    let Some(places) = run.places(sample) else {
        return Vec::new();
    };
    let is_square = sample.grids.is_empty();
    let mut first = 0;
    let views = places.grids().iter().map(|grid| {
        let view = View::new(grid, first, is_square, &sample.boxes);
        first += grid.num_tokens();
        view
    });
    views.collect()
}

impl View {
    /// For a square grid the picture is squared too, and fills it.
    fn new(grid: &PlacedGrid, first: usize, is_square: bool, boxes: &[[f64; 4]]) -> View {
        let (width, height) = (grid.columns as f64, grid.rows as f64);
        let [image_width, image_height] = grid.framing.size;
        View {
            columns: grid.columns,
            rows: grid.rows,
            has_newlines: grid.has_newlines,
            first,
            picture: if is_square {
                [0.0, 0.0, width, height]
            } else {
                let [x0, y0, x1, y1] = grid.to_cells([0.0, 0.0, image_width, image_height]);
                [x0, y0, x1 - x0, y1 - y0]
            },
            boxes: boxes
                .iter()
                .map(|&corners| {
                    let [x0, y0, x1, y1] = grid.to_cells(corners);
                    let (left, top) = (x0.clamp(0.0, width), y0.clamp(0.0, height));
                    let (right, bottom) = (x1.clamp(0.0, width), y1.clamp(0.0, height));
                    [left, top, right - left, bottom - top]
                })
                .filter(|b| b[2] > 0.0 && b[3] > 0.0)
                .collect(),
        }
    }

    /// The token of a cell.
    fn token(&self, row: usize, column: usize) -> usize {
        self.first + row * (self.columns + usize::from(self.has_newlines)) + column
    }

    /// An SVG path around each patch that isn't kept.
    fn dropped(&self, kept: &[usize]) -> String {
        let mut path = String::new();
        for row in 0..self.rows {
            for column in 0..self.columns {
                if !kept.contains(&self.token(row, column)) {
                    // Writing to a string can't fail.
                    let _ = write!(path, "M{column} {row}h1v1h-1z");
                }
            }
        }
        path
    }

    /// As SVG; `label` describes the content.
    pub(super) fn draw(
        &self,
        picture: Option<usize>,
        kept: Option<&[usize]>,
        label: &str,
    ) -> Markup {
        let (columns, rows) = (self.columns, self.rows);
        let [x, y, width, height] = self.picture.map(hundredths);
        html! {
            svg.view viewBox={ "0 0 " (columns) " " (rows) } role="img" aria-label=(label) {
                rect.ground width=(columns) height=(rows) {}
                @if let Some(picture) = picture {
                    use href={ "#picture-" (picture) }
                        transform={ "translate(" (x) " " (y) ") scale(" (width) " " (height) ")" } {}
                }
                @if let Some(kept) = kept {
                    path.dropped d=(self.dropped(kept)) {}
                }
                @for [x, y, width, height] in self.boxes.iter().map(|b| b.map(hundredths)) {
                    rect.box x=(x) y=(y) width=(width) height=(height) {}
                }
            }
        }
    }
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

fn to_hundredths(values: &[f64; 4]) -> [f64; 4] {
    values.map(|value| (value * 100.0).round() / 100.0)
}

fn rounded<S: Serializer>(values: &[f64; 4], serializer: S) -> Result<S::Ok, S::Error> {
    to_hundredths(values).serialize(serializer)
}

fn all_rounded<S: Serializer>(values: &[[f64; 4]], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(to_hundredths))
}

#[cfg(test)]
mod tests {
    use fp_data::metric::token_quality::TokenPlaces;
    use fp_image::{ImageSize, TokenGrid};

    use super::*;

    #[test]
    fn tiles_by_hand() {
        // 4 × 2 pixels: 2 × 2 cells of the squeezed image, then 4 × 4 cells with two rows in
        // padding, each row with an end-of-row token.
        let size = ImageSize {
            height: 2,
            width: 4,
        };
        let tiles = TokenGrid {
            columns: 4,
            rows: 4,
            area: [0.0, -1.0, 4.0, 3.0],
            has_newlines: true,
        };
        let grids = [TokenGrid::over(size, [2, 2]), tiles];
        let places = TokenPlaces::of_grids([4, 2], &grids).unwrap();
        let boxes = [[2.0, 0.0, 4.0, 2.0], [9.0, 9.0, 9.5, 9.5]];
        let of = |index: usize, first| View::new(&places.grids()[index], first, false, &boxes);
        let (base, tiles) = (of(0, 0), of(1, 4));
        assert_eq!(base.picture, [0.0, 0.0, 2.0, 2.0]);
        assert_eq!(base.boxes, [[1.0, 0.0, 1.0, 2.0]]);
        assert_eq!(tiles.picture, [0.0, 1.0, 4.0, 2.0]);
        assert_eq!(tiles.boxes, [[2.0, 1.0, 2.0, 2.0]]);
        assert_eq!(tiles.token(1, 0), 4 + 5);
        let kept: Vec<usize> = (0..24).filter(|token| *token != 9).collect();
        assert_eq!(
            (base.dropped(&kept).as_str(), tiles.dropped(&kept)),
            ("", "M0 1h1v1h-1z".to_owned())
        );
        let json = serde_json::to_string(&tiles).unwrap();
        let expected =
            r#"{"c":4,"r":4,"n":true,"f":4,"p":[0.0,1.0,4.0,2.0],"b":[[2.0,1.0,2.0,2.0]]}"#;
        assert_eq!(json, expected);
    }
}
