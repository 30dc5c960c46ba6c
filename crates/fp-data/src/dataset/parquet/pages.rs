//! Checks a file's pages before they are decompressed.
//!
//! A file's metadata states its number of rows and the offsets of its pages, and each page header
//! the decompressed size. The library trusts both; here they are checked against the file and
//! against each other.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use fp_image::guarded;
use fp_scoring::open_file;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use crate::dataset::DatasetError;
use crate::dataset::limit::{decoded_limit, too_much};

/// Name of the parser in the message about its panic.
pub(super) const READER: &str = "reader of Parquet files";

/// Least bytes of memory that a row takes, whatever its cells.
pub(super) const LEAST_ROW_BYTES: u64 = 64;
/// Least bytes of memory that a value of a page takes.
const LEAST_VALUE_BYTES: u64 = 4;

fn content(path: &Path, reason: String) -> DatasetError {
    DatasetError::Content {
        path: path.to_owned(),
        reason,
    }
}

/// Refuses numbers of rows that contradict each other or can't fit into memory.
pub(super) fn check_rows(path: &Path, metadata: &ParquetMetaData) -> Result<(), DatasetError> {
    let limit = decoded_limit()?;
    let mut total = 0_u64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).ok();
        let fits = |column: &ColumnChunkMetaData| {
            let is_repeated = column.column_descr().max_rep_level() > 0;
            match (rows, u64::try_from(column.num_values())) {
                (Some(rows), Ok(values)) => values == rows || (is_repeated && values > rows),
                _ => false,
            }
        };
        if let Some(column) = group.columns().iter().find(|column| !fits(column)) {
            return Err(content(
                path,
                format!(
                    "row group {index} states {} rows, and {} values in its column `{}`",
                    group.num_rows(),
                    column.num_values(),
                    column.column_path().string()
                ),
            ));
        }
        total = total.saturating_add(rows.unwrap_or_default());
    }
    let stated = metadata.file_metadata().num_rows();
    if u64::try_from(stated) != Ok(total) {
        let reason = format!("it states {stated} rows; its row groups have {total}");
        return Err(content(path, reason));
    }
    if total.saturating_mul(LEAST_ROW_BYTES) > limit {
        let what = format!("it claims {total} rows, which would expand");
        return Err(content(path, too_much(&what, limit)));
    }
    Ok(())
}

/// Checks the headers of all pages of some columns, selected by their top-level name.
pub(super) fn check_pages<'a>(
    path: &Path,
    groups: impl IntoIterator<Item = &'a RowGroupMetaData>,
    is_asked: impl Fn(&str) -> bool,
) -> Result<(), DatasetError> {
    let limit = decoded_limit()?;
    let io_error = |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::new(open_file(path).map_err(io_error)?);
    let length = file.get_ref().metadata().map_err(io_error)?.len();
    for column in groups.into_iter().flat_map(RowGroupMetaData::columns) {
        let parts = column.column_path().parts();
        if !parts.first().is_some_and(|name| is_asked(name)) {
            continue;
        }
        check_column(&mut file, column, length, limit).map_err(|reason| {
            let name = column.column_path().string();
            content(path, format!("column `{name}`: {reason}"))
        })?;
    }
    Ok(())
}

fn check_column(
    file: &mut BufReader<File>,
    column: &ColumnChunkMetaData,
    length: u64,
    limit: u64,
) -> Result<(), String> {
    // The library panics if this is negative.
    let range = guarded(READER, || column.byte_range());
    let (start, bytes) = range.map_err(|_| "its place in the file is negative")?;
    let end = start.checked_add(bytes).filter(|end| *end <= length);
    let end = end.ok_or_else(|| {
        format!("it begins at byte {start} and has {bytes} bytes, of {length} in the file")
    })?;
    let cut = |error: io::Error| format!("a page's header can't be read: {error}");
    let mut values = 0_u64;
    let mut at = start;
    while at < end {
        file.seek(SeekFrom::Start(at)).map_err(cut)?;
        let header = Header::read(file, end - at).map_err(cut)?;
        let room = end - file.stream_position().map_err(cut)?.min(end);
        let size = |size: Option<i64>| u64::try_from(size?).ok();
        let (Some(compressed), Some(decompressed)) =
            (size(header.compressed), size(header.decompressed))
        else {
            return Err(format!(
                "the header of the page at byte {at} states no size"
            ));
        };
        let count = u64::try_from(header.values.unwrap_or_default());
        let count = count.map_err(|_| format!("the page at byte {at} has less than no values"))?;
        if decompressed.max(count.saturating_mul(LEAST_VALUE_BYTES)) > limit {
            return Err(too_much(&format!("the page at byte {at} expands"), limit));
        }
        if compressed > room {
            return Err(format!(
                "the page at byte {at} has {compressed} bytes, of {room} that are left"
            ));
        }
        if header.is_data {
            values = values.saturating_add(count);
        }
        at = end - room + compressed;
    }
    if i128::from(values) < i128::from(column.num_values()) {
        let stated = column.num_values();
        return Err(format!(
            "it states {stated} values; its pages have {values}"
        ));
    }
    Ok(())
}

