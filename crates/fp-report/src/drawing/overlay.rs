//! Selections side by side: each token is a square shaded by its importance, with a frame if it is
//! kept, optionally beside the picture with the dropped tokens darkened.

use std::io;
use std::path::{Path, PathBuf};

use fp_data::text::wrapped;
use fp_image::ImageAspect;
use image::RgbImage;

use super::font;
use super::shapes::{Area, Color, Drawing, Group, Shape};
use super::{shade, shrunk, squared};

/// Longest side of a grid, in units.
const SIDE: u32 = 252;
/// Margin between and around panels, in units.
const MARGIN: u32 = 12;
/// Height of a line of text, in units.
const LINE: u32 = 11;
/// Panels per row; half as many where each has a picture beside it.
const COLUMNS: usize = 4;
/// Most panels: more than any command selects by default, and few enough to be drawn and shown.
const MOST_PANELS: usize = 240;
/// Longest side of a picture in pixels; more than is shown.
const PICTURE_SIDE: u32 = 672;
/// Opacity of the veil over a dropped token's picture, in %.
const VEIL: u32 = 72;

const INK: Color = [31, 35, 40];
const GREY: Color = [101, 109, 118];
/// A colour unlike every shade of the scale.
const KEPT: Color = [230, 0, 122];
const BLACK: Color = [0; 3];

/// Why an overlay can't be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// A file name with an unknown extension.
    #[error("{}: an overlay's name ends in .svg or .png", path.display())]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// No panel, or too many.
    #[error("an overlay shows 1 to {MOST_PANELS} selections, not {count}; choose fewer strategies")]
    Panels {
        /// Number of panels.
        count: usize,
    },
    /// A grid without cells, or with more cells than a selection has tokens.
    #[error(
        "a grid of {columns}x{rows} has {} places, but there are {num_tokens} image tokens",
        columns.saturating_mul(*rows)
    )]
    Grid {
        /// Number of columns.
        columns: usize,
        /// Number of rows.
        rows: usize,
        /// Number of image tokens in a selection.
        num_tokens: usize,
    },
    /// A picture that can't be encoded.
    #[error("a picture can't be encoded")]
    Encode {
        /// The cause.
        source: io::Error,
    },
}

/// File format of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayFormat {
    /// Shapes and text, for browsers and editors.
    Svg,
    /// An image of two pixels per unit.
    Png,
}

impl OverlayFormat {
    /// The format for a file name's extension.
    ///
    /// # Errors
    /// An unknown extension.
    pub fn of(path: &Path) -> Result<OverlayFormat, OverlayError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_ascii_lowercase().as_str() {
            "svg" => Ok(OverlayFormat::Svg),
            "png" => Ok(OverlayFormat::Png),
            _ => Err(OverlayError::Ending {
                path: path.to_owned(),
            }),
        }
    }
}

/// One selection.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Lines of title: the selection and its method.
    pub titles: Vec<String>,
    /// `[N]`, importance of every image token; all 0 where the selection has no such scores.
    pub importance: Vec<f64>,
    /// Kept tokens, in ascending order.
    pub kept: Vec<usize>,
}

/// Selections on grids of one size.
#[derive(Debug, Clone)]
pub struct Overlay {
    columns: usize,
    rows: usize,
    panels: Vec<Panel>,
    picture: Option<RgbImage>,
    notes: Vec<String>,
    /// An overlay that is drawn below: the same selections on another grid.
    below: Option<Box<Overlay>>,
}

impl Overlay {
    /// A grid of tokens, row by row: the first `columns · rows` of each selection. Further ones,
    /// such as the tiles of an any-resolution model, are counted but not drawn.
    pub fn new(columns: usize, rows: usize) -> Overlay {
        Overlay {
            columns,
            rows,
            panels: Vec::new(),
            picture: None,
            notes: Vec::new(),
            below: None,
        }
    }

