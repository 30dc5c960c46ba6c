//! A template folder in the plain form: three questions on two small images, and a page that
//! explains every field.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};

use super::{DESCRIPTION_FILE, Description, Line, QUESTIONS_FILE};
use crate::dataset::DatasetError;
use crate::metric::AnswerRule;

/// Name of the page that explains the fields.
pub const README_FILE: &str = "README.md";

/// Content of the page; the names of the answer rules replace [`RULES`].
const README: &str = include_str!("init_readme.md");
const RULES: &str = "{answer_rules}";

/// Width and height of the example images in pixels.
const SIZE: [u32; 2] = [96, 64];
const GROUND: Rgb<u8> = Rgb([236, 236, 230]);
const RED: Rgb<u8> = Rgb([206, 38, 38]);
const BLUE: Rgb<u8> = Rgb([38, 82, 206]);
/// The square of the first image, `[x0, y0, x1, y1]`.
const SQUARE: [u32; 4] = [10, 16, 42, 48];
/// The circle of both images, `[x0, y0, x1, y1]`.
const CIRCLE: [u32; 4] = [56, 20, 80, 44];

/// Writes the template to a new or empty folder; returns its files in the order of writing.
///
/// # Errors
/// A folder that isn't empty, or one that can't be written.
pub fn init(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let cant_write = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| DatasetError::Write { path, source }
    };
    let images = folder.join("images");
    fs::create_dir_all(folder).map_err(cant_write(folder))?;
    let mut entries = fs::read_dir(folder).map_err(cant_write(folder))?;
    if entries.next().is_some() {
        return Err(DatasetError::NotEmpty {
            path: folder.to_owned(),
        });
    }
    fs::create_dir(&images).map_err(cant_write(&images))?;
    let mut written = Vec::new();
    for (name, picture) in [("both.png", picture(true)), ("circle.png", picture(false))] {
        let path = images.join(name);
        let saved = picture.save(&path).map_err(io::Error::other);
        saved.map_err(cant_write(&path))?;
        written.push(path);
    }
    for (name, text) in [
        (DESCRIPTION_FILE, description()),
        (QUESTIONS_FILE, questions()),
        (README_FILE, readme()),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(cant_write(&path))?;
        written.push(path);
    }
    Ok(written)
}

fn readme() -> String {
    README.replace(RULES, &AnswerRule::ALL.map(AnswerRule::name).join(", "))
}

/// A circle, with or without a square beside it.
fn picture(has_square: bool) -> RgbImage {
    let [width, height] = SIZE;
    let [left, top, right, bottom] = CIRCLE.map(f64::from);
    let (x0, y0, radius) = (
        (left + right) / 2.0,
        (top + bottom) / 2.0,
        (right - left) / 2.0,
    );
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) + 0.5 - x0, f64::from(y) + 0.5 - y0);
        let in_square = (SQUARE[0]..SQUARE[2]).contains(&x) && (SQUARE[1]..SQUARE[3]).contains(&y);
        match (dx.hypot(dy) <= radius, has_square && in_square) {
            (true, _) => BLUE,
            (_, true) => RED,
            _ => GROUND,
        }
    })
}

fn description() -> String {
    let description = Description {
        name: "my-dataset".to_owned(),
        split: "test".to_owned(),
        answer_rule: AnswerRule::Exact.name().to_owned(),
        families: ["attribute", "existence", "choice"]
            .map(str::to_owned)
            .to_vec(),
        license: Some("say under which terms it may be used".to_owned()),
        source: Some("say where it comes from".to_owned()),
        images: None,
        judge: None,
        sha256: None,
    };
    // A description holds only text, so it always serialises.
    serde_json::to_string_pretty(&description).unwrap_or_default() + "\n"
}

fn questions() -> String {
    let lines = example_lines();
    let lines = lines
        .iter()
        .map(|line| serde_json::to_string(line).unwrap_or_default() + "\n");
    lines.collect()
}

fn example_lines() -> [Line; 3] {
    let area = |area: [u32; 4]| area.map(f64::from);
    let line = |id: &str, image: &str, question: &str, answer: &str, family: &str| Line {
        id: id.to_owned(),
        image: Some(format!("images/{image}.png")),
        image_id: None,
        image_size: None,
        question: question.to_owned(),
        answers: vec![answer.to_owned()],
        choices: Vec::new(),
        family: family.to_owned(),
        keys: Default::default(),
        boxes: Vec::new(),
    };
    let color = "What color is the square?";
    let existence = "Is there a square? Answer yes or no.";
    let side = "What is left of the circle?\nA. a triangle\nB. a square\nAnswer with the option's letter from the given choices directly.";
    [
        Line {
            image_id: Some("both".to_owned()),
            image_size: Some(SIZE.map(|side| side as usize)),
            keys: [("hops".to_owned(), "0".to_owned())].into(),
            boxes: vec![area(SQUARE)],
            ..line("1", "both", color, "red", "attribute")
        },
        // An object that is absent has no box.
        line("2", "circle", existence, "no", "existence"),
        Line {
            image_id: Some("both".to_owned()),
            choices: ["a triangle", "a square"].map(str::to_owned).to_vec(),
            boxes: vec![area(SQUARE), area(CIRCLE)],
            ..line("3", "both", side, "B", "choice")
        },
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_is_a_data_set() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        let written = init(&folder).unwrap();
        assert!(written.iter().all(|path| path.is_file()) && written.len() == 5);
        let dataset = super::super::load(&folder).unwrap();
        assert_eq!(dataset.samples.len(), 3);
        let images: Vec<&str> = dataset
            .samples
            .iter()
            .map(|s| s.image_id.as_str())
            .collect();
        assert_eq!(images, ["both", "images/circle.png", "both"]);
        for sample in &dataset.samples {
            assert_eq!(sample.image.size().unwrap(), [96, 64]);
            let [width, height] = SIZE.map(f64::from);
            assert!(sample.boxes.iter().all(|b| b[2] <= width && b[3] <= height));
        }
        assert!(matches!(init(&folder), Err(DatasetError::NotEmpty { .. })));
    }

    /// A field that a form gains must be explained; one that it loses must not be.
    #[test]
    fn every_field_is_explained_and_no_other() {
        let text = readme();
        let fields_of = |value: Value| -> Vec<String> {
            let fields = value.as_object().unwrap();
            fields.keys().cloned().collect()
        };
        let mut description: Value = serde_json::from_str(&description()).unwrap();
        for rest in ["images", "judge", "sha256"] {
            description[rest] = json!("x");
        }
        // Unknown keys are refused, so these are all.
        serde_json::from_value::<Description>(description.clone()).unwrap();
        let mut line = serde_json::to_value(&example_lines()[0]).unwrap();
        line["choices"] = json!(["x"]);
        serde_json::from_value::<Line>(line.clone()).unwrap();
        let mut known = fields_of(description);
        known.extend(fields_of(line));
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut explained: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        explained.sort_unstable();
        known.sort_unstable();
        assert_eq!(explained, known);
        assert!(text.contains("vqa_official,") && !text.contains(RULES));
    }
}