/// The fields needed of a page's header, which is a structure in Thrift's compact protocol.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    is_data: bool,
    decompressed: Option<i64>,
    compressed: Option<i64>,
    /// Number of values, for any kind of page.
    values: Option<i64>,
}

/// Most levels of nested structures in a header; sound ones have three.
const MOST_DEEP: usize = 8;

impl Header {
    fn read(file: &mut BufReader<File>, room: u64) -> io::Result<Header> {
        let mut fields = Fields { file, room };
        let mut header = Header::default();
        let mut id = 0;
        while let Some((next, kind)) = fields.field(id)? {
            id = next;
            match (id, kind) {
                (1, 4..=6) => header.is_data = matches!(fields.integer()?, 0 | 3),
                (2, 4..=6) => header.decompressed = Some(fields.integer()?),
                (3, 4..=6) => header.compressed = Some(fields.integer()?),
                (5 | 7 | 8, STRUCTURE) => header.values = fields.first_number()?,
                _ => fields.skip(kind, 0)?,
            }
        }
        Ok(header)
    }
}

const STRUCTURE: u8 = 12;

struct Fields<'a> {
    file: &'a mut BufReader<File>,
    room: u64,
}

impl Fields<'_> {
    fn use_up(&mut self, count: u64) -> io::Result<()> {
        let left = self.room.checked_sub(count);
        self.room = left.ok_or_else(|| io::Error::other("it extends beyond its column chunk"))?;
        Ok(())
    }

    fn byte(&mut self) -> io::Result<u8> {
        self.use_up(1)?;
        let mut byte = [0];
        self.file.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn pass(&mut self, count: u64) -> io::Result<()> {
        self.use_up(count)?;
        let count = i64::try_from(count).map_err(io::Error::other)?;
        self.file.seek_relative(count)
    }

    fn unsigned(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(io::Error::other("a number without an end"))
    }

    fn integer(&mut self) -> io::Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Number and type of the next field; `None` at the end of the structure.
    fn field(&mut self, last: i64) -> io::Result<Option<(i64, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.integer()?,
            step => last.saturating_add(step.into()),
        };
        Ok(Some((id, head & 15)))
    }

    /// Field 1 of a structure; the rest is skipped.
    fn first_number(&mut self) -> io::Result<Option<i64>> {
        let (mut id, mut found) = (0, None);
        while let Some((next, kind)) = self.field(id)? {
            id = next;
            match (id, kind) {
                (1, 4..=6) => found = Some(self.integer()?),
                _ => self.skip(kind, 1)?,
            }
        }
        Ok(found)
    }

    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > MOST_DEEP {
            return Err(io::Error::other("its fields are nested too deep"));
        }
        match kind {
            // Booleans are encoded in the type.
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.unsigned().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.unsigned()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.unsigned()?,
                    few => few.into(),
                };
                for _ in 0..count {
                    // In a list each boolean takes a byte.
                    match head & 15 {
                        1 | 2 => self.pass(1)?,
                        kind => self.skip(kind, depth + 1)?,
                    }
                }
                Ok(())
            }
            STRUCTURE => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            other => Err(io::Error::other(format!("a field of unknown type {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn header(bytes: &[u8]) -> io::Result<Header> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Header::read(&mut BufReader::new(file), bytes.len() as u64)
    }

    #[test]
    fn headers_are_read_as_thrift_writes_them() {
        // Type 0, 300 bytes from 20, a checksum, statistics of text and booleans, 7 values.
        let whole = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x15, 0x01, 0x1c, 0x15, 0x0e, 0x4c, 0x18,
            0x02, b'a', b'b', 0x11, 0x00, 0x00, 0x00,
        ];
        let expected = Header {
            is_data: true,
            decompressed: Some(300),
            compressed: Some(20),
            values: Some(7),
        };
        assert_eq!(header(&whole).unwrap(), expected);
        for end in 0..whole.len() {
            assert!(header(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn headers_that_do_not_end_are_refused() {
        for damaged in [
            &[0x1c_u8; 4096][..],
            &[
                0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
            ],
            &[0x18, 0xff, 0xff, 0xff, 0x7f, 0],
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x15],
            &[0x1e, 0],
        ] {
            assert!(header(damaged).is_err(), "{damaged:?}");
        }
    }
}