    /// Draws `other` below this one, with one legend and the notes of both.
    #[must_use]
    pub fn above(mut self, mut other: Overlay) -> Overlay {
        other.notes.splice(0..0, std::mem::take(&mut self.notes));
        self.below = Some(Box::new(other));
        self
    }

    /// Shows a picture beside each grid, squared by `aspect` as for the vision tower, or unchanged.
    #[must_use]
    pub fn with_picture(
        mut self,
        picture: &fp_image::RgbImage,
        aspect: Option<ImageAspect>,
    ) -> Overlay {
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        let pixels = RgbImage::from_raw(width, height, picture.as_raw().to_vec());
        self.picture = pixels.map(|pixels| {
            let seen = match aspect {
                Some(aspect) => squared(&pixels, aspect, PICTURE_SIDE),
                None => pixels,
            };
            shrunk(seen, PICTURE_SIDE)
        });
        self
    }

    /// Adds a selection.
    pub fn add(&mut self, panel: Panel) {
        self.panels.push(panel);
    }

    /// Adds a line below everything.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Renders the file's content.
    ///
    /// # Errors
    /// No selection, too many, or a grid with more cells than tokens.
    pub fn render(&self, format: OverlayFormat) -> Result<Vec<u8>, OverlayError> {
        let drawing = self.drawing()?;
        let content = match format {
            OverlayFormat::Svg => drawing.svg().map(String::into_bytes),
            OverlayFormat::Png => drawing.png(),
        };
        content.map_err(|source| OverlayError::Encode { source })
    }

    fn drawing(&self) -> Result<Drawing, OverlayError> {
        self.drawing_from(0)
    }

    /// The drawing, starting at height `top`.
    fn drawing_from(&self, top: u32) -> Result<Drawing, OverlayError> {
        let count = self.panels.len();
        if !(1..=MOST_PANELS).contains(&count) {
            return Err(OverlayError::Panels { count });
        }
        for panel in &self.panels {
            self.check(panel)?;
        }
        let layout = Layout::new(self, top);
        let mut groups = Vec::new();
        for (at, panel) in self.panels.iter().enumerate() {
            let (x, y) = layout.corner(at);
            groups.extend(self.panel(&layout, panel, x, y));
        }
        if let Some(below) = &self.below {
            let mut drawing = below.drawing_from(layout.legend_top())?;
            groups.append(&mut drawing.groups);
            return Ok(Drawing {
                width: layout.width.max(drawing.width),
                groups,
                ..drawing
            });
        }
        let legend = self.legend(&layout);
        let height = layout.legend_top() + legend.height;
        groups.push(legend.group);
        Ok(Drawing {
            width: layout.width,
            height,
            groups,
        })
    }

    fn check(&self, panel: &Panel) -> Result<(), OverlayError> {
        let num_tokens = panel.importance.len();
        match self.columns.checked_mul(self.rows) {
            Some(places @ 1..) if places <= num_tokens => Ok(()),
            _ => Err(OverlayError::Grid {
                columns: self.columns,
                rows: self.rows,
                num_tokens,
            }),
        }
    }

    fn num_places(&self) -> usize {
        self.columns * self.rows
    }

    /// Draws titles, tokens, and the picture if there is one.
    fn panel(&self, layout: &Layout, panel: &Panel, x: u32, y: u32) -> Vec<Group> {
        let mut titles = Vec::new();
        for (line, title) in (0..).zip(&panel.titles) {
            let color = if line == 0 { INK } else { GREY };
            titles.push(text(x, y + line * LINE, title, layout.box_width, color));
        }
        let below = y + layout.num_titles * LINE;
        let counts = self.counts(panel);
        titles.push(text(x, below, &counts, layout.box_width, GREY));
        let top = below + LINE + 2;
        let mut groups = vec![Group {
            name: "title",
            shapes: titles,
        }];
        groups.extend(self.tokens(layout, panel, x, top));
        if let Some(picture) = &self.picture {
            let x = x + layout.box_width + MARGIN;
            groups.extend(self.seen(layout, panel, picture, x, top));
        }
        groups
    }

