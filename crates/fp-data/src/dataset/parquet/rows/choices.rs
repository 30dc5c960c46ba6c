//! Multiple-choice benchmarks.

use super::shared::{id_or_place, one_answer};
use crate::dataset::lines::LineFault;
use crate::dataset::parquet::table::Cells;
use crate::dataset::{
    ProblemKind, mmmu as subjects, mmstar as capabilities, scienceqa as letters,
    seedbench as dimensions,
};
use crate::metric::python_list::list;
use crate::metric::{mmmu as mmmu_metric, scienceqa};
use crate::sample::Sample;

/// Columns of `lmms-lab/ai2d`: options, and the index of the right one as text.
pub(super) fn ai2d(number: usize, cells: Cells<'_>) -> Result<Sample, LineFault> {
    let choices = cells.texts("options", "text")?;
    let answer = cells.text("answer")?;
    let place: usize = answer.trim().parse().map_err(|_| {
        let message = format!("answer {answer:?} is not the index of an option, counted from 0");
        (ProblemKind::InvalidValue, message)
    })?;
    Ok(Sample {
        id: id_or_place(number, cells),
        question: with_options(cells.text("question")?, &choices),
        answers: letters::letter(place).into_iter().collect(),
        choices,
        family: "ai2d".to_owned(),
        ..Sample::default()
    })
}

/// A question with a line per option and the instruction.
fn with_options(question: &str, choices: &[String]) -> String {
    let text = scienceqa::question_text("", question, choices);
    format!("{text}\n{}", scienceqa::INSTRUCTION)
}

/// Columns of `lmms-lab/SEED-Bench`, whose `image` is a list: one image, or the frames of a video.
pub(super) fn seedbench(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let choices = ["choice_a", "choice_b", "choice_c", "choice_d"]
        .map(|name| cells.text(name).map(str::to_owned));
    let choices = choices.into_iter().collect::<Result<Vec<_>, _>>()?;
    let id = cells.id("question_id")?;
    let kind = cells.id("question_type_id")?;
    let kind: usize = kind.parse().map_err(|_| {
        let message = format!("question_type_id {kind:?} is not a number");
        (ProblemKind::InvalidValue, message)
    })?;
    Ok(Sample {
        image_id: image_of(cells)?.unwrap_or_else(|| id.clone()),
        id,
        question: with_options(cells.text("question")?, &choices),
        answers: one_answer(cells)?,
        choices,
        family: dimensions::dimension(kind),
        ..Sample::default()
    })
}

/// The image id in `data_id`: a text, a number, or a list of one.
fn image_of(cells: Cells<'_>) -> Result<Option<String>, LineFault> {
    if let Ok(id) = cells.id("data_id") {
        return Ok(Some(id));
    }
    let ids = cells.texts("data_id", "id")?;
    Ok((ids.len() == 1).then(|| ids.concat()))
}

pub(super) fn seedbench_left_out(cells: Cells<'_>) -> Result<Option<&'static str>, LineFault> {
    let is_image = cells.text("data_type")? == dimensions::IMAGE;
    Ok((!is_image).then_some(dimensions::ON_VIDEO))
}

/// Columns of `Lin-Chen/MMStar`; the question lists its options itself.
pub(super) fn mmstar(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let question = cells.text("question")?;
    let (category, fine) = (cells.optional("category")?, cells.optional("l2_category")?);
    let answer = cells.optional("answer")?.unwrap_or_default();
    Ok(Sample {
        id: cells.id("index")?,
        question: capabilities::question_text(question),
        choices: capabilities::choices(question),
        ..capabilities::of_category(answer, category, fine)
    })
}

/// Columns of `MMMU/MMMU` and `lmms-lab/MMMU`: options as Python prints a list of strings, and
/// answers too where there are several. The answers of the split `test` are question marks.
pub(super) fn mmmu(cells: Cells<'_>) -> Result<Sample, LineFault> {
    let id = cells.id("id")?;
    let kind = cells.text("question_type")?;
    let choices = mmmu_options(cells)?;
    let answer = cells.optional("answer")?.unwrap_or_default();
    let answers = match list(answer) {
        Some(answers) if choices.is_empty() => answers,
        _ if matches!(answer, "" | "?") => Vec::new(),
        _ => vec![answer.to_owned()],
    };
    let question = mmmu_metric::question_text(cells.text("question")?, &choices);
    let known = subjects::of_subject(&id, None, kind, answers, choices);
    Ok(Sample {
        image_id: id.clone(),
        id,
        question,
        ..known
    })
}

fn mmmu_options(cells: Cells<'_>) -> Result<Vec<String>, LineFault> {
    if cells.text("question_type")? != subjects::CHOICE {
        return Ok(Vec::new());
    }
    let options = cells.text("options")?;
    list(options).ok_or_else(|| {
        let message = format!("options {options:?} are not a list of texts as Python prints it");
        (ProblemKind::InvalidValue, message)
    })
}

/// Why a row is left out: its question or options refer to other images.
pub(super) fn mmmu_left_out(cells: Cells<'_>) -> Result<Option<&'static str>, LineFault> {
    let options = mmmu_options(cells)?.join("\n");
    let text = format!("{}\n{options}", cells.text("question")?);
    Ok(match mmmu_metric::images(&text).as_slice() {
        [] | [1] => None,
        [_] => Some(subjects::OTHER_IMAGE),
        _ => Some(subjects::SEVERAL_IMAGES),
    })
}
