//! GQA: LLaVA's `llava_gqa_testdev_balanced.jsonl` with the official questions, or the
//! official questions of another part alone; with scene graphs where they are there.
//!
//! Official files lie in the folder itself, in `data/`, or in `questions/` and
//! `sceneGraphs/` of either; images in `data/images/` or `images/`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::collect::Collector;
use super::export::{Exporter, bare_question};
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Boxes, find, for_each_question, image_folders, need, stem};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::gqa::{GqaQuestion, GqaScene};
use crate::metric::vqa;
use crate::sample::Sample;

/// Parts, from the name of their official file of questions.
const PARTS: [&str; 6] = [
    "testdev_balanced",
    "val_balanced",
    "train_balanced",
    "testdev_all",
    "val_all",
    "challenge_balanced",
];

fn places(file: &str) -> [String; 7] {
    [
        "",
        "data/",
        "questions/",
        "data/questions/",
        "questions1.2/",
        "data/questions1.2/",
        "data/sceneGraphs/",
    ]
    .map(|place| format!("{place}{file}"))
}

fn official(folder: &Path, file: &str) -> Option<PathBuf> {
    let places = places(file);
    find(folder, &places.each_ref().map(String::as_str))
        .or_else(|| find(folder, &[&format!("sceneGraphs/{file}")]))
}

fn question_file(part: &str) -> String {
    format!("llava_gqa_{part}.jsonl")
}

