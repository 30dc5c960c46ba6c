//! Writes scenes and questions: in the plain form for evaluation, as raw arrays for training.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::labels::{LABELS, patch_labels};
use super::{IMAGE_SIDE, Mixture, Object, PATCH, Question, Scene, Split, png};
use crate::dataset::plain::{DESCRIPTION_FILE, Description, Line, QUESTIONS_FILE};
use crate::hash::sha256_hex;

/// What to generate.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Seed of the whole benchmark.
    pub seed: u64,
    /// The split to generate.
    pub split: Split,
    /// Number of scenes, which are numbered from 0.
    pub num_images: u64,
    /// Questions per image; slightly more where some belong together.
    pub questions_per_image: usize,
    /// Families and their weights.
    pub mixture: Mixture,
    /// Number of objects per scene.
    pub num_objects: RangeInclusive<usize>,
}

/// Counts of what was generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// Number of scenes.
    pub images: u64,
    /// Number of questions in all scenes.
    pub questions: u64,
}

/// Why generation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A file or folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The folder isn't empty.
    #[error("{} isn't empty; choose a new or empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A count out of range.
    #[error("{what} is {found}, expected {expected}")]
    Count {
        /// Name of the count.
        what: &'static str,
        /// The value given.
        found: String,
        /// The expected values.
        expected: &'static str,
    },
}

/// Number of scenes drawn at a time: enough for every core, with little memory.
const CHUNK: u64 = 256;

