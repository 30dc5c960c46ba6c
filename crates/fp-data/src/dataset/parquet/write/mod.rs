//! Writing samples as Parquet with the columns used on the Hugging Face Hub.

mod columns;
mod leaf;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::dataset::export::exporter::widths;
use crate::dataset::export::writers::cant_write;
use crate::dataset::export::{Exported, Exporter, fitting};
use crate::dataset::{Benchmark, Dataset, DatasetError};
use crate::sample::Sample;
use columns::{Column, Places, columns, text, usual_prompt};
use leaf::Leaf;

/// Number of samples, with their images, that are written at a time.
const GROUP: usize = 100;

/// Writes the samples that fit a benchmark's columns to `data/` in a new or empty folder; GQA's
/// images go to a folder of their own.
///
/// # Errors
/// As [`crate::dataset::export::export`]; the plain form has no Parquet columns.
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
        let columns = [text("id", |s| s.image_id.clone()), Column::Image("image")];
        write(&path, &columns, &images)?;
    }
    let path = match benchmark {
        Benchmark::Gqa => "testdev_balanced_instructions/testdev-00000-of-00001.parquet",
        Benchmark::Mmbench => "data/dev-00000-of-00001.parquet",
        Benchmark::Vqav2 | Benchmark::Textvqa | Benchmark::Vizwiz => {
            "data/validation-00000-of-00001.parquet"
        }
        Benchmark::Docvqa => "DocVQA/validation-00000-of-00001.parquet",
        Benchmark::Infovqa => "InfographicVQA/validation-00000-of-00001.parquet",
        Benchmark::Mmmu => "data/validation-00000-of-00001.parquet",
        Benchmark::Mmstar => "mmstar.parquet",
        Benchmark::Refcoco => "data/val-00000-of-00001.parquet",
        _ => "data/test-00000-of-00001.parquet",
    };
    let places = Places::of(&fitting);
    let mut columns = columns(benchmark, &places);
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
