//! Writing GQA's files.

use std::collections::BTreeMap;

use serde_json::json;

use super::{PARTS, question_file};
use crate::dataset::export::{Exporter, bare_question};
use crate::dataset::llava::stem;
use crate::dataset::{Dataset, DatasetError};

/// Writes the split `testdev_balanced`, with scene graphs that hold the boxes.
pub(in crate::dataset) fn export(
    dataset: &Dataset,
    out: &mut Exporter,
) -> Result<(), DatasetError> {
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
