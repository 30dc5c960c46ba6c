//! Cells that several benchmarks share.

use std::collections::BTreeMap;

use crate::dataset::lines::LineFault;
use crate::dataset::parquet::table::Cells;

pub(super) fn key(keys: &mut BTreeMap<String, String>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        keys.insert(name.to_owned(), value.to_owned());
    }
}

pub(super) fn or_default(text: Option<&str>, default: &str) -> String {
    text.unwrap_or(default).to_owned()
}

pub(super) fn one_answer(cells: Cells<'_>) -> Result<Vec<String>, LineFault> {
    let answer = cells.optional("answer")?.filter(|text| !text.is_empty());
    Ok(answer.map(str::to_owned).into_iter().collect())
}

/// Human answers. Test splits have empty strings in place of answers that are withheld.
pub(super) fn answers_of_people(cells: Cells<'_>) -> Result<Vec<String>, LineFault> {
    let answers = cells.texts("answers", "answer")?;
    if answers.iter().all(String::is_empty) {
        Ok(Vec::new())
    } else {
        Ok(answers)
    }
}

/// The row's id if it has one, or else its index from 0; `number` counts from 1.
pub(super) fn id_or_place(number: usize, cells: Cells<'_>) -> String {
    let own = cells.id("question_id");
    own.unwrap_or_else(|_| (number - 1).to_string())
}
