//! Selections as Parquet: an id, a site, and the tokens as a list.

use std::sync::Arc;

use anyhow::Result;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Each row is one stage; its tokens are merged or not.
const SCHEMA: &str = "message selections {
    required binary id (STRING);
    required binary site (STRING);
    required group kept (LIST) { repeated group list { required int64 element; } }
    optional group merge (LIST) { repeated group list {
        required group element (LIST) { repeated group list {
            required group element { required int64 token; required double weight; }
        } }
    } }
}";

/// A file with a row for each id, each with tokens 0 and 2.
pub(super) fn parquet_file(ids: &[&str], is_merged: bool) -> Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, properties)?;
    let mut group = writer.next_row_group()?;
    let count = ids.len();
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let names: Vec<ByteArray> = ids.iter().map(|id| text(id)).collect();
    column::<ByteArrayType>(&mut group, &names, None)?;
    column::<ByteArrayType>(&mut group, &vec![text("layer 2"); count], None)?;
    // Two values each; the second continues the list of the first.
    let (defined, repeated) = ([1, 1].repeat(count), [0, 1].repeat(count));
    let tokens = [0, 2].repeat(count);
    column::<Int64Type>(&mut group, &tokens, Some((&defined, &repeated)))?;
    if is_merged {
        // A sum of two tokens and a sum of one.
        let (defined, repeated) = ([3, 3, 3].repeat(count), [0, 2, 1].repeat(count));
        let levels = Some((&defined[..], &repeated[..]));
        column::<Int64Type>(&mut group, &[0, 1, 2].repeat(count), levels)?;
        column::<DoubleType>(&mut group, &[0.5, 0.5, 1.0].repeat(count), levels)?;
    } else {
        let (defined, repeated) = (vec![0; count], vec![0; count]);
        let levels = Some((&defined[..], &repeated[..]));
        column::<Int64Type>(&mut group, &[], levels)?;
        column::<DoubleType>(&mut group, &[], levels)?;
    }
    group.close()?;
    writer.close()?;
    Ok(file)
}

/// Writes the next column: its values with their definition and repetition levels.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: Option<(&[i16], &[i16])>,
) -> Result<()> {
    if let Some(mut column) = group.next_column()? {
        let (defined, repeated) = levels.unzip();
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()?;
    }
    Ok(())
}