/// Parts that a folder has.
pub(super) fn parts(folder: &Path) -> Vec<String> {
    let has = |part: &&&str| {
        folder.join(question_file(part)).is_file()
            || official(folder, &format!("{part}_questions.json")).is_some()
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

/// Reads a part.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let name = format!("{part}_questions.json");
    let path = match official(folder, &name) {
        Some(path) => path,
        None => {
            let names = places(&name);
            let names = names.each_ref().map(String::as_str);
            need(folder, "file of official questions", &names)?
        }
    };
    let images = image_folders(folder, &["data/images", "images"]);
    let rule = Benchmark::Gqa.answer_rule();
    let mut objects: HashMap<String, Vec<String>> = HashMap::new();
    let mut files = vec![path.clone()];
    let mut collector;
    let asked = folder.join(question_file(part));
    if asked.is_file() {
        files.insert(0, asked.clone());
        let mut known: HashMap<String, Known> = HashMap::new();
        for_each_entry(&path, None, |id, question: GqaQuestion| {
            known.insert(id.unwrap_or_default(), question.into());
        })?;
        collector = Collector::new("line", rule);
        for_each_question(&asked, |number, question| {
            let sample = question.and_then(|question| {
                let id = question.question_id.clone().into_text();
                let image = collector.image(&images, &question.image)?;
                collector.refuse_known(&id)?;
                let known = known.remove(&id).ok_or_else(|| unknown(&id, &path))?;
                if known.image_id != stem(&question.image) {
                    return Err(other_image(&id, &known.image_id, &question.image));
                }
                let text = question.text.clone();
                let mut sample = sample(id, known, text, &mut objects);
                sample.image = image;
                sample.boxes = question
                    .bbox
                    .as_ref()
                    .map(Boxes::corners)
                    .unwrap_or_default();
                Ok(sample)
            });
            collector.take(number, sample);
        })?;
    } else {
        collector = Collector::new("entry", rule);
        let mut number = 0;
        for_each_entry(&path, None, |id, question: GqaQuestion| {
            number += 1;
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
    }
    let split = part.split('_').next().unwrap_or(part);
    let mut notes = Vec::new();
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

fn unknown(id: &str, path: &Path) -> LineFault {
    let message = format!("question {id} isn't in {}", path.display());
    (ProblemKind::MissingAnswer, message)
}

fn other_image(id: &str, known: &str, found: &str) -> LineFault {
    let message = format!("question {id} is about image {known}, not {found}");
    (ProblemKind::InvalidValue, message)
}

/// The sample without its image; the objects that it points to go to `objects`.
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

/// Adds the boxes of the objects that each question points to; says how many questions
/// have no scene graph or point to an object that it lacks.
fn add_boxes(
    path: &Path,
    objects: &HashMap<String, Vec<String>>,
    collector: &mut Collector,
) -> Result<Option<String>, DatasetError> {
    let mut by_image: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, sample) in collector.samples.iter().enumerate() {
        let indices = by_image.entry(sample.image_id.clone()).or_default();
        indices.push(index);
    }
    let mut num_without = collector.samples.len();
    for_each_entry(path, None, |image_id, scene: GqaScene| {
        let indices = image_id.and_then(|image_id| by_image.get(&image_id));
        for &index in indices.into_iter().flatten() {
            let sample = &mut collector.samples[index];
            let pointed = objects.get(&sample.id).map_or(&[][..], Vec::as_slice);
            let found: Result<Vec<_>, _> = pointed.iter().map(|id| scene.object(id)).collect();
            let Ok(found) = found else { continue };
            num_without -= 1;
            sample.image_size = Some([scene.width as usize, scene.height as usize]);
            let corners = found.iter().map(|o| [o.x, o.y, o.x + o.w, o.y + o.h]);
            // Scene graphs have a few boxes without any area.
            sample.boxes = corners
                .filter(|[x0, y0, x1, y1]| x0 < x1 && y0 < y1)
                .collect();
        }
    })?;
    Ok((num_without > 0).then(|| {
        format!(
            "{num_without} questions have no whole scene graph in {}, so no boxes",
            path.display()
        )
    }))
}

/// Writes the part `testdev_balanced`, with scene graphs that hold the boxes.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let part = PARTS[0];
    let mut lines = out.lines(&question_file(part))?;
    let mut questions = serde_json::Map::new();
    let mut scenes: BTreeMap<String, ([usize; 2], serde_json::Map<String, _>)> = BTreeMap::new();
    for sample in &dataset.samples {
        let image = out.image(sample, "data/images")?;
        let image_id = stem(&image).to_owned();
        lines.write(&json!({
            "question_id": sample.id, "image": image, "text": sample.question,
            "category": "default",
        }))?;
        let size = out.size(sample)?;
        let (_, objects) = scenes
            .entry(image_id.clone())
            .or_insert_with(|| (size, serde_json::Map::new()));
        let mut pointers = serde_json::Map::new();
        for (word, [x0, y0, x1, y1]) in sample.boxes.iter().enumerate() {
            let object = format!("{:06}", objects.len());
            pointers.insert(word.to_string(), json!(object));
            let place = json!({"name": "object", "x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0});
            objects.insert(object, place);
        }
        let is_binary = matches!(
            sample.answers.first().map(String::as_str),
            Some("yes" | "no")
        );
        let key = |name: &str| sample.keys.get(name).cloned();
        let steps = key("steps")
            .and_then(|steps| steps.parse().ok())
            .unwrap_or(1);
        let step = json!({"operation": "select", "argument": "object", "dependencies": []});
        let structural = ["choose", "compare", "logical", "query", "verify"]
            .into_iter()
            .find(|kind| *kind == sample.family)
            .unwrap_or(if is_binary { "verify" } else { "query" });
        questions.insert(
            sample.id.clone(),
            json!({
                "question": bare_question(&sample.question),
                "answer": sample.answers.first(),
                "fullAnswer": sample.answers.first(),
                "imageId": image_id,
                "isBalanced": key("is_balanced").is_none(),
                "types": {
                    "structural": structural,
                    "semantic": key("semantic_type").unwrap_or_else(|| "obj".to_owned()),
                    "detailed": sample.family,
                },
                "semantic": vec![step; steps],
                "groups": {"global": key("group"), "local": null},
                "entailed": [],
                "equivalent": [sample.id],
                "annotations": {"question": pointers, "answer": {}, "fullAnswer": {}},
            }),
        );
    }
    lines.finish()?;
    out.json(&format!("data/{part}_questions.json"), &json!(questions))?;
    let scenes: serde_json::Map<String, _> = scenes
        .into_iter()
        .map(|(image, ([width, height], objects))| {
            let scene = json!({"width": width, "height": height, "objects": objects});
            (image, scene)
        })
        .collect();
    out.json("data/testdev_sceneGraphs.json", &json!(scenes))
}
