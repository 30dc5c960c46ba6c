//! Defects of Parquet files: the error names the file, the column and what was found.
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
    /// Images; `None` in rows without one.
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
            "column `question` is INT64; expected text",
        ),
        (
            "answer",
            reals(),
            "column `answer` is DOUBLE; expected text",
        ),
        (
            "question_id",
            reals(),
            "column `question_id` is DOUBLE; expected text or a whole number",
        ),
        (
            "category",
            Values::Images(vec![None, None]),
            "column `category` is a structure of bytes; expected text",
        ),
        (
            "image",
            numbers(),
            "column `image` is INT64; expected a structure with `bytes`, or bytes",
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
    assert!(error.contains("for MME it lacks answer"), "{error}");
    assert!(locate(&folder.path().display().to_string()).is_err());
    // A file of something else beside a known dataset is ignored.
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
    // Its invalid answers are only noticed when the files are combined.
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
    assert!(error.contains("no reference answers"), "{error}");
    // One of the answers is empty.
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
    // Overwritten pages under an intact footer.
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

/// Zigzag encoding, seven bits per byte: Thrift's encoding of a whole number.
fn varint(value: u64) -> Vec<u8> {
    let mut left = value << 1;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

/// A file whose metadata has `to` in place of `from`, at the occurrences that `which` selects by
/// their index and number.
fn with_description(
    bytes: &[u8],
    from: u64,
    to: u64,
    which: impl Fn(usize, usize) -> bool,
) -> Vec<u8> {
    let end = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    let (body, description) = bytes[..end].split_at(end - length);
    let (old, new) = (varint(from), varint(to));
    let places: Vec<usize> = (0..description.len())
        .filter(|at| description[*at..].starts_with(&old))
        .collect();
    assert!(places.len() > 5, "{places:?}");
    let mut changed = Vec::new();
    let mut last = 0;
    for (index, place) in places.iter().enumerate() {
        if which(index, places.len()) {
            changed.extend(&description[last..*place]);
            changed.extend(&new);
            last = place + old.len();
        }
    }
    changed.extend(&description[last..]);
    let mut file = body.to_vec();
    file.extend(&changed);
    file.extend((changed.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
    file
}

fn many() -> Columns {
    const ROWS: usize = 12_345;
    let texts = |text: &'static str| Values::Texts(vec![text; ROWS]);
    vec![
        ("question_id", texts("a/1.png")),
        ("question", texts("Is it?")),
        ("answer", texts("Yes")),
        ("category", texts("a")),
        ("image", Values::Images(vec![Some(b"one"); ROWS])),
    ]
}

/// Numbers of rows that the file can't hold cause no allocation.
#[test]
fn numbers_of_rows_are_held_against_the_file() {
    let (folder, path) = folder();
    write(&path, &many());
    let bytes = std::fs::read(&path).unwrap();
    for number in [1 << 62, 12_346, 12_344, 0, (1 << 63) - 1, 4_000_000_000] {
        type Which = fn(usize, usize) -> bool;
        let whiches: [(&str, Which); 4] = [
            ("all", |_, _| true),
            ("first", |index, _| index == 0),
            ("last", |index, count| index + 1 == count),
            ("every other", |index, _| index % 2 == 0),
        ];
        for (name, which) in whiches {
            std::fs::write(&path, with_description(&bytes, 12_345, number, which)).unwrap();
            let told = match find(folder.path()) {
                Err(error) => fp_scoring::error_text(&error),
                Ok(parts) => match parts[0].read() {
                    Err(error) => fp_scoring::error_text(&error),
                    // A consistently smaller number of rows looks like a smaller file.
                    Ok(_) if name == "all" && number < 12_345 => continue,
                    Ok(_) => panic!("{name} {number}"),
                },
            };
            assert!(told.contains("parquet"), "{name} {number}: {told}");
        }
    }
}

/// A page of a few bytes that claims to decompress to gigabytes.
#[test]
fn what_pages_decompress_to_is_held_against_a_limit() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let (folder, path) = folder();
    write(&path, &mme());
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let group = reader.metadata().row_group(0);
    let column = group
        .columns()
        .iter()
        .find(|c| c.column_path().string() == "category");
    let start = column.unwrap().byte_range().0 as usize;
    assert_eq!(bytes[start] & 15, 5);
    for (size, said) in [
        (i32::MAX as u64, "expands to more than 1024 MiB"),
        ((1 << 30) + 1, "expands to more than 1024 MiB"),
        (u64::MAX >> 2, "expands to more than 1024 MiB"),
    ] {
        // Type, then the decompressed size; the bytes after it move, but are never reached.
        let mut changed = bytes[..start + 3].to_vec();
        changed.extend(varint(size));
        let old = bytes[start + 3..]
            .iter()
            .position(|byte| byte & 0x80 == 0)
            .unwrap();
        changed.extend(&bytes[start + 3 + old + 1..bytes.len()]);
        // The metadata is found from the end of the file, the page from its beginning.
        std::fs::write(&path, &changed).unwrap();
        let told = read(folder.path()).map(drop).unwrap_err();
        assert!(told.contains(said) && told.contains("category"), "{told}");
        assert!(told.contains("FINEPRUNER_MAX_DECODED_MIB"), "{told}");
    }
}

/// Changed bytes anywhere give an error or other content promptly, and never a panic.
#[test]
fn bytes_changed_anywhere_end_nothing() {
    let (folder, path) = folder();
    write(&path, &mme());
    let bytes = std::fs::read(&path).unwrap();
    let mut state = 7_u32;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for _ in 0..1500 {
        let mut changed = bytes.clone();
        for _ in 0..=next(3) {
            let at = next(changed.len());
            changed[at] = next(256) as u8;
        }
        std::fs::write(&path, &changed).unwrap();
        let Ok(parts) = find(folder.path()) else {
            continue;
        };
        for part in parts {
            if let Ok(reading) = part.read()
                && let Ok(dataset) = reading.whole()
            {
                for sample in dataset.samples {
                    let _ = sample.image.read();
                }
            }
        }
    }
}
