//! Rows of a Parquet file of any columns, as JSON.

use std::path::Path;

use parquet::record::{Field, List, Row};
use serde_json::{Map, Number, Value};

use super::table::Table;
use crate::dataset::DatasetError;

/// Every row as a JSON object by column name; null cells are left out.
///
/// # Errors
/// A file that can't be read, or a value that JSON can't represent (bytes, dates, non-finite
/// numbers), with its row and column.
pub fn json_rows(path: &Path) -> Result<Vec<Value>, DatasetError> {
    let table = Table::open(&[path.to_owned()])?;
    let columns: Vec<&str> = table.columns().collect();
    let mut rows = Vec::new();
    table.for_each_row(&columns, |number, _, row| {
        rows.push(object(row).map_err(|reason| DatasetError::Content {
            path: path.to_owned(),
            reason: format!("row {number}, {reason}"),
        }));
    })?;
    rows.into_iter().collect()
}

fn object(row: &Row) -> Result<Value, String> {
    let mut keys = Map::new();
    for (name, field) in row.get_column_iter() {
        match value(field).map_err(|reason| format!("`{name}`: {reason}"))? {
            Value::Null => {}
            value => {
                keys.insert(name.clone(), value);
            }
        }
    }
    Ok(Value::Object(keys))
}

fn value(field: &Field) -> Result<Value, String> {
    let float = |value: f64| {
        let number =
            Number::from_f64(value).ok_or_else(|| format!("{value} is not a finite number"));
        number.map(Value::Number)
    };
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float16(value) => float(f64::from(*value))?,
        Field::Float(value) => float(f64::from(*value))?,
        Field::Double(value) => float(*value)?,
        Field::Str(text) => text.as_str().into(),
        Field::Group(row) => object(row)?,
        Field::ListInternal(list) => values(list)?,
        other => return Err(format!("{other} can't be represented in JSON")),
    })
}

fn values(list: &List) -> Result<Value, String> {
    let values: Result<Vec<Value>, String> = list.elements().iter().map(value).collect();
    values.map(Value::Array)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_lists_and_nulls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let schema = "message rows {
            required binary id (STRING);
            optional group kept (LIST) { repeated group list { required int64 element; } }
            optional group merge (LIST) { repeated group list {
                required group element (LIST) { repeated group list {
                    required double element; } } } }
        }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids = ["a", "b"].map(ByteArray::from);
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int64Type>();
        typed
            .write_batch(&[4, 7], Some(&[2, 2, 0]), Some(&[0, 1, 0]))
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<DoubleType>();
        let levels: (&[i16], &[i16]) = (&[3, 3, 3, 0], &[0, 2, 1, 0]);
        typed
            .write_batch(&[1.0, 0.5, 2.0], Some(levels.0), Some(levels.1))
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        assert_eq!(
            json_rows(&path).unwrap(),
            [
                json!({"id": "a", "kept": [4, 7], "merge": [[1.0, 0.5], [2.0]]}),
                json!({"id": "b"}),
            ]
        );
        assert!(json_rows(&folder.path().join("no.parquet")).is_err());
    }
}
