//! A file with the Hub's columns, written leaf by leaf.

use std::path::Path;
use std::sync::Arc;

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Reading, find};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A column's type, and its values; none is null.
#[derive(Clone)]
pub(super) enum Values {
    Texts(Vec<Option<&'static str>>),
    Numbers(Vec<i64>),
    Lists(Vec<Option<&'static [&'static str]>>),
    Image(Vec<Option<&'static str>>),
    Images(Vec<&'static [&'static str]>),
}
pub(super) use Values::{Image, Images, Lists, Numbers, Texts};

pub(super) type Columns = Vec<(&'static str, Values)>;

impl Values {
    fn schema(&self, name: &str) -> String {
        const PICTURE: &str = "OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8);";
        match self {
            Texts(_) => format!("OPTIONAL BYTE_ARRAY {name} (UTF8);"),
            Numbers(_) => format!("OPTIONAL INT64 {name};"),
            Lists(_) => format!(
                "OPTIONAL group {name} (LIST) {{ REPEATED group list {{ OPTIONAL BYTE_ARRAY element (UTF8); }} }}"
            ),
            Image(_) => format!("OPTIONAL group {name} {{ {PICTURE} }}"),
            Images(_) => format!(
                "OPTIONAL group {name} (LIST) {{ REPEATED group list {{ OPTIONAL group element {{ {PICTURE} }} }} }}"
            ),
        }
    }

    /// Values, definition and repetition levels of its only leaf, or of `bytes`.
    fn leaf(&self) -> (Vec<&'static str>, Vec<i16>, Vec<i16>) {
        let flat = |texts: &[Option<&'static str>], whole: i16| {
            let levels = texts
                .iter()
                .map(|text| if text.is_some() { whole } else { 0 });
            (
                texts.iter().flatten().copied().collect(),
                levels.collect(),
                vec![0; texts.len()],
            )
        };
        let lists = |lists: &[Option<&[&'static str]>], whole: i16| {
            let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
            for list in lists {
                let texts = list.unwrap_or_default();
                for (place, text) in texts.iter().enumerate() {
                    values.push(*text);
                    definition.push(whole);
                    repetition.push(i16::from(place > 0));
                }
                if texts.is_empty() {
                    definition.push(i16::from(list.is_some()));
                    repetition.push(0);
                }
            }
            (values, definition, repetition)
        };
        match self {
            Texts(texts) => flat(texts, 1),
            Image(texts) => flat(texts, 2),
            Lists(texts) => lists(texts, 3),
            Images(images) => {
                let images: Vec<_> = images.iter().map(|list| Some(*list)).collect();
                lists(&images, 4)
            }
            Numbers(_) => unreachable!("numbers are written by themselves"),
        }
    }

    /// Number of leaves that it has in the file.
    fn num_leaves(&self) -> usize {
        match self {
            Image(_) | Images(_) => 2,
            _ => 1,
        }
    }
}

fn write(path: &Path, columns: &Columns) {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, values)| values.schema(name))
        .collect();
    let schema = parse_message_type(&format!("message schema {{ {} }}", fields.join(" ")));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let schema = Arc::new(schema.unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, values) in columns {
        for leaf in 0..values.num_leaves() {
            let mut column = group.next_column().unwrap().unwrap();
            match (values, column.untyped()) {
                (Numbers(numbers), ColumnWriter::Int64ColumnWriter(writer)) => {
                    let levels = vec![1; numbers.len()];
                    writer.write_batch(numbers, Some(&levels), None).unwrap();
                }
                (values, ColumnWriter::ByteArrayColumnWriter(writer)) => {
                    let (mut texts, mut definition, repetition) = values.leaf();
                    if leaf == 1 {
                        // No image has a path.
                        let whole = definition.iter().copied().max().unwrap_or_default();
                        for level in definition.iter_mut().filter(|level| **level == whole) {
                            *level -= 1;
                        }
                        texts.clear();
                    }
                    let bytes: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
                    writer
                        .write_batch(&bytes, Some(&definition), Some(&repetition))
                        .unwrap();
                }
                _ => panic!("a column of another type"),
            }
            column.close().unwrap();
        }
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// Writes a file and reads the dataset in its folder.
#[track_caller]
pub(super) fn read(
    benchmark: Benchmark,
    file: &str,
    columns: &Columns,
) -> (tempfile::TempDir, Reading) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(file), columns);
    let parts = find(folder.path()).unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].benchmark, benchmark);
    let reading = parts[0].read().unwrap();
    (folder, reading)
}

pub(super) fn texts(texts: &[&'static str]) -> Values {
    Texts(texts.iter().copied().map(Some).collect())
}

pub(super) fn image(sample: &Sample) -> String {
    String::from_utf8(sample.image.read().unwrap()).unwrap()
}
