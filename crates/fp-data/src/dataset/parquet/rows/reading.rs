//! Benchmarks of text in images: documents, infographics, charts.

use super::shared::{answers_of_people, id_or_place, one_answer, or_default};
use crate::dataset::beside::family;
use crate::dataset::lines::LineFault;
use crate::dataset::parquet::table::Cells;
use crate::dataset::{docvqa as documents, ocrbench as texts};
use crate::metric::chartqa::split_name;
use crate::metric::vqa;
use crate::sample::Sample;

/// Columns of `lmms-lab/DocVQA`, configuration `DocVQA`.
pub(super) fn docvqa(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let page = cells.optional("ucsf_document_page_no")?;
    let document = cells.text("ucsf_document_id")?;
    Ok(Sample {
        image_id: match page {
            Some(page) => format!("{document}_{page}"),
            None => document.to_owned(),
        },
        family: family(&cells.texts("question_types", "type")?),
        ..document_question(cells)?
    })
}

/// Columns of `lmms-lab/DocVQA`, configuration `InfographicVQA`.
pub(super) fn infovqa(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let question = document_question(cells)?;
    let operations = cells.texts("operation/reasoning", "type")?;
    Ok(Sample {
        image_id: or_default(cells.optional("image_url")?, &question.id),
        family: family(&cells.texts("answer_type", "type")?),
        keys: documents::keys(&operations),
        ..question
    })
}

/// Columns that both configurations have.
fn document_question(cells: Cells<'_>) -> Result<Sample, LineFault> {
    Ok(Sample {
        id: cells.id("questionId")?,
        question: vqa::question_text(cells.text("question")?),
        answers: answers_of_people(cells)?,
        ..Sample::default()
    })
}

/// Columns of `lmms-lab/ChartQA`, which has no ids.
pub(super) fn chartqa(number: usize, cells: Cells<'_>) -> Result<Sample, LineFault> {
    Ok(Sample {
        id: id_or_place(number, cells),
        question: vqa::question_text(cells.text("question")?),
        answers: one_answer(cells)?,
        family: split_name(cells.text("type")?).to_owned(),
        ..Sample::default()
    })
}

/// Columns of `echo840/OCRBench`, which has no ids.
pub(super) fn ocrbench(number: usize, cells: Cells<'_>) -> Result<Sample, LineFault> {
    let category = cells.text("question_type")?.to_owned();
    let source = cells.optional("dataset")?.map(str::to_owned);
    Ok(Sample {
        id: id_or_place(number, cells),
        question: cells.text("question")?.trim().to_owned(),
        ..texts::of_category(category, cells.texts("answer", "answer")?, source)
    })
}
