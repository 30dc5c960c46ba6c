//! A contact sheet: images of a data set with their questions, answers and boxes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Dataset, ImageRef};
use crate::sample::Sample;
use crate::text::{escaped, wrapped};

/// Width of a picture on the sheet, in pixels.
const PICTURE: f64 = 300.0;
/// Space between and around pictures.
const MARGIN: f64 = 18.0;
/// Height of a line of text, and letters that fit beside each other.
const LINE: f64 = 16.0;
/// See [`LINE`].
const LETTERS: usize = 46;
/// Colours of a picture's questions and their boxes: bright enough for any picture,
/// dark enough for text on white.
const COLORS: [&str; 6] = [
    "#d81b60", "#1565c0", "#2e7d32", "#e65100", "#6a1b9a", "#00838f",
];

/// Why a sheet can't be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// An image can't be read.
    #[error("can't read the image {}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A sheet of nothing.
    #[error("a sheet needs at least 1 image, 1 column and 1 question per image")]
    Empty,
}

/// How a sheet is laid out.
#[derive(Debug, Clone, Copy)]
pub struct SheetOptions {
    /// Images, the first ones of the data set.
    pub images: usize,
    /// Images beside each other.
    pub columns: usize,
    /// Questions under each image, at most as many as there are colours (6).
    pub questions: usize,
}

/// Draws a sheet as SVG, with the images inside it. Boxes and question of one
/// colour belong together; a question without boxes has nothing that decides it.
///
/// # Errors
/// An image that can't be read, or an empty sheet.
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

/// A picture with its boxes and, below it, its questions; gives where it ends.
fn card(body: &mut String, left: f64, top: f64, samples: &[&Sample]) -> Result<f64, SheetError> {
    let Some(first) = samples.first() else {
        return Ok(top);
    };
    let [width, height] = size_of(first)?;
    let scale = PICTURE / width;
    let shown_height = height * scale;
    let bytes = read(&first.image)?;
    let media_type = media_type(&bytes);
    // Writing to a String can't fail.
    let _ = writeln!(
        body,
        "<image x=\"{left}\" y=\"{top}\" width=\"{PICTURE}\" height=\"{shown_height}\" \
         style=\"image-rendering:pixelated\" href=\"data:{media_type};base64,{}\"/>",
        STANDARD.encode(bytes)
    );
    let mut y = top + shown_height + LINE;
    for (number, (sample, color)) in samples.iter().zip(COLORS).enumerate() {
        // Boxes of one object under several questions lie side by side.
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

fn read(image: &ImageRef) -> Result<Vec<u8>, SheetError> {
    image.read().map_err(cant_read(image))
}

/// Width and height, as the data set says it or the file.
fn size_of(sample: &Sample) -> Result<[f64; 2], SheetError> {
    if let Some([width, height]) = sample.image_size {
        return Ok([width as f64, height as f64]);
    }
    let [width, height] = sample.image.size().map_err(cant_read(&sample.image))?;
    Ok([width as f64, height as f64])
}

fn cant_read(image: &ImageRef) -> impl FnOnce(std::io::Error) -> SheetError {
    let path = image.container().to_owned();
    move |source| SheetError::Image { path, source }
}

fn media_type(bytes: &[u8]) -> &'static str {
    match image::guess_format(bytes) {
        Ok(format) => format.to_mime_type(),
        Err(_) => "image/jpeg",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_names_what_it_shows() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a.png");
        std::fs::write(&image, b"\x89PNG\r\n\x1a\nnot looked into").unwrap();
        let sample = Sample {
            id: "1".to_owned(),
            image_id: "a".to_owned(),
            image: image.into(),
            image_size: Some([168, 84]),
            question: "Is 1 < 2?".to_owned(),
            answers: vec!["yes".to_owned()],
            family: "existence".to_owned(),
            boxes: vec![[0.0, 0.0, 10.0, 10.0]],
            ..Sample::default()
        };
        let dataset = Dataset {
            name: "test".to_owned(),
            split: "test".to_owned(),
            benchmark: crate::dataset::Benchmark::Plain,
            answer_rule: crate::metric::AnswerRule::Exact,
            judge: None,
            notes: Vec::new(),
            families: Vec::new(),
            license: None,
            source: None,
            folder: dir.path().to_owned(),
            files: Vec::new(),
            samples: vec![sample],
            text_only: Vec::new(),
        };
        let options = SheetOptions {
            images: 4,
            columns: 2,
            questions: 3,
        };
        let sheet = contact_sheet(&dataset, &options).unwrap();
        assert!(sheet.contains("Is 1 &lt; 2? → yes") && sheet.contains("data:image/png;base64,"));
        assert_eq!(sheet.matches("<rect").count(), 2, "the ground and one box");
        let nothing = SheetOptions {
            images: 0,
            ..options
        };
        assert!(matches!(
            contact_sheet(&dataset, &nothing),
            Err(SheetError::Empty)
        ));
    }
}
