//! GQA: LLaVA's `llava_gqa_testdev_balanced.jsonl` with the official questions, or only the
//! official questions of another split; with scene graphs where they exist.
//!
//! Official files are in the folder itself, in `data/`, or in `questions/` and `sceneGraphs/` of
//! either; images in `data/images/` or `images/`.

mod export;

pub(super) use export::export;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::dataset::annotations::Annotations;
use crate::dataset::collect::Collector;
use crate::dataset::json_stream::for_each_entry;
use crate::dataset::lines::LineFault;
use crate::dataset::llava::{find, for_each_question, image_folders, stem};
use crate::dataset::{Benchmark, DatasetError, ProblemKind, Reading};
use crate::metric::gqa::{GqaQuestion, GqaScene};
use crate::metric::vqa;
use crate::sample::Sample;

/// Splits, by the name of their official question file.
const PARTS: [&str; 6] = [
    "testdev_balanced",
    "val_balanced",
    "train_balanced",
    "testdev_all",
    "val_all",
    "challenge_balanced",
];

/// Folders that may hold the official files.
const PLACES: [&str; 8] = [
    "",
    "data/",
    "questions/",
    "data/questions/",
    "questions1.2/",
    "data/questions1.2/",
    "data/sceneGraphs/",
    "sceneGraphs/",
];

fn official(folder: &Path, file: &str) -> Option<PathBuf> {
    let places = PLACES.map(|place| format!("{place}{file}"));
    find(folder, &places.each_ref().map(String::as_str))
}

/// The official question file of a split, if it exists: under the release's name, or under the one
/// that the official scoring script expects.
fn official_questions(folder: &Path, part: &str) -> Option<PathBuf> {
    let mut names = question_names(part).into_iter();
    names.find_map(|name| official(folder, &name))
}

fn question_names(part: &str) -> Vec<String> {
    let mut names = vec![format!("{part}_questions.json")];
    if is_balanced(part) {
        names.push(format!("{part}_all_questions.json"));
    }
    names
}

fn is_balanced(part: &str) -> bool {
    part.ends_with("_balanced")
}

fn question_file(part: &str) -> String {
    format!("llava_gqa_{part}.jsonl")
}

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let has = |part: &&&str| {
        folder.join(question_file(part)).is_file() || official_questions(folder, part).is_some()
    };
    PARTS
        .iter()
        .filter(has)
        .map(|&part| part.to_owned())
        .collect()
}

/// What is kept of an official question.
struct Known {
    answer: String,
    image_id: String,
    text: String,
    family: String,
    keys: BTreeMap<String, String>,
    objects: Vec<String>,
}

impl From<GqaQuestion> for Known {
    fn from(question: GqaQuestion) -> Self {
        let mut keys = BTreeMap::from([
            ("semantic_type".to_owned(), question.types.semantic.clone()),
            ("steps".to_owned(), question.num_steps().to_string()),
        ]);
        if let Some(group) = &question.groups.global {
            keys.insert("group".to_owned(), group.clone());
        }
        if !question.is_balanced {
            keys.insert("is_balanced".to_owned(), "no".to_owned());
        }
        let objects: BTreeSet<&str> = question.pointed_objects().collect();
        Known {
            objects: objects.into_iter().map(str::to_owned).collect(),
            keys,
            answer: question.answer,
            image_id: question.image_id,
            text: question.question,
            family: question.types.structural,
        }
    }
}

