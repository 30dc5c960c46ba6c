//! Writing samples as Parquet with the columns of the Hugging Face Hub.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::dataset::export::{
    Exported, Exporter, bare_question, cant_write, fitting, read_image, ten, widths,
};
use crate::dataset::image::extension;
use crate::dataset::llava::stem;
use crate::dataset::{Benchmark, Dataset, DatasetError, mmbench};
use crate::metric::{mme, scienceqa, textvqa as textvqa_metric, vizwiz, vqa};
use crate::sample::Sample;

/// Samples, with their images, that are written at a time.
const GROUP: usize = 100;

/// What a sample has in a column.
type Of<'a, T> = Box<dyn Fn(&Sample) -> T + 'a>;
/// The same, by the sample's place too.
type OfPlace<'a, T> = Box<dyn Fn(usize, &Sample) -> T + 'a>;

/// A column, and what each sample has in it.
enum Column<'a> {
    Text(&'static str, Of<'a, String>),
    Number(&'static str, OfPlace<'a, i64>),
    Texts(&'static str, Of<'a, Vec<String>>),
    Numbers(&'static str, Of<'a, Vec<f64>>),
    Image,
}

impl Column<'_> {
    fn schema(&self) -> String {
        let list = |name: &str, element: &str| {
            format!(
                "REQUIRED group {name} (LIST) {{ REPEATED group list {{ REQUIRED {element}; }} }}"
            )
        };
        match self {
            Column::Text(name, _) => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
            Column::Number(name, _) => format!("REQUIRED INT64 {name};"),
            Column::Texts(name, _) => list(name, "BYTE_ARRAY element (UTF8)"),
            Column::Numbers(name, _) => list(name, "DOUBLE element"),
            Column::Image => {
                "REQUIRED group image { REQUIRED BYTE_ARRAY bytes; REQUIRED BYTE_ARRAY path (UTF8); }"
                    .to_owned()
            }
        }
    }
}

/// Writes the samples that fit a benchmark's columns to `data/`, in a folder that is new
/// or empty; GQA's images in a folder of their own.
///
/// # Errors
/// As [`crate::dataset::export::export`]; the plain form has no columns.
pub fn export(
    dataset: &Dataset,
    benchmark: Benchmark,
    folder: &Path,
) -> Result<Exported, DatasetError> {
    let fitting = fitting(dataset, benchmark)?;
    let out = Exporter::new(folder)?;
    let images: Vec<Sample>;
    if benchmark == Benchmark::Gqa {
        let path = folder.join("testdev_balanced_images/testdev-00000-of-00001.parquet");
        let mut known = std::collections::HashSet::new();
        let first = fitting.samples.iter().filter(|s| known.insert(&s.image_id));
        images = first.cloned().collect();
        let columns = [text("id", |s| s.image_id.clone()), Column::Image];
        write(&path, &columns, &images)?;
    }
    let path = match benchmark {
        Benchmark::Gqa => "testdev_balanced_instructions/testdev-00000-of-00001.parquet",
        Benchmark::Mmbench => "data/dev-00000-of-00001.parquet",
        Benchmark::Vqav2 | Benchmark::Textvqa | Benchmark::Vizwiz => {
            "data/validation-00000-of-00001.parquet"
        }
        _ => "data/test-00000-of-00001.parquet",
    };
    let indices = mmbench::rotations(&fitting);
    let mut columns = columns(benchmark, &indices);
    if fitting
        .samples
        .iter()
        .any(|sample| !sample.boxes.is_empty())
    {
        let boxes = |sample: &Sample| widths(&sample.boxes).concat();
        columns.push(Column::Numbers("bbox", Box::new(boxes)));
    }
    let is_usual = |sample: &Sample| usual_prompt(benchmark, sample) == sample.question;
    if !fitting.samples.iter().all(is_usual) {
        columns.push(text("prompt", |sample| sample.question.clone()));
    }
    write(&folder.join(path), &columns, &fitting.samples)?;
    Ok(out.exported(dataset, &fitting, benchmark))
}

fn text<'a>(name: &'static str, of: impl Fn(&Sample) -> String + 'a) -> Column<'a> {
    Column::Text(name, Box::new(of))
}

fn first_answer(sample: &Sample) -> String {
    sample.answers.first().cloned().unwrap_or_default()
}

