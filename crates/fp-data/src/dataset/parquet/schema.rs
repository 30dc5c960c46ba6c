//! The columns of each benchmark's files, and their types.

use std::path::Path;

use parquet::schema::types::Type;

use super::types::{Kind, describe, fits};
use crate::dataset::{Benchmark, DatasetError};

/// Columns that identify a benchmark's files; the first benchmark whose columns are all present is
/// chosen.
pub(super) const MARKS: [(Benchmark, &[&str]); 18] = [
    (Benchmark::Gqa, &["question", "imageId", "answer"]),
    (
        Benchmark::Mmbench,
        &["question", "image", "index", "A", "B"],
    ),
    (
        Benchmark::Scienceqa,
        &["question", "image", "choices", "hint", "answer"],
    ),
    (
        Benchmark::Refcoco,
        &["question_id", "image", "answer", "bbox", "file_name"],
    ),
    (
        Benchmark::Textvqa,
        &["question_id", "question", "image", "ocr_tokens", "answers"],
    ),
    (
        Benchmark::Vqav2,
        &[
            "question_id",
            "question",
            "image",
            "answers",
            "question_type",
        ],
    ),
    (
        Benchmark::Vizwiz,
        &["question_id", "question", "image", "answers"],
    ),
    (
        Benchmark::Mmvet,
        &["question_id", "question", "image", "capability", "answer"],
    ),
    (
        Benchmark::Pope,
        &["question", "image", "image_source", "category", "answer"],
    ),
    (
        Benchmark::Mme,
        &["question_id", "question", "image", "category", "answer"],
    ),
    (
        Benchmark::Docvqa,
        &["questionId", "question", "image", "ucsf_document_id"],
    ),
    (
        Benchmark::Infovqa,
        &["questionId", "question", "image", "operation/reasoning"],
    ),
    (
        Benchmark::Ocrbench,
        &["dataset", "question", "question_type", "image", "answer"],
    ),
    (
        Benchmark::Seedbench,
        &[
            "question_id",
            "question",
            "image",
            "choice_a",
            "choice_b",
            "choice_c",
            "choice_d",
            "question_type_id",
            "data_type",
            "answer",
        ],
    ),
    (
        Benchmark::Mmmu,
        &[
            "id",
            "question",
            "options",
            "image_1",
            "question_type",
            "answer",
        ],
    ),
    (
        Benchmark::Mmstar,
        &["index", "question", "image", "category", "l2_category"],
    ),
    (Benchmark::Ai2d, &["question", "options", "image", "answer"]),
    (Benchmark::Chartqa, &["type", "question", "image", "answer"]),
];

/// The image column of a benchmark's rows.
pub(super) fn image_column(benchmark: Benchmark) -> &'static str {
    match benchmark {
        Benchmark::Mmmu => "image_1",
        _ => "image",
    }
}

