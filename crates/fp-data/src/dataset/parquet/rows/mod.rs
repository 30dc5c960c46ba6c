//! Converts a row's cells to samples, for each benchmark.

mod choices;
mod reading;
mod shared;

use std::collections::BTreeMap;

use super::table::Cells;
use crate::dataset::lines::LineFault;
use crate::dataset::textvqa::{WITHOUT_OCR, check_golds};
use crate::dataset::{
    Benchmark, ProblemKind, mmbench as mmbench_table, refcoco, scienceqa as letters,
};
use crate::metric::refcoco::question_text;
use crate::metric::{mme, scienceqa, textvqa, vizwiz, vqa};
use crate::sample::Sample;
use shared::{answers_of_people, id_or_place, key, one_answer, or_default};

/// What rows of one split have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    benchmark: Benchmark,
    split: &'a str,
}

impl<'a> Context<'a> {
    pub(super) fn new(benchmark: Benchmark, split: &'a str) -> Self {
        Context { benchmark, split }
    }

    /// Why a row is left out, if it is.
    pub(super) fn left_out(self, cells: Cells<'_>) -> Result<Option<&'static str>, LineFault> {
        match self.benchmark {
            Benchmark::Seedbench => choices::seedbench_left_out(cells),
            Benchmark::Mmmu => choices::mmmu_left_out(cells),
            _ => Ok(None),
        }
    }

    /// The samples of a row, without their image. `number` counts from 1.
    pub(super) fn samples(self, number: usize, cells: Cells<'_>) -> Result<Vec<Sample>, LineFault> {
        let mut sample = match self.benchmark {
            Benchmark::Plain => {
                return Err((
                    ProblemKind::Malformed,
                    "the plain form is not Parquet".to_owned(),
                ));
            }
            Benchmark::Vqav2 => vqav2(cells)?,
            Benchmark::Gqa => gqa(cells)?,
            Benchmark::Textvqa => text_vqa(cells, self.split)?,
            Benchmark::Pope => pope(cells)?,
            Benchmark::Mme => mme_pair(number, cells)?,
            Benchmark::Scienceqa => science_qa(number, cells)?,
            Benchmark::Mmbench => mmbench(cells, self.split)?,
            Benchmark::Vizwiz => viz_wiz(cells)?,
            Benchmark::Mmvet => mmvet(cells)?,
            Benchmark::Refcoco => return expressions(cells),
            Benchmark::Docvqa => reading::docvqa(cells)?,
            Benchmark::Infovqa => reading::infovqa(cells)?,
            Benchmark::Chartqa => reading::chartqa(number, cells)?,
            Benchmark::Ocrbench => reading::ocrbench(number, cells)?,
            Benchmark::Ai2d => choices::ai2d(number, cells)?,
            Benchmark::Seedbench => choices::seedbench(cells)?,
            Benchmark::Mmstar => choices::mmstar(cells)?,
            Benchmark::Mmmu => choices::mmmu(cells)?,
        };
        if let Some(prompt) = cells.optional("prompt")? {
            prompt.clone_into(&mut sample.question);
        }
        sample.boxes = boxes(cells)?;
        Ok(vec![sample])
    }
}

/// Boxes as corners, from x, y, width and height.
fn boxes(cells: Cells<'_>) -> Result<Vec<[f64; 4]>, LineFault> {
    let numbers = cells.numbers("bbox")?;
    let (boxes, rest) = numbers.as_chunks::<4>();
    if !rest.is_empty() {
        let message = format!(
            "column `bbox` has {} numbers; a box has four",
            numbers.len()
        );
        return Err((ProblemKind::InvalidValue, message));
    }
    let corners = |&[x, y, w, h]: &[f64; 4]| [x, y, x + w, y + h];
    Ok(boxes.iter().map(corners).collect())
}

/// One question per expression; several expressions share a box. The reference answer depends on
/// the image's size and is filled in later.
fn expressions(cells: Cells<'_>) -> Result<Vec<Sample>, LineFault> {
    let id = cells.id("question_id")?;
    let image_id = refcoco::image_id(cells.text("file_name")?);
    let boxes = boxes(cells)?;
    if boxes.len() != 1 {
        let message = format!("column `bbox` has {} boxes, not one", boxes.len());
        return Err((ProblemKind::InvalidValue, message));
    }
    let expressions = cells.texts("answer", "answer")?;
    if expressions.is_empty() {
        let message = "column `answer` has no expression".to_owned();
        return Err((ProblemKind::MissingAnswer, message));
    }
    let sample = |(text, place): (&String, usize)| Sample {
        id: format!("{id}#{place}"),
        image_id: image_id.clone(),
        question: question_text(text),
        family: "refcoco".to_owned(),
        boxes: boxes.clone(),
        ..Sample::default()
    };
    Ok(expressions.iter().zip(0..).map(sample).collect())
}

fn vqav2(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let mut keys = BTreeMap::new();
    key(&mut keys, "question_type", cells.optional("question_type")?);
    let id = cells.id("question_id")?;
    Ok(Sample {
        image_id: cells.id("image_id").unwrap_or_else(|_| id.clone()),
        id,
        question: vqa::question_text(cells.text("question")?),
        answers: answers_of_people(cells)?,
        family: or_default(cells.optional("answer_type")?, "default"),
        keys,
        ..Sample::default()
    })
}

fn gqa(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let types = cells.group("types");
    let kind = |name: &str| types.map_or(Ok(None), |types| types.optional(name));
    let mut keys = BTreeMap::new();
    key(&mut keys, "semantic_type", kind("semantic")?);
    let groups = cells.group("groups");
    let group = groups.map_or(Ok(None), |groups| groups.optional("global"))?;
    key(&mut keys, "group", group);
    Ok(Sample {
        id: cells.id("id")?,
        image_id: cells.id("imageId")?,
        question: vqa::question_text(cells.text("question")?),
        answers: one_answer(cells)?,
        family: or_default(kind("structural")?, "default"),
        keys,
        ..Sample::default()
    })
}

fn text_vqa(cells: Cells<'_>, split: &str) -> Result<Sample, LineFault> {
    let tokens = cells.texts("ocr_tokens", "word")?;
    let is_without = split.ends_with(WITHOUT_OCR);
    let answers = answers_of_people(cells)?;
    if !answers.is_empty() {
        check_golds(&answers)?;
    }
    let side = |name: &str| cells.number(name).ok().map(|side| side as usize);
    let id = cells.id("question_id")?;
    let question = cells.text("question")?;
    Ok(Sample {
        image_id: cells.id("image_id").unwrap_or_else(|_| id.clone()),
        id,
        image_size: side("image_width")
            .zip(side("image_height"))
            .map(|(w, h)| [w, h]),
        question: textvqa::question_text(question, (!is_without).then_some(&tokens[..])),
        answers,
        family: "textvqa".to_owned(),
        ..Sample::default()
    })
}

fn pope(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let id = cells.id("id").or_else(|_| cells.id("question_id"))?;
    Ok(Sample {
        image_id: cells.id("image_source").unwrap_or_else(|_| id.clone()),
        id,
        question: vqa::question_text(cells.text("question")?),
        answers: one_answer(cells)?,
        family: or_default(cells.optional("category")?, "default"),
        ..Sample::default()
    })
}

/// One of the two questions on an image, which both have its id.
fn mme_pair(number: usize, cells: Cells<'_>) -> Result<Sample, LineFault> {
    let image_id = cells.id("question_id")?;
    Ok(Sample {
        id: format!("{image_id}#row{number}"),
        image_id,
        question: mme::question_text(cells.text("question")?),
        answers: one_answer(cells)?,
        family: or_default(cells.optional("category")?, "default"),
        ..Sample::default()
    })
}

fn science_qa(number: usize, cells: Cells<'_>) -> Result<Sample, LineFault> {
    let choices = cells.texts("choices", "text")?;
    let hint = cells.optional("hint")?.unwrap_or_default();
    let text = scienceqa::question_text(hint, cells.text("question")?, &choices);
    let answer = cells.number("answer")?;
    let mut keys = BTreeMap::new();
    for name in ["topic", "grade"] {
        key(&mut keys, name, cells.optional(name)?);
    }
    // The Hub's columns include no id.
    let id = id_or_place(number, cells);
    Ok(Sample {
        image_id: id.clone(),
        id,
        question: format!("{text}\n{}", scienceqa::INSTRUCTION),
        answers: letters::letter(answer as usize).into_iter().collect(),
        choices,
        family: or_default(cells.optional("subject")?, "scienceqa"),
        keys,
        ..Sample::default()
    })
}

fn mmbench(cells: Cells<'_>, split: &str) -> Result<Sample, LineFault> {
    let cell = |name: &str| Ok::<_, LineFault>(cells.optional(name)?.unwrap_or_default());
    let row = mmbench_table::Row {
        index: cells.number("index")?,
        hint: cell("hint")?,
        question: cells.text("question")?,
        options: [cell("A")?, cell("B")?, cell("C")?, cell("D")?],
        answer: cell("answer")?,
        category: cell("category")?,
        l2_category: match cell("L2-category")? {
            "" => cell("l2-category")?,
            category => category,
        },
    };
    let split = split.replace('/', "_");
    Ok(row.sample(mmbench_table::instruction(&split)))
}

fn viz_wiz(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let id = cells.id("question_id")?;
    Ok(Sample {
        image_id: id.clone(),
        id,
        question: vizwiz::question_text(cells.text("question")?),
        answers: answers_of_people(cells)?,
        family: or_default(cells.optional("category")?, "default"),
        ..Sample::default()
    })
}

fn mmvet(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let id = cells.id("question_id")?;
    Ok(Sample {
        image_id: id.clone(),
        id,
        question: cells.text("question")?.to_owned(),
        answers: one_answer(cells)?,
        family: match cells.optional("capability") {
            Ok(text) => or_default(text, "mm-vet"),
            Err(_) => cells.texts("capability", "name")?.join("+"),
        },
        ..Sample::default()
    })
}