fn question(benchmark: Benchmark, sample: &Sample) -> String {
    match benchmark {
        Benchmark::Mmbench | Benchmark::Scienceqa => mmbench::question_of(sample).to_owned(),
        Benchmark::Mmvet => sample.question.clone(),
        Benchmark::Textvqa => {
            let question = textvqa_metric::question_key(&sample.question);
            question.unwrap_or_else(|_| sample.question.clone())
        }
        _ => bare_question(&sample.question).to_owned(),
    }
}

/// What reading makes of the columns.
fn usual_prompt(benchmark: Benchmark, sample: &Sample) -> String {
    let question = question(benchmark, sample);
    match benchmark {
        Benchmark::Mmvet | Benchmark::Plain => question,
        Benchmark::Mmbench => sample.question.clone(),
        Benchmark::Scienceqa => {
            let text = scienceqa::question_text("", &question, &sample.choices);
            format!("{text}\n{}", scienceqa::INSTRUCTION)
        }
        Benchmark::Mme => mme::question_text(&question),
        Benchmark::Vizwiz => vizwiz::question_text(&question),
        Benchmark::Textvqa => textvqa_metric::question_text(&question, None),
        Benchmark::Vqav2 | Benchmark::Gqa | Benchmark::Pope => vqa::question_text(&question),
    }
}

fn columns(benchmark: Benchmark, indices: &[u64]) -> Vec<Column<'_>> {
    let id = || text("question_id", |sample| sample.id.clone());
    let image_id = |name| text(name, |sample| sample.image_id.clone());
    let asked = || text("question", move |sample| question(benchmark, sample));
    let answer = || text("answer", first_answer);
    let family = |name| text(name, |sample| sample.family.clone());
    let answers = || {
        let of = |sample: &Sample| {
            ten(&sample.answers)
                .into_iter()
                .map(str::to_owned)
                .collect()
        };
        Column::Texts("answers", Box::new(of))
    };
    let choice = |name: &'static str, place: usize| {
        text(name, move |sample| {
            sample.choices.get(place).cloned().unwrap_or_default()
        })
    };
    match benchmark {
        Benchmark::Plain => Vec::new(),
        Benchmark::Vqav2 => vec![
            id(),
            image_id("image_id"),
            Column::Image,
            asked(),
            answers(),
            family("answer_type"),
            text("question_type", |s| {
                s.keys.get("question_type").cloned().unwrap_or_default()
            }),
        ],
        Benchmark::Gqa => vec![
            text("id", |sample| sample.id.clone()),
            image_id("imageId"),
            asked(),
            answer(),
        ],
        Benchmark::Textvqa => vec![
            id(),
            image_id("image_id"),
            Column::Image,
            asked(),
            answers(),
            Column::Texts("ocr_tokens", Box::new(|_| Vec::new())),
        ],
        Benchmark::Pope => vec![
            text("id", |sample| sample.id.clone()),
            id(),
            asked(),
            answer(),
            image_id("image_source"),
            Column::Image,
            family("category"),
        ],
        Benchmark::Mme => vec![
            image_id("question_id"),
            Column::Image,
            asked(),
            answer(),
            family("category"),
        ],
        Benchmark::Scienceqa => vec![
            id(),
            Column::Image,
            asked(),
            text("hint", |_| String::new()),
            Column::Texts("choices", Box::new(|sample| sample.choices.clone())),
            Column::Number(
                "answer",
                Box::new(|_, sample| {
                    let letter = sample
                        .answers
                        .first()
                        .and_then(|answer| answer.chars().next());
                    ('A'..='Z')
                        .zip(0..)
                        .find(|(l, _)| Some(*l) == letter)
                        .map_or(-1, |(_, place)| place)
                }),
            ),
            family("subject"),
        ],
        Benchmark::Mmbench => vec![
            Column::Number(
                "index",
                Box::new(|place, _| {
                    indices
                        .get(place)
                        .and_then(|&index| index.try_into().ok())
                        .unwrap_or(-1)
                }),
            ),
            Column::Image,
            asked(),
            text("hint", |_| String::new()),
            choice("A", 0),
            choice("B", 1),
            choice("C", 2),
            choice("D", 3),
            answer(),
            family("L2-category"),
            text("category", |s| {
                s.keys.get("category").unwrap_or(&s.family).clone()
            }),
        ],
        Benchmark::Vizwiz => vec![id(), Column::Image, asked(), answers(), family("category")],
        Benchmark::Mmvet => vec![
            id(),
            Column::Image,
            asked(),
            answer(),
            family("capability"),
            image_id("image_source"),
        ],
    }
}