/// Columns that a benchmark's samples are made from; a file may lack those that do not identify it.
pub(super) fn columns(benchmark: Benchmark) -> Vec<(&'static str, Kind)> {
    use Kind::{Group, Id, IdOrIds, Image, Images, Number, Numbers, Text, TextOrTexts, Texts};
    let answer = ("answer", Text);
    let answers = ("answers", Texts("answer"));
    let category = ("category", Text);
    let own: &[(&str, Kind)] = match benchmark {
        Benchmark::Plain => &[],
        Benchmark::Vqav2 => &[
            ("question_id", Id),
            ("image_id", Id),
            ("question_type", Text),
            ("answer_type", Text),
            answers,
        ],
        Benchmark::Gqa => &[
            ("id", Id),
            ("imageId", Id),
            ("types", Group),
            ("groups", Group),
            answer,
        ],
        Benchmark::Textvqa => &[
            ("question_id", Id),
            ("image_id", Id),
            ("ocr_tokens", Texts("word")),
            ("image_width", Number),
            ("image_height", Number),
            answers,
        ],
        Benchmark::Pope => &[
            ("id", Id),
            ("question_id", Id),
            ("image_source", Id),
            category,
            answer,
        ],
        Benchmark::Mme => &[("question_id", Id), category, answer],
        Benchmark::Vizwiz => &[("question_id", Id), category, answers],
        Benchmark::Scienceqa => &[
            ("question_id", Id),
            ("choices", Texts("text")),
            ("hint", Text),
            ("subject", Text),
            ("topic", Text),
            ("grade", Text),
            ("answer", Number),
        ],
        Benchmark::Mmbench => &[
            ("index", Number),
            ("hint", Text),
            ("A", Text),
            ("B", Text),
            ("C", Text),
            ("D", Text),
            category,
            ("L2-category", Text),
            ("l2-category", Text),
            answer,
        ],
        Benchmark::Mmvet => &[("question_id", Id), ("capability", TextOrTexts), answer],
        Benchmark::Refcoco => &[
            ("question_id", Id),
            ("file_name", Text),
            ("answer", Texts("answer")),
        ],
        Benchmark::Docvqa => &[
            ("questionId", Id),
            ("ucsf_document_id", Text),
            ("ucsf_document_page_no", Text),
            ("question_types", Texts("type")),
            answers,
        ],
        Benchmark::Infovqa => &[
            ("questionId", Id),
            ("image_url", Text),
            ("answer_type", Texts("type")),
            ("operation/reasoning", Texts("type")),
            answers,
        ],
        Benchmark::Chartqa => &[("question_id", Id), ("type", Text), answer],
        Benchmark::Ocrbench => &[
            ("question_id", Id),
            ("dataset", Text),
            ("question_type", Text),
            ("answer", Texts("answer")),
        ],
        Benchmark::Ai2d => &[("question_id", Id), ("options", Texts("text")), answer],
        Benchmark::Seedbench => &[
            ("question_id", Id),
            ("question_type_id", Id),
            ("data_id", IdOrIds),
            ("data_type", Text),
            ("choice_a", Text),
            ("choice_b", Text),
            ("choice_c", Text),
            ("choice_d", Text),
            answer,
        ],
        Benchmark::Mmstar => &[("index", Id), category, ("l2_category", Text), answer],
        Benchmark::Mmmu => &[
            ("id", Id),
            ("options", Text),
            ("question_type", Text),
            answer,
        ],
    };
    let question = match benchmark {
        // The question is made from the expressions.
        Benchmark::Refcoco => None,
        _ => Some(("question", Text)),
    };
    // GQA's images are in other files.
    let image = match benchmark {
        Benchmark::Gqa => None,
        Benchmark::Seedbench => Some((image_column(benchmark), Images)),
        _ => Some((image_column(benchmark), Image)),
    };
    let shared = [("prompt", Text), ("bbox", Numbers)];
    let all = own.iter().copied().chain(question).chain(image);
    all.chain(shared).collect()
}

/// Refuses a file that lacks a column identifying the benchmark, or has one of another type.
pub(super) fn check(path: &Path, schema: &Type, benchmark: Benchmark) -> Result<(), DatasetError> {
    let expected = columns(benchmark);
    let marks = MARKS.iter().find(|(marked, _)| *marked == benchmark);
    let needed = marks.map_or(&[][..], |(_, columns)| columns);
    for (name, kind) in expected {
        check_column(path, schema, name, kind, needed.contains(&name))?;
    }
    Ok(())
}

/// Refuses a file whose column has another type, or is missing although it is required.
pub(super) fn check_column(
    path: &Path,
    schema: &Type,
    name: &str,
    kind: Kind,
    is_needed: bool,
) -> Result<(), DatasetError> {
    let fault = |found: String| DatasetError::Column {
        path: path.to_owned(),
        column: name.to_owned(),
        expected: kind.to_string(),
        found,
    };
    let column = schema.get_fields().iter().find(|f| f.name() == name);
    match column {
        Some(column) if !fits(column, kind) => Err(fault(describe(column))),
        None if is_needed => {
            let names: Vec<&str> = schema.get_fields().iter().map(|f| f.name()).collect();
            Err(fault(format!("missing; there are {}", names.join(", "))))
        }
        _ => Ok(()),
    }
}

/// The benchmarks nearest to a file's columns, and the columns it lacks for each.
pub(super) fn nearest(has: impl Fn(&str) -> bool) -> Vec<(Benchmark, Vec<&'static str>)> {
    let lacks = |(benchmark, columns): &(Benchmark, &'static [&'static str])| {
        let missing: Vec<&str> = columns.iter().copied().filter(|c| !has(c)).collect();
        (*benchmark, missing)
    };
    let mut found: Vec<_> = MARKS.iter().map(lacks).collect();
    let fewest = found.iter().map(|(_, missing)| missing.len()).min();
    found.retain(|(_, missing)| Some(missing.len()) == fewest);
    found
}
