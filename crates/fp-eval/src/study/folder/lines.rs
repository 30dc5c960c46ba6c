//! Whole lines of a file that grows.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::study::error::StudyError;
use crate::study::line::LineError;

/// Calls `visit` with the number, from 1, and the content of every whole line.
pub(crate) fn for_each_line(
    path: &Path,
    mut visit: impl FnMut(usize, &[u8]) -> Result<(), LineError>,
) -> Result<(), StudyError> {
    let file = File::open(path).map_err(StudyError::io("read", path))?;
    let mut lines = Lines::new(file);
    while let Some(line) = lines.next().map_err(StudyError::io("read", path))? {
        let number = line.number;
        visit(number, line.content).map_err(|source| StudyError::Line {
            path: path.to_owned(),
            line: number,
            source,
        })?;
    }
    Ok(())
}

/// Whole lines of a file: those that end.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    number: usize,
    /// Bytes of the whole lines so far.
    pub(super) whole: u64,
}

pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) content: &'a [u8],
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines {
            reader: BufReader::with_capacity(1 << 16, reader),
            buffer: Vec::new(),
            number: 0,
            whole: 0,
        }
    }

    pub(super) fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let read = self.reader.read_until(b'\n', &mut self.buffer)?;
        match self.buffer.strip_suffix(b"\n") {
            None => Ok(None),
            Some(content) => {
                self.number += 1;
                self.whole += read as u64;
                Ok(Some(Line {
                    number: self.number,
                    content,
                }))
            }
        }
    }
}

/// Cuts off what follows the last line's end.
pub(super) fn drop_torn_line(file: &mut File) -> std::io::Result<()> {
    let mut lines = Lines::new(&mut *file);
    while lines.next()?.is_some() {}
    let whole = lines.whole;
    file.set_len(whole)?;
    file.seek(SeekFrom::End(0))?;
    Ok(())
}
