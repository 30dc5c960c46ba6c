//! What can be wrong with Parquet files: named by file, column, and what was found instead.
#![cfg(feature = "parquet")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fp_data::dataset::{Benchmark, ProblemKind, Reading, find, locate};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A column's type, and its values.
#[derive(Clone)]
enum Values {
    Texts(Vec<&'static str>),
    Numbers(Vec<i64>),
    Reals(Vec<f64>),
    /// Some rows have none.
    Images(Vec<Option<&'static [u8]>>),
}

type Columns = Vec<(&'static str, Values)>;

/// Two questions on one image each, with the columns of MME.
fn mme() -> Columns {
    vec![
        ("question_id", Values::Texts(vec!["a/1.png", "a/1.png"])),
        (
            "question",
            Values::Texts(vec![
                "Is it? Please answer yes or no.",
                "Is it not? Please answer yes or no.",
            ]),
        ),
        ("answer", Values::Texts(vec!["Yes", "No"])),
        ("category", Values::Texts(vec!["a", "a"])),
        ("image", Values::Images(vec![Some(b"one"), Some(b"one")])),
    ]
}

fn changed(name: &str, values: Values) -> Columns {
    let mut columns = mme();
    let column = columns.iter_mut().find(|(known, _)| *known == name);
    column.unwrap().1 = values;
    columns
}

fn write(path: &Path, columns: &Columns) {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, values)| match values {
            Values::Texts(_) => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
            Values::Numbers(_) => format!("REQUIRED INT64 {name};"),
            Values::Reals(_) => format!("REQUIRED DOUBLE {name};"),
            Values::Images(_) => {
                format!("OPTIONAL group {name} {{ OPTIONAL BYTE_ARRAY bytes; }}")
            }
        })
        .collect();
    let schema = parse_message_type(&format!("message schema {{ {} }}", fields.join(" ")));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema.unwrap()), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, values) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        let bytes = |text: &[u8]| ByteArray::from(text.to_vec());
        match (values, column.untyped()) {
            (Values::Texts(texts), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let values: Vec<_> = texts.iter().map(|text| bytes(text.as_bytes())).collect();
                writer.write_batch(&values, None, None).unwrap();
            }
            (Values::Numbers(numbers), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(numbers, None, None).unwrap();
            }
            (Values::Reals(numbers), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(numbers, None, None).unwrap();
            }
            (Values::Images(images), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let values: Vec<_> = images.iter().flatten().map(|image| bytes(image)).collect();
                let levels: Vec<i16> = images
                    .iter()
                    .map(|image| if image.is_some() { 2 } else { 0 })
                    .collect();
                writer.write_batch(&values, Some(&levels), None).unwrap();
            }
            _ => panic!("a column of another type"),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn read(folder: &Path) -> Result<Reading, String> {
    let parts = find(folder).map_err(|error| fp_scoring::error_text(&error))?;
    assert_eq!(parts[0].benchmark, Benchmark::Mme);
    parts[0]
        .read()
        .map_err(|error| fp_scoring::error_text(&error))
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/test-00000-of-00001.parquet");
    (folder, path)
}

#[test]
fn columns_of_another_type_are_named() {
    let (folder, path) = folder();
    write(&path, &mme());
    let samples = read(folder.path()).unwrap().whole().unwrap().samples;
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[1].image.read().unwrap(), b"one");
    let numbers = || Values::Numbers(vec![1, 2]);
    let reals = || Values::Reals(vec![1.0, 2.0]);
    for (column, values, message) in [
        (
            "question",
            numbers(),
            "column `question` has to be text; it is INT64",
        ),
        (
            "answer",
            reals(),
            "column `answer` has to be text; it is DOUBLE",
        ),
        (
            "question_id",
            reals(),
            "column `question_id` has to be text or a whole number; it is DOUBLE",
        ),
        (
            "category",
            Values::Images(vec![None, None]),
            "column `category` has to be text; it is a structure of bytes",
        ),
        (
            "image",
            numbers(),
            "column `image` has to be a structure with `bytes`, or bytes; it is INT64",
        ),
    ] {
        write(&path, &changed(column, values));
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains("test-00000-of-00001.parquet"), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn missing_columns_are_named() {
    let (folder, path) = folder();
    let columns = mme().into_iter().filter(|(name, _)| *name != "answer");
    write(&path, &columns.collect());
    let error = fp_scoring::error_text(&find(folder.path()).unwrap_err());
    assert!(error.contains("test-00000-of-00001.parquet"), "{error}");
    assert!(
        error.contains("(category, image, question, question_id)"),
        "{error}"
    );
    assert!(error.contains("to be MME's it lacks answer"), "{error}");
    assert!(locate(&folder.path().display().to_string()).is_err());
    // Beside a data set that is known, a file of something else is left alone.
    write(&folder.path().join("data/dev.parquet"), &mme());
    assert_eq!(find(folder.path()).unwrap().len(), 1);
}

#[test]
fn rows_are_named_by_their_file() {
    let (folder, path) = folder();
    let check = |kind: ProblemKind, part: &str| {
        let problems = read(folder.path()).unwrap().problems;
        assert_eq!(problems.counts().get(&kind), Some(&1), "{problems}");
        assert_eq!(problems.len(), 1, "{problems}");
        assert!(problems.to_string().contains(part), "{problems}");
    };
    write(
        &path,
        &changed("image", Values::Images(vec![Some(b"one"), None])),
    );
    check(
        ProblemKind::MissingImage,
        "row 2: column `image` has no bytes",
    );
    let twice = Values::Texts(vec!["Is it?"; 2]);
    write(&path, &changed("question", twice));
    check(ProblemKind::DuplicateId, "is asked twice");
    write(
        &path,
        &changed("answer", Values::Texts(vec!["Yes", "perhaps"])),
    );
    check(ProblemKind::InvalidValue, "row 2:");

    std::fs::remove_file(&path).unwrap();
    write(
        &folder.path().join("data/test-00000-of-00002.parquet"),
        &mme(),
    );
    let second = folder.path().join("data/test-00001-of-00002.parquet");
    let mut columns = changed("question_id", Values::Texts(vec!["a/2.png"; 2]));
    columns[2].1 = Values::Texts(vec!["Yes", "perhaps"]);
    write(&second, &columns);
    // Its answers are seen to be wrong only where all is put together.
    check(ProblemKind::InvalidValue, "row 4:");
    columns[2].1 = Values::Texts(vec!["Yes", "No"]);
    columns[4].1 = Values::Images(vec![None, Some(b"two")]);
    write(&second, &columns);
    check(ProblemKind::MissingImage, "row 1 of");
    columns.remove(3);
    write(&second, &columns);
    let error = fp_scoring::error_text(&find(folder.path()).unwrap_err());
    assert!(error.contains("test-00001-of-00002.parquet"), "{error}");
}

#[test]
fn columns_of_answers_with_nothing_in_them_are_no_answers() {
    let (folder, path) = folder();
    write(&path, &changed("answer", Values::Texts(vec!["", ""])));
    let dataset = read(folder.path()).unwrap().whole().unwrap();
    assert_eq!(dataset.samples.len(), 2);
    let error = fp_scoring::error_text(&dataset.require_answers().unwrap_err());
    assert!(error.contains("no answers to score by"), "{error}");
    // One of them is a hole.
    write(&path, &changed("answer", Values::Texts(vec!["Yes", ""])));
    let problems = read(folder.path()).unwrap().problems;
    assert_eq!(
        problems.counts()[&ProblemKind::MissingAnswer],
        1,
        "{problems}"
    );
}

#[test]
fn damaged_files_are_named() {
    let (folder, path) = folder();
    write(&path, &mme());
    let bytes = std::fs::read(&path).unwrap();
    for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(
            error.contains("cut off") && error.contains("test-00000"),
            "{error}"
        );
    }
    // Pages that were overwritten, under a footer that is whole.
    let mut pages = bytes.clone();
    pages[4..60].fill(0xff);
    std::fs::write(&path, pages).unwrap();
    let error = read(folder.path()).and_then(|reading| {
        reading
            .whole()
            .map_err(|error| fp_scoring::error_text(&error))
    });
    assert!(error.unwrap_err().contains("test-00000-of-00001.parquet"));
}