/// Reads a split.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let path = official_questions(folder, part).ok_or_else(|| {
        let mut names = question_names(part);
        names.push(format!("each also in {}", PLACES[1..6].join(", ")));
        DatasetError::Missing {
            folder: folder.to_owned(),
            what: "file of official questions",
            names,
        }
    })?;
    let images = image_folders(folder, &["data/images", "images"]);
    let rule = Benchmark::Gqa.answer_rule();
    let mut objects: HashMap<String, Vec<String>> = HashMap::new();
    let mut files = vec![path.clone()];
    let mut notes = Vec::new();
    let mut collector;
    let asked = folder.join(question_file(part));
    if asked.is_file() {
        files.insert(0, asked.clone());
        let mut known = Annotations::read(&path, None, |id, question: GqaQuestion| {
            (id.unwrap_or_default(), Known::from(question))
        })?;
        collector = Collector::new("line", rule);
        for_each_question(&asked, |number, question| {
            let sample = question.and_then(|question| {
                let boxes = question.boxes();
                let id = question.question_id.into_text();
                let image = collector.image(&images, &question.image)?;
                let known = known.take(&id)?;
                if known.image_id != stem(&question.image) {
                    return Err(other_image(&id, &known.image_id, &question.image));
                }
                let sample = sample(id, known, question.text, &mut objects);
                Ok(Sample {
                    image,
                    boxes,
                    ..sample
                })
            });
            collector.take(number, sample);
        })?;
        notes.extend(known.note());
    } else {
        collector = Collector::new("entry", rule);
        let (mut number, mut num_unbalanced) = (0, 0);
        for_each_entry(&path, None, |id, question: GqaQuestion| {
            number += 1;
            // The file that the scoring script expects may hold all questions.
            if is_balanced(part) && !question.is_balanced {
                num_unbalanced += 1;
                return;
            }
            let id = id.unwrap_or_default();
            let known = Known::from(question);
            let image = collector.image(&images, &format!("{}.jpg", known.image_id));
            let sample = image.map(|image| {
                let text = vqa::question_text(&known.text);
                let sample = sample(id, known, text, &mut objects);
                Sample { image, ..sample }
            });
            collector.take(number, sample);
        })?;
        if num_unbalanced > 0 {
            notes.push(format!(
                "{num_unbalanced} of the {number} questions of {} aren't balanced and are skipped",
                path.display()
            ));
        }
    }
    let split = part.split('_').next().unwrap_or(part);
    match official(folder, &format!("{split}_sceneGraphs.json")) {
        Some(scenes) => {
            notes.extend(add_boxes(&scenes, &objects, &mut collector)?);
            files.push(scenes);
        }
        None => notes.push(format!("no {split}_sceneGraphs.json, so no boxes")),
    }
    let mut reading = Reading::new(Benchmark::Gqa, part, folder, files, collector);
    reading.dataset.notes = notes;
    Ok(reading)
}

fn other_image(id: &str, known: &str, found: &str) -> LineFault {
    let message = format!("question {id} refers to image {found}; expected {known}");
    (ProblemKind::InvalidValue, message)
}

/// The sample without its image; the ids of the objects it points to are added to `objects`.
fn sample(
    id: String,
    known: Known,
    text: String,
    objects: &mut HashMap<String, Vec<String>>,
) -> Sample {
    objects.insert(id.clone(), known.objects);
    Sample {
        id,
        image_id: known.image_id,
        question: text,
        answers: vec![known.answer],
        family: known.family,
        keys: known.keys,
        ..Sample::default()
    }
}

/// Adds the boxes of the objects that each question points to. Returns notes on how many questions
/// have no scene graph or point to an object that it lacks, and how many images have several scene
/// graphs, of which the first is used.
fn add_boxes(
    path: &Path,
    objects: &HashMap<String, Vec<String>>,
    collector: &mut Collector,
) -> Result<Vec<String>, DatasetError> {
    let mut by_image: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, sample) in collector.samples.iter().enumerate() {
        let indices = by_image.entry(sample.image_id.clone()).or_default();
        indices.push(index);
    }
    let mut num_without = collector.samples.len();
    let mut num_repeated = 0;
    for_each_entry(path, None, |image_id, scene: GqaScene| {
        let indices = image_id.and_then(|image_id| by_image.get_mut(&image_id));
        let Some(indices) = indices else { return };
        if indices.is_empty() {
            num_repeated += 1;
        }
        for index in std::mem::take(indices) {
            let sample = &mut collector.samples[index];
            let pointed = objects.get(&sample.id).map_or(&[][..], Vec::as_slice);
            let found: Result<Vec<_>, _> = pointed.iter().map(|id| scene.object(id)).collect();
            let Ok(found) = found else { continue };
            num_without -= 1;
            sample.image_size = Some([scene.width as usize, scene.height as usize]);
            let corners = found.iter().map(|o| [o.x, o.y, o.x + o.w, o.y + o.h]);
            // Scene graphs contain a few boxes without area.
            sample.boxes = corners
                .filter(|[x0, y0, x1, y1]| x0 < x1 && y0 < y1)
                .collect();
        }
    })?;
    let mut notes = Vec::new();
    if num_without > 0 {
        notes.push(format!(
            "{num_without} questions have no whole scene graph in {}, so no boxes",
            path.display()
        ));
    }
    if num_repeated > 0 {
        notes.push(format!(
            "{num_repeated} scene graphs in {} are of images that have one before; the first is taken",
            path.display()
        ));
    }
    Ok(notes)
}