/// Writes the plain form to a new or empty folder: `images/*.png`, `questions.jsonl` and finally
/// `benchmark.json`.
///
/// # Errors
/// A folder that isn't empty, a file that can't be written, or a request for nothing.
pub fn write_benchmark(
    dir: &Path,
    options: &GenerateOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Generated, GenerateError> {
    check(options)?;
    let images = dir.join("images");
    prepare(dir)?;
    fs::create_dir_all(&images).map_err(cant_write(&images))?;
    let mut lines = String::new();
    let generated = for_each_scene(options, progress, |index, scene, questions| {
        let image_id = format!("{}-{index:05}", options.split.name());
        let name = format!("images/{image_id}.png");
        let path = dir.join(&name);
        write_png(&path, &scene.pixels).map_err(cant_write(&path))?;
        for (number, question) in questions.iter().enumerate() {
            let line = line(&image_id, &name, number, question, &scene.objects);
            lines.push_str(&serde_json::to_string(&line).unwrap_or_default());
            lines.push('\n');
        }
        Ok(())
    })?;
    let path = dir.join(QUESTIONS_FILE);
    fs::write(&path, &lines).map_err(cant_write(&path))?;
    let description = Description {
        name: "finepruner-scenes".to_owned(),
        split: options.split.name().to_owned(),
        answer_rule: "exact".to_owned(),
        families: options
            .mixture
            .weights()
            .iter()
            .map(|(family, _)| family.name().to_owned())
            .collect(),
        license: Some("MIT OR Apache-2.0".to_owned()),
        source: Some(format!(
            "finepruner data generate --split {} --seed {} --images {} --questions-per-image {} --mixture {} --objects {}..{}",
            options.split.name(),
            options.seed,
            options.num_images,
            options.questions_per_image,
            options.mixture,
            options.num_objects.start(),
            options.num_objects.end(),
        )),
        images: None,
        judge: None,
        sha256: Some(sha256_hex(lines.as_bytes())),
    };
    let path = dir.join(DESCRIPTION_FILE);
    let text = serde_json::to_string_pretty(&description).unwrap_or_default();
    fs::write(&path, text + "\n").map_err(cant_write(&path))?;
    Ok(generated)
}

/// Writes raw arrays to a new or empty folder: `images.rgb` `[images, side, side, 3]`, `labels.u8`
/// `[images, patches, 4]` (shape, colour, size and digit from 1, 0 for none), `questions.tsv`
/// (image, family, text, answer, and the intermediate result of a chain; line breaks as `\n`) and
/// finally `meta.json`.
///
/// # Errors
/// As [`write_benchmark`].
pub fn write_training(
    dir: &Path,
    options: &GenerateOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Generated, GenerateError> {
    check(options)?;
    prepare(dir)?;
    let create = |name: &str| {
        let path = dir.join(name);
        let file = File::create(&path).map_err(cant_write(&path))?;
        Ok::<_, GenerateError>((BufWriter::with_capacity(1 << 20, file), path))
    };
    let (mut images, images_path) = create("images.rgb")?;
    let (mut labels, labels_path) = create("labels.u8")?;
    let (mut table, table_path) = create("questions.tsv")?;
    let generated = for_each_scene(options, progress, |index, scene, questions| {
        images
            .write_all(&scene.pixels)
            .map_err(cant_write(&images_path))?;
        labels
            .write_all(&patch_labels(&scene.objects))
            .map_err(cant_write(&labels_path))?;
        for question in questions {
            let text = question.text.replace('\n', "\\n");
            writeln!(
                table,
                "{index}\t{}\t{text}\t{}\t{}",
                question.family,
                question.answer,
                question.link.unwrap_or_default()
            )
            .map_err(cant_write(&table_path))?;
        }
        Ok(())
    })?;
    for (mut file, path) in [
        (images, images_path),
        (labels, labels_path),
        (table, table_path),
    ] {
        file.flush().map_err(cant_write(&path))?;
    }
    let meta = serde_json::json!({
        "images": generated.images,
        "questions": generated.questions,
        "side": IMAGE_SIDE,
        "patch": PATCH,
        "labels": LABELS,
        "seed": options.seed,
        "split": options.split.name(),
        "mixture": options.mixture.to_string(),
    });
    let path = dir.join("meta.json");
    fs::write(&path, format!("{meta}\n")).map_err(cant_write(&path))?;
    Ok(generated)
}

/// Draws scenes in parallel and passes them on in order.
fn for_each_scene(
    options: &GenerateOptions,
    progress: &mut dyn FnMut(u64),
    mut write: impl FnMut(u64, &Scene, &[Question]) -> Result<(), GenerateError>,
) -> Result<Generated, GenerateError> {
    let mut generated = Generated {
        images: options.num_images,
        questions: 0,
    };
    for start in (0..options.num_images).step_by(CHUNK as usize) {
        let end = (start + CHUNK).min(options.num_images);
        let scenes: Vec<(Scene, Vec<Question>)> = (start..end)
            .into_par_iter()
            .map(|index| {
                let objects = options.num_objects.clone();
                let scene = Scene::generate(options.seed, options.split, index, objects);
                let questions = scene.questions(&options.mixture, options.questions_per_image);
                (scene, questions)
            })
            .collect();
        for (index, (scene, questions)) in (start..end).zip(&scenes) {
            generated.questions += questions.len() as u64;
            write(index, scene, questions)?;
        }
        progress(end);
    }
    Ok(generated)
}

fn line(
    image_id: &str,
    image: &str,
    number: usize,
    question: &Question,
    objects: &[Object],
) -> Line {
    let boxes: Vec<[i32; 4]> = question
        .evidence
        .iter()
        .map(|&index| objects[index].bounds())
        .collect();
    let mut keys: std::collections::BTreeMap<String, String> = question
        .keys
        .iter()
        .map(|(&key, value)| (key.to_owned(), value.clone()))
        .collect();
    keys.insert(
        "evidence_tokens".to_owned(),
        evidence_tokens(&boxes).to_string(),
    );
    Line {
        id: format!("{image_id}-{number}"),
        image: Some(image.to_owned()),
        image_id: Some(image_id.to_owned()),
        image_size: Some([IMAGE_SIDE as usize; 2]),
        question: question.text.clone(),
        answers: vec![question.answer.clone()],
        choices: Vec::new(),
        family: question.family.name().to_owned(),
        keys,
        boxes: boxes.iter().map(|edges| edges.map(f64::from)).collect(),
    }
}

/// Number of patches that the boxes cover by at least half; boxes of a scene never overlap.
fn evidence_tokens(boxes: &[[i32; 4]]) -> usize {
    let patches = IMAGE_SIDE / PATCH;
    let overlap = |low: i32, high: i32, patch: i32| {
        (high.min((patch + 1) * PATCH) - low.max(patch * PATCH)).max(0)
    };
    (0..patches * patches)
        .filter(|patch| {
            let (column, row) = (patch % patches, patch / patches);
            let covered: i32 = boxes
                .iter()
                .map(|&[x0, y0, x1, y1]| overlap(x0, x1, column) * overlap(y0, y1, row))
                .sum();
            2 * covered >= PATCH * PATCH
        })
        .count()
}

fn write_png(path: &Path, pixels: &[u8]) -> std::io::Result<()> {
    let bytes = png::encode(pixels, IMAGE_SIDE as u32)?;
    fs::write(path, bytes)
}

fn check(options: &GenerateOptions) -> Result<(), GenerateError> {
    let objects = &options.num_objects;
    if !(1..=12).contains(objects.start()) || !(*objects.start()..=12).contains(objects.end()) {
        return Err(GenerateError::Count {
            what: "the number of objects",
            found: format!("{}..{}", objects.start(), objects.end()),
            expected: "a range within 1..12",
        });
    }
    if options.num_images == 0 || options.questions_per_image == 0 {
        return Err(GenerateError::Count {
            what: "the number of images or of questions per image",
            found: "0".to_owned(),
            expected: "at least 1 of each",
        });
    }
    Ok(())
}

fn prepare(dir: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(dir).map_err(cant_write(dir))?;
    let mut entries = fs::read_dir(dir).map_err(cant_write(dir))?;
    if entries.next().is_some() {
        return Err(GenerateError::NotEmpty {
            path: dir.to_owned(),
        });
    }
    Ok(())
}

fn cant_write(path: &Path) -> impl FnOnce(std::io::Error) -> GenerateError {
    let path = path.to_owned();
    move |source| GenerateError::Write { path, source }
}
