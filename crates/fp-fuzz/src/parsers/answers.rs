//! Answer files of other programs: scored, compared and converted for submission.

use std::cell::RefCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fp_data::dataset::{Dataset, find};
use fp_data::rescore::{AnswerFile, RescoreError, Scored, compare_all, upload};
use fp_scoring::error_text;
use fp_stats::CompareOptions;

use super::Input;

thread_local! {
    /// Questions of the set used last; they are not damaged here.
    static QUESTIONS: RefCell<Option<(PathBuf, Rc<Dataset>)>> = const { RefCell::new(None) };
}

fn questions(folder: &Path) -> Option<Rc<Dataset>> {
    QUESTIONS.with_borrow_mut(|known| {
        if let Some((of, dataset)) = known
            && of == folder
        {
            return Some(Rc::clone(dataset));
        }
        let part = find(&folder.join("data")).ok()?.into_iter().next()?;
        let dataset = Rc::new(part.read().ok()?.whole().ok()?);
        *known = Some((folder.to_owned(), Rc::clone(&dataset)));
        Some(dataset)
    })
}

/// One in so many inputs is compared with sound answers, because a test takes as long as reading a
/// hundred files.
const COMPARED: u64 = 64;

pub(super) fn score(input: &Input<'_>) -> bool {
    // MME's format is a folder.
    let is_task = input.file.extension().is_some_and(|ending| ending == "txt");
    let path = match input.file.parent() {
        Some(folder) if is_task => folder,
        _ => input.file,
    };
    let file = match AnswerFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            black_box(error_text(&error));
            return false;
        }
    };
    let mut is_scored = file.problems.is_empty();
    let beside = questions(input.folder);
    let own = file
        .questions
        .clone()
        .and_then(|reading| reading.whole().ok());
    for dataset in [beside.as_deref(), own.as_ref()].into_iter().flatten() {
        if let Err(error) = score_with(input, &file, dataset) {
            black_box(error_text(&error));
            is_scored = false;
        }
    }
    is_scored
}

fn score_with(input: &Input<'_>, file: &AnswerFile, dataset: &Dataset) -> Result<(), RescoreError> {
    if let Ok(upload) = upload(file, dataset) {
        black_box(upload.content.len());
    }
    // Answers that are scored elsewhere are only converted for submission.
    if dataset.judge.is_some() {
        return Ok(());
    }
    let scored = Scored::new("damaged", file, dataset)?;
    black_box(scored.figures.headline());
    if input.number.is_multiple_of(COMPARED) {
        let sound = AnswerFile::read(&input.folder.join("answers/answers.jsonl"))?;
        let sound = Scored::new("sound", &sound, dataset)?;
        let options = CompareOptions {
            num_draws: 1000,
            num_permutations: 1000,
            ..CompareOptions::default()
        };
        black_box(compare_all(dataset, &[sound, scored], None, &options)?);
    }
    Ok(())
}
