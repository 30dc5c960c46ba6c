//! Writing the plain form.

use super::{DESCRIPTION_FILE, Description, Line, QUESTIONS_FILE};
use crate::dataset::export::Exporter;
use crate::dataset::{Dataset, DatasetError};
use crate::hash::sha256_file;

/// Writes a dataset in this form, images included.
pub(in crate::dataset) fn export(
    dataset: &Dataset,
    out: &mut Exporter,
) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS_FILE)?;
    for sample in dataset.samples.iter().chain(&dataset.text_only) {
        let image = if sample.is_text_only() {
            None
        } else {
            Some(format!("images/{}", out.image(sample, "images")?))
        };
        let line = Line {
            id: sample.id.clone(),
            image_id: image.is_some().then(|| sample.image_id.clone()),
            image,
            image_size: sample.image_size,
            question: sample.question.clone(),
            answers: sample.answers.clone(),
            choices: sample.choices.clone(),
            family: sample.family.clone(),
            keys: sample.keys.clone(),
            boxes: sample.boxes.clone(),
        };
        lines.write(&serde_json::to_value(&line).unwrap_or_default())?;
    }
    lines.finish()?;
    let path = out.folder.join(QUESTIONS_FILE);
    let sha256 = sha256_file(&path).map_err(|source| DatasetError::Io { path, source })?;
    let description = Description {
        name: dataset.name.clone(),
        split: dataset.split.clone(),
        answer_rule: dataset.answer_rule.name().to_owned(),
        families: dataset.families.clone(),
        license: dataset.license.clone(),
        source: dataset.source.clone(),
        images: None,
        judge: dataset.judge.clone(),
        sha256: Some(sha256),
    };
    let text = serde_json::to_string_pretty(&description).unwrap_or_default();
    out.text(DESCRIPTION_FILE, &(text + "\n"))
}
