//! A drawing of a few kinds of shapes, and its output as SVG and PNG.

use std::fmt::Write as _;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_data::text::escaped;
use image::imageops::{FilterType, overlay, resize};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use super::font;

/// Pixels of a PNG per unit of a drawing.
pub(super) const SCALE: u32 = 2;
/// Font size in an SVG at which characters are as wide as those of [`font`].
const FONT_SIZE: u32 = 10;

/// Red, green and blue.
pub(super) type Color = [u8; 3];

/// A rectangle, in units of the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A shape of a drawing.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A filled rectangle.
    Fill(Area, Color),
    /// A rectangle with an opacity in %.
    Veil(Area, Color, u32),
    /// A frame one unit wide along the inside of a rectangle.
    Frame(Area, Color),
    /// One line of text; (x, y) is the upper left corner of its first character.
    Text(u32, u32, String, Color),
    /// A picture, stretched to fill the area.
    Picture(Area, RgbImage),
}

/// Shapes that belong together; SVG distinguishes them by their name.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) shapes: Vec<Shape>,
}

/// Shapes on a white background, later ones over earlier ones.
#[derive(Debug, Clone)]
pub(super) struct Drawing {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) groups: Vec<Group>,
}

impl Drawing {
    /// As SVG with [`SCALE`] pixels per unit and embedded pictures.
    pub(super) fn svg(&self) -> io::Result<String> {
        let (width, height) = (self.width, self.height);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{}\" height=\"{}\" \
             font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"{FONT_SIZE}\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            width * SCALE,
            height * SCALE
        );
        for group in &self.groups {
            // Writing to a String can't fail.
            let _ = writeln!(out, "<g class=\"{}\">", group.name);
            for shape in &group.shapes {
                out += &shape.svg()?;
                out.push('\n');
            }
            out += "</g>\n";
        }
        Ok(out + "</svg>\n")
    }

    /// As PNG with [`SCALE`] pixels per unit.
    pub(super) fn png(&self) -> io::Result<Vec<u8>> {
        let (width, height) = (self.width * SCALE, self.height * SCALE);
        let mut canvas = RgbImage::from_pixel(width, height, Rgb([255; 3]));
        for shape in self.groups.iter().flat_map(|group| &group.shapes) {
            shape.paint(&mut canvas);
        }
        encode(&canvas)
    }
}

impl Shape {
    fn svg(&self) -> io::Result<String> {
        Ok(match self {
            Shape::Fill(area, color) => {
                format!("<rect {} fill=\"{}\"/>", area.svg(), hex(*color))
            }
            Shape::Veil(area, color, percent) => format!(
                "<rect {} fill=\"{}\" fill-opacity=\"{}\"/>",
                area.svg(),
                hex(*color),
                f64::from(*percent) / 100.0
            ),
            Shape::Frame(area, color) => format!(
                "<rect x=\"{}.5\" y=\"{}.5\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\"/>",
                area.x,
                area.y,
                area.width.saturating_sub(1),
                area.height.saturating_sub(1),
                hex(*color)
            ),
            Shape::Text(x, y, text, color) => format!(
                "<text x=\"{x}\" y=\"{}\" fill=\"{}\" xml:space=\"preserve\">{}</text>",
                y + font::HEIGHT - 1,
                hex(*color),
                escaped(text)
            ),
            Shape::Picture(area, picture) => format!(
                "<image {} preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>",
                area.svg(),
                STANDARD.encode(encode(picture)?)
            ),
        })
    }

    fn paint(&self, canvas: &mut RgbImage) {
        match self {
            Shape::Fill(area, color) => fill(canvas, *area, *color, 100),
            Shape::Veil(area, color, percent) => fill(canvas, *area, *color, *percent),
            Shape::Frame(area, color) => {
                for side in area.sides() {
                    fill(canvas, side, *color, 100);
                }
            }
            Shape::Text(x, y, text, color) => {
                for (at, letter) in (0..).zip(text.chars()) {
                    letter_at(canvas, x + at * font::ADVANCE, *y, letter, *color);
                }
            }
            Shape::Picture(area, picture) => {
                let (width, height) = (area.width * SCALE, area.height * SCALE);
                let fitted = resize(picture, width, height, FilterType::Triangle);
                let (x, y) = (area.x * SCALE, area.y * SCALE);
                overlay(canvas, &fitted, i64::from(x), i64::from(y));
            }
        }
    }
}