fn write(path: &Path, columns: &[Column<'_>], samples: &[Sample]) -> Result<(), DatasetError> {
    let fail = |error: ParquetError| DatasetError::Write {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cant_write(folder))?;
    }
    let fields: Vec<String> = columns.iter().map(Column::schema).collect();
    let schema =
        parse_message_type(&format!("message schema {{ {} }}", fields.join(" "))).map_err(fail)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let file = File::create(path).map_err(cant_write(path))?;
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(fail)?;
    for (start, samples) in (0..).step_by(GROUP).zip(samples.chunks(GROUP)) {
        let mut leaves = Vec::new();
        for column in columns {
            leaves.extend(Leaf::of(column, start, samples)?);
        }
        let mut leaves = leaves.into_iter();
        let mut group = writer.next_row_group().map_err(fail)?;
        while let Some(mut column) = group.next_column().map_err(fail)? {
            if let Some(leaf) = leaves.next() {
                leaf.write(column.untyped()).map_err(fail)?;
            }
            column.close().map_err(fail)?;
        }
        group.close().map_err(fail)?;
    }
    writer.close().map_err(fail)?;
    Ok(())
}

/// The values of one column of the file, with the levels of a list's.
enum Leaf {
    Bytes(Vec<ByteArray>, Option<Levels>),
    Int64(Vec<i64>),
    Double(Vec<f64>, Levels),
}

/// Which values there are, and which of them begin a list.
struct Levels {
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl Levels {
    fn of(lens: impl Iterator<Item = usize>) -> Levels {
        let (mut definition, mut repetition) = (Vec::new(), Vec::new());
        for len in lens {
            definition.extend(std::iter::repeat_n(1, len));
            repetition.extend((0..len).map(|place| i16::from(place > 0)));
            if len == 0 {
                definition.push(0);
                repetition.push(0);
            }
        }
        Levels {
            definition,
            repetition,
        }
    }
}

impl Leaf {
    fn of(
        column: &Column<'_>,
        start: usize,
        samples: &[Sample],
    ) -> Result<Vec<Leaf>, DatasetError> {
        let bytes = |text: String| ByteArray::from(text.into_bytes());
        Ok(match column {
            Column::Text(_, of) => vec![Leaf::Bytes(
                samples.iter().map(|s| bytes(of(s))).collect(),
                None,
            )],
            Column::Number(_, of) => {
                let numbers = samples.iter().zip(start..).map(|(s, place)| of(place, s));
                vec![Leaf::Int64(numbers.collect())]
            }
            Column::Texts(_, of) => {
                let lists: Vec<Vec<String>> = samples.iter().map(of).collect();
                let levels = Levels::of(lists.iter().map(Vec::len));
                let values = lists.into_iter().flatten().map(bytes).collect();
                vec![Leaf::Bytes(values, Some(levels))]
            }
            Column::Numbers(_, of) => {
                let lists: Vec<Vec<f64>> = samples.iter().map(of).collect();
                let levels = Levels::of(lists.iter().map(Vec::len));
                vec![Leaf::Double(lists.concat(), levels)]
            }
            Column::Image => {
                let (mut images, mut paths) = (Vec::new(), Vec::new());
                for sample in samples {
                    let content = read_image(sample)?;
                    let name = format!("{}.{}", stem(&sample.image_id), extension(&content));
                    images.push(ByteArray::from(content));
                    paths.push(bytes(name));
                }
                vec![Leaf::Bytes(images, None), Leaf::Bytes(paths, None)]
            }
        })
    }

    fn write(self, column: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let wrong = || ParquetError::General("a column of another type".to_owned());
        match (self, column) {
            (Leaf::Bytes(values, levels), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let levels = levels.as_ref();
                let definition = levels.map(|levels| levels.definition.as_slice());
                let repetition = levels.map(|levels| levels.repetition.as_slice());
                writer.write_batch(&values, definition, repetition)?;
            }
            (Leaf::Int64(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(&values, None, None)?;
            }
            (Leaf::Double(values, levels), ColumnWriter::DoubleColumnWriter(writer)) => {
                let (definition, repetition) = (&levels.definition, &levels.repetition);
                writer.write_batch(&values, Some(definition), Some(repetition))?;
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}