    /// Text with the number of kept tokens, and of those that aren't drawn.
    fn counts(&self, panel: &Panel) -> String {
        let (kept, all) = (panel.kept.len(), panel.importance.len());
        let places = self.num_places();
        let drawn = panel.kept.iter().filter(|&&token| token < places).count();
        if places == all {
            format!("kept {kept} of {all}")
        } else {
            format!("kept {kept} of {all}, {drawn} of {places} drawn")
        }
    }

    fn tokens(&self, layout: &Layout, panel: &Panel, x: u32, y: u32) -> [Group; 2] {
        let drawn = &panel.importance[..self.num_places()];
        let most = drawn.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let shades = drawn.iter().enumerate().map(|(token, importance)| {
            let color = shade((importance / most).max(0.0).sqrt());
            Shape::Fill(layout.cell(self.columns, token, x, y), color)
        });
        let kept = panel.kept.iter().filter(|&&token| token < drawn.len());
        let frames = kept.map(|&token| Shape::Frame(layout.cell(self.columns, token, x, y), KEPT));
        [
            Group {
                name: "importance",
                shapes: shades.collect(),
            },
            Group {
                name: "kept",
                shapes: frames.collect(),
            },
        ]
    }

    fn seen(
        &self,
        layout: &Layout,
        panel: &Panel,
        picture: &RgbImage,
        x: u32,
        y: u32,
    ) -> [Group; 2] {
        let whole = Area {
            x,
            y,
            width: layout.grid_width,
            height: layout.grid_height,
        };
        let is_dropped = |token: &usize| panel.kept.binary_search(token).is_err();
        let dropped = (0..self.num_places()).filter(is_dropped);
        let veils =
            dropped.map(|token| Shape::Veil(layout.cell(self.columns, token, x, y), BLACK, VEIL));
        [
            Group {
                name: "picture",
                shapes: vec![Shape::Picture(whole, picture.clone())],
            },
            Group {
                name: "dropped",
                shapes: veils.collect(),
            },
        ]
    }

    /// Legend of shades and frames, and notes.
    fn legend(&self, layout: &Layout) -> Legend {
        let top = layout.legend_top();
        let mut shapes = Vec::new();
        let is_shaded = |panel: &Panel| panel.importance.iter().any(|value| *value > 0.0);
        let ramp = 0..64;
        let shown = if self.panels.iter().any(is_shaded) {
            ramp.clone()
        } else {
            0..0
        };
        for step in shown.clone() {
            let area = Area {
                x: MARGIN + step,
                y: top,
                width: 1,
                height: font::HEIGHT,
            };
            shapes.push(Shape::Fill(area, shade(f64::from(step) / 63.0)));
        }
        let scale = "importance, 0 to the panel's largest, square-root scale";
        let beside = MARGIN + ramp.end + 6;
        let mut y = top;
        let scale = if shown.is_empty() { "" } else { scale };
        for line in wrapped(scale, letters(layout.width - beside - MARGIN)) {
            shapes.push(Shape::Text(beside, y, line, GREY));
            y += LINE;
        }
        let frame = Area {
            x: MARGIN,
            y,
            width: font::HEIGHT,
            height: font::HEIGHT,
        };
        shapes.push(Shape::Frame(frame, KEPT));
        let kept = match self.picture {
            Some(_) => "kept; in the picture, dropped tokens are dark",
            None => "kept",
        };
        let beside = MARGIN + font::HEIGHT + 6;
        for line in wrapped(kept, letters(layout.width - beside - MARGIN)) {
            shapes.push(Shape::Text(beside, y, line, GREY));
            y += LINE;
        }
        for note in &self.notes {
            for line in wrapped(note, letters(layout.width - 2 * MARGIN)) {
                shapes.push(Shape::Text(MARGIN, y, line, GREY));
                y += LINE;
            }
        }
        Legend {
            group: Group {
                name: "legend",
                shapes,
            },
            height: y - top + MARGIN,
        }
    }
}

