//! The rows of a file of selections in any format.

use std::path::Path;

use fp_data::dataset::{DatasetError, read_text};
use fp_data::hash::sha256_hex;
use fp_scoring::error_text;

use super::Line;

/// A file's content, and the unit of its rows.
pub(super) struct Rows {
    pub(super) sha256: String,
    pub(super) unit: &'static str,
    /// Each row with its number, counted from 1.
    pub(super) rows: Vec<(usize, Result<Line, String>)>,
}

/// Reads JSON lines, or Parquet if the file's name has that extension.
pub(super) fn read_rows(path: &Path) -> Result<Rows, DatasetError> {
    if path.extension().is_some_and(|ending| ending == "parquet") {
        return parquet_rows(path);
    }
    let text = read_text(path)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    Ok(Rows {
        sha256: sha256_hex(text.as_bytes()),
        unit: "line",
        rows: lines
            .map(|(index, line)| {
                let parsed = serde_json::from_str(line);
                (index + 1, parsed.map_err(|error| error_text(&error)))
            })
            .collect(),
    })
}

#[cfg(feature = "parquet")]
fn parquet_rows(path: &Path) -> Result<Rows, DatasetError> {
    let rows = fp_data::dataset::parquet::json_rows(path)?;
    let sha256 = fp_data::hash::sha256_file(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })?;
    let read = |mut row: serde_json::Value| {
        merge_pairs(&mut row);
        serde_json::from_value(row).map_err(|error| error_text(&error))
    };
    let rows = rows.into_iter().enumerate();
    Ok(Rows {
        sha256,
        unit: "row",
        rows: rows.map(|(index, row)| (index + 1, read(row))).collect(),
    })
}

/// Rewrites the sums of `merge` as pairs of an index and a weight. A Parquet column holds values of
/// one type, so an index there is a float, or a pair is a struct of `token` and `weight`.
#[cfg(feature = "parquet")]
fn merge_pairs(row: &mut serde_json::Value) {
    use serde_json::{Value, json};
    let stages = row.get_mut("stages").and_then(Value::as_array_mut);
    stages.into_iter().flatten().for_each(merge_pairs);
    let merge = row.get_mut("merge").and_then(Value::as_array_mut);
    let sums = merge.into_iter().flatten();
    for pair in sums.filter_map(Value::as_array_mut).flatten() {
        let (token, weight) = match &*pair {
            Value::Object(keys) if keys.len() == 2 => (keys.get("token"), keys.get("weight")),
            Value::Array(values) if values.len() == 2 => (values.first(), values.last()),
            _ => continue,
        };
        let (Some(token), Some(weight)) = (token.and_then(Value::as_f64), weight.cloned()) else {
            continue;
        };
        // Other values are refused when the row is parsed.
        if token.fract() == 0.0 && (0.0..1e15).contains(&token) {
            *pair = json!([token as u64, weight]);
        }
    }
}

#[cfg(not(feature = "parquet"))]
fn parquet_rows(path: &Path) -> Result<Rows, DatasetError> {
    Err(DatasetError::Content {
        path: path.to_owned(),
        reason: "this program was built without Parquet; write the selections as JSON lines"
            .to_owned(),
    })
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_of_columns_are_pairs() {
        for pair in [
            json!([3.0, 0.25]),
            json!([3, 0.25]),
            json!({"token": 3, "weight": 0.25}),
        ] {
            let mut row = json!({"stages": [{"merge": [[pair]]}], "merge": [[pair]]});
            merge_pairs(&mut row);
            let expected = json!([[[3, 0.25]]]);
            assert_eq!(row["merge"], expected);
            assert_eq!(row["stages"][0]["merge"], expected);
        }
        let mut row = json!({"merge": [[[0.5, 1.0]]]});
        merge_pairs(&mut row);
        assert!(serde_json::from_value::<Line>(row).is_err());
    }
}
