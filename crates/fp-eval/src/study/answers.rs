//! From selections and the model's runs to a sample's record.

use std::path::Path;

use fp_data::Sample;
use fp_data::hash::sha256_hex;
use fp_data::metric::AnswerRule;
use fp_model::{Generation, ModelError};
use fp_scoring::TokenLayout;
use fp_scoring::error_text;

use super::choose::Choice;
use super::failure::Failure;
use super::inputs::{ImageFacts, Inputs};
use super::path::VisualInput;
use super::record::{
    CellRecord, DiversityRecord, QueryRows, RunRecord, SampleRecord, VisualInputRecord,
    VisualStageRecord, VisualStagesRecord,
};

/// A sample of a run, with its index, its dataset and its scoring rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) index: usize,
    pub(crate) dataset: usize,
    pub(crate) rule: AnswerRule,
    /// The dataset's folder.
    pub(crate) folder: &'a Path,
    pub(crate) sample: &'a Sample,
}

/// Result of one run of the model.
pub(crate) type Outcome = Result<(Generation, Option<f32>), String>;

impl Placed<'_> {
    /// The record of a sample before anything has been run.
    fn record(&self, inputs: &Inputs, image_size: Option<[usize; 2]>) -> SampleRecord {
        let sample = self.sample;
        let prompt = if sample.is_text_only() {
            inputs.text_only_prompt(&sample.question)
        } else {
            inputs.prompt_text(&sample.question)
        };
        let mut prompt_hash = sha256_hex(prompt.as_bytes());
        prompt_hash.truncate(16);
        SampleRecord {
            index: self.index,
            dataset: self.dataset,
            id: sample.id.clone(),
            image_id: sample.image_id.clone(),
            image: sample.image.name(self.folder),
            text_only: sample.is_text_only(),
            image_size: image_size.or(sample.image_size),
            family: sample.family.clone(),
            keys: sample.keys.clone(),
            question: sample.question.clone(),
            answers: sample.answers.clone(),
            boxes: sample.boxes.clone(),
            prompt_hash,
            layout: None,
            grids: Vec::new(),
            looks: Vec::new(),
            attentions: Vec::new(),
            runs: Vec::new(),
            cells: Vec::new(),
            error: None,
            failure: None,
        }
    }

    /// The record of a sample that failed as a whole.
    pub(crate) fn failed(
        &self,
        inputs: &Inputs,
        image_size: Option<[usize; 2]>,
        failure: &Failure,
    ) -> SampleRecord {
        SampleRecord {
            error: Some(failure.error.clone()),
            failure: Some(failure.kind),
            ..self.record(inputs, image_size)
        }
    }

    /// The record of a text-only question, with the one run that serves all cells.
    ///
    /// # Errors
    /// Tokens that can't be decoded to text.
    pub(crate) fn text_only(
        &self,
        inputs: &Inputs,
        num_cells: usize,
        generation: &Generation,
        min_margin: Option<f32>,
    ) -> Result<SampleRecord, ModelError> {
        let text = inputs.answer(&generation.token_ids)?;
        let cell = CellRecord {
            run: Some(0),
            ..CellRecord::default()
        };
        Ok(SampleRecord {
            runs: vec![RunRecord {
                seen: VisualInputRecord::NoImage,
                after_layer: None,
                kept_hash: None,
                score: self.sample.score(self.rule, &text),
                text,
                token_ids: generation.token_ids.clone(),
                finish_reason: generation.finish_reason,
                min_margin,
                diversity: None,
            }],
            cells: vec![cell; num_cells],
            ..self.record(inputs, None)
        })
    }
}

/// A sample's record while its runs are being added.
pub(crate) struct Answers<'a> {
    placed: Placed<'a>,
    inputs: &'a Inputs,
    record: SampleRecord,
    names_layers: bool,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(
        placed: Placed<'a>,
        inputs: &'a Inputs,
        image: ImageFacts,
        layout: TokenLayout,
        looks: Vec<QueryRows>,
        names_layers: bool,
    ) -> Answers<'a> {
        let record = placed.record(inputs, Some(image.size));
        Answers {
            placed,
            inputs,
            record: SampleRecord {
                layout: Some(layout),
                grids: image.grids,
                looks,
                ..record
            },
            names_layers,
        }
    }

    /// Adds the next cell with its answer; cells with equal answers from equal tokens share a run
    /// record.
    pub(crate) fn add(&mut self, choice: Choice, outcome: Option<&Outcome>) {
        let Choice {
            visible,
            attention,
            diversity,
            record: mut cell,
        } = choice;
        cell.attention = attention.map(|attention| {
            let known = &mut self.record.attentions;
            match known.iter().position(|other| *other == attention) {
                Some(same) => same,
                None => {
                    known.push(attention);
                    known.len() - 1
                }
            }
        });
        match (visible, outcome) {
            (Some(visible), Some(Ok((generation, margin)))) => {
                match self.run(&visible, generation, *margin, diversity) {
                    Ok(run) => cell.run = Some(run),
                    Err(error) => cell.error = Some(error_text(&error)),
                }
            }
            (Some(_), Some(Err(error))) => cell.error = Some(error.clone()),
            (Some(_), None) => {
                cell = CellRecord::failed("the model wasn't run for this cell".to_owned());
            }
            (None, _) => {}
        }
        self.record.cells.push(cell);
    }

    fn run(
        &mut self,
        visible: &VisualInput,
        generation: &Generation,
        min_margin: Option<f32>,
        diversity: Option<DiversityRecord>,
    ) -> Result<usize, ModelError> {
        let plain = visible.kept_after_layer();
        let kept_hash = plain
            .as_ref()
            .map(|(_, kept)| format!("{:016x}", kept.hash64()));
        let after_layer = plain.as_ref().map(|(layer, _)| *layer);
        let seen = match (visible, plain) {
            (VisualInput::All, _) => VisualInputRecord::All,
            (VisualInput::NoImage, _) => VisualInputRecord::NoImage,
            (VisualInput::Path(_), Some((_, kept))) => {
                VisualInputRecord::Kept(kept.as_slice().to_vec())
            }
            (VisualInput::Path(path), None) => VisualInputRecord::Stages(VisualStagesRecord {
                input: path.input,
                positions: path.positions,
                stages: path
                    .stages
                    .iter()
                    .map(|stage| VisualStageRecord {
                        site: stage.site,
                        kept: stage.places.to_vec(),
                        merge: stage.selection.merge().map(|merge| merge.rows().to_vec()),
                    })
                    .collect(),
            }),
        };
        let text = self.inputs.answer(&generation.token_ids)?;
        let run = RunRecord {
            seen,
            after_layer: after_layer.filter(|_| self.names_layers),
            kept_hash,
            score: self.placed.sample.score(self.placed.rule, &text),
            text,
            token_ids: generation.token_ids.clone(),
            finish_reason: generation.finish_reason,
            min_margin,
            diversity,
        };
        if let Some(same) = self.record.runs.iter().position(|other| *other == run) {
            return Ok(same);
        }
        self.record.runs.push(run);
        Ok(self.record.runs.len() - 1)
    }

    pub(crate) fn finish(self) -> SampleRecord {
        self.record
    }
}