struct Legend {
    group: Group,
    height: u32,
}

/// Positions and sizes, in units.
struct Layout {
    /// Upper edge.
    top: u32,
    /// Side of a token.
    cell: u32,
    grid_width: u32,
    grid_height: u32,
    /// Width of a grid with its titles.
    box_width: u32,
    /// Number of lines above a grid, without that of counts.
    num_titles: u32,
    /// Width of one panel, without margins.
    panel_width: u32,
    panel_height: u32,
    num_columns: usize,
    num_rows: u32,
    width: u32,
}

impl Layout {
    fn new(overlay: &Overlay, top: u32) -> Layout {
        let longest = overlay.columns.max(overlay.rows) as u32;
        let cell = (SIDE / longest.max(1)).max(3);
        let (grid_width, grid_height) = (overlay.columns as u32 * cell, overlay.rows as u32 * cell);
        let box_width = grid_width.max(SIDE);
        let num_titles = overlay.panels.iter().map(|panel| panel.titles.len()).max();
        let num_titles = num_titles.unwrap_or(0) as u32;
        let (panel_width, most_columns) = match overlay.picture {
            Some(_) => (2 * box_width + MARGIN, COLUMNS / 2),
            None => (box_width, COLUMNS),
        };
        let num_columns = overlay.panels.len().min(most_columns);
        let num_rows = overlay.panels.len().div_ceil(num_columns.max(1)) as u32;
        Layout {
            top,
            cell,
            grid_width,
            grid_height,
            box_width,
            num_titles,
            panel_width,
            panel_height: (num_titles + 1) * LINE + 2 + grid_height,
            num_columns,
            num_rows,
            width: MARGIN + num_columns as u32 * (panel_width + MARGIN),
        }
    }

    /// Upper left corner of a panel.
    fn corner(&self, at: usize) -> (u32, u32) {
        let (row, column) = (at / self.num_columns, at % self.num_columns);
        (
            MARGIN + column as u32 * (self.panel_width + MARGIN),
            self.top + MARGIN + row as u32 * (self.panel_height + MARGIN),
        )
    }

    fn legend_top(&self) -> u32 {
        self.top + MARGIN + self.num_rows * (self.panel_height + MARGIN)
    }

    /// Area of a token in a grid whose upper left corner is (x, y).
    fn cell(&self, columns: usize, token: usize, x: u32, y: u32) -> Area {
        let (row, column) = (token / columns, token % columns);
        Area {
            x: x + column as u32 * self.cell,
            y: y + row as u32 * self.cell,
            width: self.cell,
            height: self.cell,
        }
    }
}

/// Number of characters that fit into a width.
fn letters(width: u32) -> usize {
    (width / font::ADVANCE) as usize
}

