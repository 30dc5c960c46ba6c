//! The values of a column as Parquet stores them.

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;

use super::columns::Column;
use crate::dataset::DatasetError;
use crate::dataset::export::exporter::read_image;
use crate::dataset::image::extension;
use crate::dataset::llava::stem;
use crate::sample::Sample;

/// The values of one column of the file, and their levels if the column is a list.
pub(super) enum Leaf {
    Bytes(Vec<ByteArray>, Option<Levels>),
    Int64(Vec<i64>),
    Double(Vec<f64>, Levels),
}

/// Definition and repetition levels: which values exist, and which of them begin a list.
pub(super) struct Levels {
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
    /// The leaves of a column; `start` is the index of the first sample.
    pub(super) fn of(
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
            Column::Image(_) | Column::Images(_) => {
                let (mut images, mut paths) = (Vec::new(), Vec::new());
                for sample in samples {
                    let content = read_image(sample)?;
                    let name = format!("{}.{}", stem(&sample.image_id), extension(&content));
                    images.push(ByteArray::from(content));
                    paths.push(bytes(name));
                }
                let levels = || match column {
                    Column::Images(_) => Some(Levels::of(samples.iter().map(|_| 1))),
                    _ => None,
                };
                vec![Leaf::Bytes(images, levels()), Leaf::Bytes(paths, levels())]
            }
        })
    }

    /// Writes the values to the file's next column.
    pub(super) fn write(self, column: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
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
