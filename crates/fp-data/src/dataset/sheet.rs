//! A contact sheet: images of a dataset with their questions, answers and boxes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_image::{DecodeLimits, ImageError, decode};
use fp_scoring::Cause;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{Dataset, ImageRef};
use crate::sample::Sample;
use crate::text::{escaped, wrapped};

/// Width of a picture on the sheet, in pixels.
const PICTURE: f64 = 300.0;
/// Space between and around pictures, in pixels.
const MARGIN: f64 = 18.0;
/// Height of a line of text, in pixels.
const LINE: f64 = 16.0;
/// Characters that fit on a line.
const LETTERS: usize = 46;
/// Colours of the questions on a picture and their boxes: bright enough for any picture, dark
/// enough for text on white.
const COLORS: [&str; 6] = [
    "#d81b60", "#1565c0", "#2e7d32", "#e65100", "#6a1b9a", "#00838f",
];

/// Why a sheet can't be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// An image that can't be read.
    #[error("can't read the image {}", path.display())]
    Image {
        /// The file, or its position in a file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An image that can't be decoded.
    #[error("can't show the image {}", path.display())]
    Pixels {
        /// The file, or its position in a file.
        path: PathBuf,
        /// The cause.
        source: ImageError,
    },
    /// Pixels that can't be written as PNG.
    #[error("can't write the image {} as PNG", path.display())]
    Write {
        /// The file, or its position in a file.
        path: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// A sheet without images, columns or questions.
    #[error("a sheet needs at least 1 image, 1 column and 1 question per image")]
    Empty,
}

/// Layout of a sheet.
#[derive(Debug, Clone, Copy)]
pub struct SheetOptions {
    /// Number of images, starting with the dataset's first.
    pub images: usize,
    /// Images per row.
    pub columns: usize,
    /// Questions under each image, at most as many as there are colours (6).
    pub questions: usize,
}

/// Draws a sheet as SVG with embedded images: the pixels that a model is given, as PNG. A question
/// and its boxes have the same colour; a question without boxes has no marked evidence.
///
/// # Errors
/// An image that can't be read or decoded, or an empty sheet.
pub fn contact_sheet(dataset: &Dataset, options: &SheetOptions) -> Result<String, SheetError> {
    let questions = options.questions.min(COLORS.len());
    if options.images == 0 || options.columns == 0 || questions == 0 {
        return Err(SheetError::Empty);
    }
    let mut by_image: Vec<(&str, Vec<&Sample>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in &dataset.samples {
        let place = *places.entry(&sample.image_id).or_insert_with(|| {
            by_image.push((&sample.image_id, Vec::new()));
            by_image.len() - 1
        });
        by_image[place].1.push(sample);
    }
    by_image.truncate(options.images);
    let columns = options.columns.min(by_image.len().max(1));
    let width = MARGIN + columns as f64 * (PICTURE + MARGIN);
    let mut body = String::new();
    let mut top = MARGIN;
    for row in by_image.chunks(columns) {
        let mut bottom = top;
        for (column, (_, samples)) in row.iter().enumerate() {
            let left = MARGIN + column as f64 * (PICTURE + MARGIN);
            let samples = &samples[..samples.len().min(questions)];
            bottom = f64::max(bottom, card(&mut body, left, top, samples)?);
        }
        top = bottom + MARGIN;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    ))
}

/// Draws a picture with its boxes and, below it, its questions; returns the lower end.
fn card(body: &mut String, left: f64, top: f64, samples: &[&Sample]) -> Result<f64, SheetError> {
    let Some(first) = samples.first() else {
        return Ok(top);
    };
    let picture = Picture::of(&first.image)?;
    let scale = PICTURE / picture.width;
    let shown_height = picture.height * scale;
    // Writing to a String can't fail.
    let _ = writeln!(
        body,
        "<image x=\"{left}\" y=\"{top}\" width=\"{PICTURE}\" height=\"{shown_height}\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        picture.png
    );
    let mut y = top + shown_height + LINE;
    for (number, (sample, color)) in samples.iter().zip(COLORS).enumerate() {
        // Boxes of one object under several questions are drawn around each other.
        let grow = 2.0 + 2.5 * number as f64;
        for [x0, y0, x1, y1] in &sample.boxes {
            let _ = writeln!(
                body,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
                left + x0 * scale - grow,
                top + y0 * scale - grow,
                (x1 - x0) * scale + 2.0 * grow,
                (y1 - y0) * scale + 2.0 * grow,
            );
        }
        let answer = sample.answers.first().map_or("", String::as_str);
        let text = format!("{} → {answer}", sample.question.replace('\n', " "));
        for line in wrapped(&text, LETTERS) {
            let _ = writeln!(
                body,
                "<text x=\"{left}\" y=\"{y}\" fill=\"{color}\">{}</text>",
                escaped(&line)
            );
            y += LINE;
        }
        y += LINE / 4.0;
    }
    Ok(y)
}

/// An image as a model is given it: a browser might rotate or blend the file itself, so that boxes
/// would be in the wrong place.
struct Picture {
    width: f64,
    height: f64,
    /// PNG in Base64.
    png: String,
}

impl Picture {
    fn of(image: &ImageRef) -> Result<Picture, SheetError> {
        let path = || image.to_string().into();
        let bytes = image.read().map_err(|source| SheetError::Image {
            path: path(),
            source,
        })?;
        let pixels =
            decode(&bytes, DecodeLimits::default()).map_err(|source| SheetError::Pixels {
                path: path(),
                source,
            })?;
        // The decoder's limit keeps both far below `u32::MAX`.
        let (width, height) = (pixels.width() as u32, pixels.height() as u32);
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(pixels.as_raw(), width, height, ExtendedColorType::Rgb8)
            .map_err(|source| SheetError::Write {
                path: path(),
                source: source.into(),
            })?;
        Ok(Picture {
            width: f64::from(width),
            height: f64::from(height),
            png: STANDARD.encode(png),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn dataset(image: PathBuf) -> Dataset {
        let sample = Sample {
            id: "1".to_owned(),
            image_id: "a".to_owned(),
            image: image.into(),
            image_size: Some([999, 1]),
            question: "Is 1 < 2?".to_owned(),
            answers: vec!["yes".to_owned()],
            family: "existence".to_owned(),
            boxes: vec![[0.0, 0.0, 10.0, 10.0]],
            ..Sample::default()
        };
        Dataset {
            name: "test".to_owned(),
            split: "test".to_owned(),
            benchmark: crate::dataset::Benchmark::Plain,
            answer_rule: crate::metric::AnswerRule::Exact,
            judge: None,
            notes: Vec::new(),
            families: Vec::new(),
            license: None,
            source: None,
            folder: PathBuf::new(),
            files: Vec::new(),
            samples: vec![sample],
            text_only: Vec::new(),
        }
    }

    const OPTIONS: SheetOptions = SheetOptions {
        images: 4,
        columns: 2,
        questions: 3,
    };

    /// The first picture of a sheet, decoded as by a browser.
    fn shown(sheet: &str) -> image::RgbImage {
        let data = sheet.split("base64,").nth(1).unwrap();
        let data = data.split('"').next().unwrap();
        let png = STANDARD.decode(data).unwrap();
        image::load_from_memory(&png).unwrap().into_rgb8()
    }

    #[test]
    fn a_sheet_names_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture =
            image::RgbImage::from_fn(6, 3, |x, y| image::Rgb([40 * x as u8, 80 * y as u8, 7]));
        picture.save(&path).unwrap();
        let sheet = contact_sheet(&dataset(path), &OPTIONS).unwrap();
        assert!(sheet.contains("Is 1 &lt; 2? → yes"));
        assert_eq!(sheet.matches("<rect").count(), 2, "the ground and one box");
        assert_eq!(shown(&sheet), picture);
        // The picture's height follows from its pixels, whatever the dataset states.
        assert!(sheet.contains("width=\"300\" height=\"150\""), "{sheet}");
        let nothing = SheetOptions {
            images: 0,
            ..OPTIONS
        };
        assert!(matches!(
            contact_sheet(&dataset(PathBuf::new()), &nothing),
            Err(SheetError::Empty)
        ));
    }

    /// A browser rotates a JPEG by its EXIF data; models and the sheet don't.
    #[test]
    fn turned_images_are_shown_as_the_model_sees_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let picture = image::RgbImage::from_fn(24, 8, |x, _| image::Rgb([10 * x as u8, 0, 200]));
        for orientation in [1, 3, 6, 8] {
            let mut jpeg = Cursor::new(Vec::new());
            picture
                .write_to(&mut jpeg, image::ImageFormat::Jpeg)
                .unwrap();
            let mut exif =
                b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
            exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
            let jpeg = jpeg.into_inner();
            let jpeg = [&jpeg[..2], &exif, &jpeg[2..]].concat();
            std::fs::write(&path, &jpeg).unwrap();
            let inspected = fp_image::inspect(&jpeg, DecodeLimits::default()).unwrap();
            assert_eq!(inspected.remarks.len(), usize::from(orientation != 1));
            let sheet = contact_sheet(&dataset(path.clone()), &OPTIONS).unwrap();
            let shown = shown(&sheet);
            let seen = decode(&jpeg, DecodeLimits::default()).unwrap();
            assert_eq!(shown.dimensions(), (24, 8), "{orientation}");
            assert_eq!(shown.as_raw().as_slice(), seen.as_raw());
            assert!(!sheet.contains("image/jpeg"));
        }
    }

    #[test]
    fn images_that_show_nothing_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let error = contact_sheet(&dataset(path.clone()), &OPTIONS).unwrap_err();
        assert!(matches!(error, SheetError::Image { .. }) && error.to_string().contains("a.png"));
        std::fs::write(&path, "<html>").unwrap();
        let error = contact_sheet(&dataset(path), &OPTIONS).unwrap_err();
        assert!(matches!(error, SheetError::Pixels { .. }) && error.to_string().contains("a.png"));
    }
}