/// A line of text, truncated to `width`.
fn text(x: u32, y: u32, text: &str, width: u32, color: Color) -> Shape {
    let most = letters(width);
    let line = if text.chars().count() <= most {
        text.to_owned()
    } else {
        let start: String = text.chars().take(most.saturating_sub(1)).collect();
        start + "…"
    };
    Shape::Text(x, y, line, color)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(num_tokens: usize, kept: &[usize]) -> Panel {
        Panel {
            titles: vec!["variance".to_owned(), "last_token".to_owned()],
            importance: (0..num_tokens).map(|token| token as f64).collect(),
            kept: kept.to_vec(),
        }
    }

    fn svg(overlay: &Overlay) -> String {
        String::from_utf8(overlay.render(OverlayFormat::Svg).unwrap()).unwrap()
    }

    /// Numbers of shapes in each group with this name.
    fn shapes(svg: &str, name: &str) -> Vec<usize> {
        let opening = format!("<g class=\"{name}\">");
        let groups = svg.split(&opening).skip(1);
        groups
            .map(|rest| {
                let group = rest.split("</g>").next().unwrap_or_default();
                group.trim().lines().count()
            })
            .collect()
    }

    #[test]
    fn every_token_is_drawn_and_kept_ones_are_framed() {
        let mut overlay = Overlay::new(3, 3);
        overlay.add(panel(9, &[0, 4, 8]));
        overlay.add(panel(9, &[1]));
        let svg = svg(&overlay);
        assert_eq!(shapes(&svg, "importance"), [9, 9]);
        assert_eq!(shapes(&svg, "kept"), [3, 1]);
        assert!(shapes(&svg, "dropped").is_empty() && svg.contains("kept 3 of 9"));
        // The largest is brightest, and is in the lower right corner of the first grid.
        let last = "x=\"180\" y=\"215\" width=\"84\" height=\"84\" fill=\"#fee838\"";
        assert!(svg.contains(last), "{svg}");
    }

    #[test]
    fn a_picture_has_its_dropped_tokens_darkened() {
        let picture = fp_image::RgbImage::new(4, 2, vec![200; 24]).unwrap();
        let mut overlay = Overlay::new(2, 2).with_picture(&picture, Some(ImageAspect::Pad));
        overlay.add(panel(4, &[1, 2]));
        let svg = svg(&overlay);
        assert_eq!(shapes(&svg, "picture"), [1]);
        assert_eq!(shapes(&svg, "dropped"), [2]);
        let png = overlay.render(OverlayFormat::Png).unwrap();
        let image = image::load_from_memory(&png).unwrap().into_rgb8();
        let width = MARGIN + 2 * SIDE + 2 * MARGIN;
        assert_eq!(image.width(), 2 * width);
        let height = format!("height=\"{}\"", image.height());
        assert!(svg.contains(&height), "{height} is not in the SVG");
    }

    #[test]
    fn another_grid_stands_below() {
        let mut base = Overlay::new(2, 2);
        base.add(panel(4, &[1]));
        base.note("of the whole image");
        let mut tiles = Overlay::new(6, 3);
        tiles.add(panel(18, &[0, 17]));
        let svg = svg(&base.above(tiles));
        assert_eq!(shapes(&svg, "importance"), [4, 18]);
        assert_eq!(shapes(&svg, "kept"), [1, 2]);
        assert_eq!(svg.matches("class=\"legend\"").count(), 1);
        assert!(svg.contains("of the whole image"));
        // The first token of the second grid is below the last of the first.
        let height: u32 = svg
            .split("height=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next()?.parse().ok())
            .unwrap();
        assert!(height > 2 * SIDE, "{height}");
    }

    #[test]
    fn what_is_not_drawn_is_said() {
        let mut overlay = Overlay::new(2, 2);
        overlay.add(panel(9, &[1, 5, 7]));
        assert!(svg(&overlay).contains("kept 3 of 9, 1 of 4 drawn"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let none = Overlay::new(2, 2).render(OverlayFormat::Svg);
        assert!(matches!(none, Err(OverlayError::Panels { count: 0 })));
        for (columns, rows) in [(2, 3), (0, 4), (usize::MAX, 2)] {
            let mut overlay = Overlay::new(columns, rows);
            overlay.add(panel(4, &[]));
            let refused = overlay.render(OverlayFormat::Png).unwrap_err();
            assert!(refused.to_string().contains("4 image tokens"), "{refused}");
        }
        let refused = OverlayFormat::of(Path::new("a.gif")).unwrap_err();
        assert!(refused.to_string().contains(".svg or .png"));
        assert_eq!(
            OverlayFormat::of(Path::new("a.PNG")).unwrap(),
            OverlayFormat::Png
        );
    }
}
