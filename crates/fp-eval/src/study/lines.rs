//! Complete lines of a growing file.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use fp_scoring::read_line;

/// Iterates over the complete lines of a file, those with a line end.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    number: usize,
    /// Bytes of the complete lines read so far.
    pub(crate) whole: u64,
}

pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) content: &'a [u8],
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Lines<R> {
        Lines {
            reader: BufReader::with_capacity(1 << 16, reader),
            buffer: Vec::new(),
            number: 0,
            whole: 0,
        }
    }

    pub(crate) fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let read = read_line(&mut self.reader, &mut self.buffer)?;
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

/// Truncates the file after the last line end.
pub(crate) fn drop_torn_line(file: &mut File) -> std::io::Result<()> {
    let mut lines = Lines::new(&mut *file);
    while lines.next()?.is_some() {}
    let whole = lines.whole;
    file.set_len(whole)?;
    file.seek(SeekFrom::End(0))?;
    Ok(())
}