impl Area {
    fn svg(self) -> String {
        format!(
            "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
            self.x, self.y, self.width, self.height
        )
    }

    /// The four lines of a frame, one unit wide, along its inside.
    fn sides(self) -> [Area; 4] {
        let across = Area { height: 1, ..self };
        let down = Area { width: 1, ..self };
        let (right, bottom) = (self.x + self.width, self.y + self.height);
        let below = Area {
            y: bottom.saturating_sub(1),
            ..across
        };
        let beside = Area {
            x: right.saturating_sub(1),
            ..down
        };
        [across, below, down, beside]
    }
}

fn letter_at(canvas: &mut RgbImage, x: u32, y: u32, letter: char, color: Color) {
    for row in 0..font::HEIGHT {
        for column in 0..font::WIDTH {
            if font::is_ink(letter, column, row) {
                let dot = Area {
                    x: x + column,
                    y: y + row,
                    width: 1,
                    height: 1,
                };
                fill(canvas, dot, color, 100);
            }
        }
    }
}

/// Fills the part of the area that is on the canvas.
fn fill(canvas: &mut RgbImage, area: Area, color: Color, percent: u32) {
    let (width, height) = canvas.dimensions();
    let end = |start: u32, length: u32, limit: u32| ((start + length) * SCALE).min(limit);
    for y in area.y * SCALE..end(area.y, area.height, height) {
        for x in area.x * SCALE..end(area.x, area.width, width) {
            let pixel = canvas.get_pixel_mut(x, y);
            for (value, color) in pixel.0.iter_mut().zip(color) {
                let mixed = u32::from(*value) * (100 - percent) + u32::from(color) * percent;
                *value = ((mixed + 50) / 100) as u8;
            }
        }
    }
}

fn encode(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(
            image.as_raw(),
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
        .map_err(io::Error::other)?;
    Ok(png)
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(shapes: Vec<Shape>) -> Drawing {
        let name = "test";
        Drawing {
            width: 10,
            height: 8,
            groups: vec![Group { name, shapes }],
        }
    }

    fn area(x: u32, y: u32, width: u32, height: u32) -> Area {
        Area {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn pixels_are_where_units_are() {
        let shapes = vec![
            Shape::Fill(area(0, 0, 4, 4), [200, 0, 0]),
            Shape::Veil(area(2, 0, 2, 4), [0; 3], 50),
            Shape::Frame(area(5, 2, 4, 4), [0, 0, 9]),
            // Parts outside the canvas are cut off.
            Shape::Fill(area(9, 7, 5, 5), [1, 2, 3]),
        ];
        let png = drawing(shapes).png().unwrap();
        let image = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!(image.dimensions(), (10 * SCALE, 8 * SCALE));
        let at = |x: u32, y: u32| image.get_pixel(x * SCALE, y * SCALE).0;
        assert_eq!((at(0, 0), at(1, 3)), ([200, 0, 0], [200, 0, 0]));
        assert_eq!(at(2, 0), [100, 0, 0]);
        assert_eq!((at(5, 2), at(8, 5)), ([0, 0, 9], [0, 0, 9]));
        assert_eq!((at(6, 3), at(9, 7)), ([255; 3], [1, 2, 3]));
    }

    #[test]
    fn nothing_breaks_out_of_text() {
        let text = Shape::Text(1, 2, "a<b&c".to_owned(), [0; 3]);
        let svg = drawing(vec![text]).svg().unwrap();
        assert!(svg.contains(">a&lt;b&amp;c</text>"), "{svg}");
        assert!(svg.contains("<g class=\"test\">") && svg.ends_with("</svg>\n"));
    }
}
