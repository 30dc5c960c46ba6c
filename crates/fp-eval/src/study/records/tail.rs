//! The samples after the last block: checksummed lines. In runs of the earlier format, which has no
//! blocks, all samples are there.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::block::Stored;
use super::blocks::{Blocks, open};
use super::{RECORDS_FILE, SAMPLES};
use crate::study::error::StudyError;
use crate::study::line::{self, index_of};
use crate::study::lines::Lines;

/// Location of a complete line.
#[derive(Debug, Clone, Copy)]
struct LineAt {
    offset: u64,
    /// Bytes without the line end.
    len: usize,
}

/// The lines of a run that are in no block.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    lines: Vec<LineAt>,
    /// Number of leading lines that are also in blocks.
    in_blocks: usize,
    /// Content of the lines, if they are few: another program may convert them to a block in the
    /// meantime.
    held: Option<Vec<u8>>,
}

impl Tail {
    /// Finds the lines after `blocks`. A torn last line is omitted.
    pub(super) fn read(folder: &Path, blocks: &Blocks) -> Result<Tail, StudyError> {
        let mut tail = Tail {
            path: folder.join(RECORDS_FILE),
            lines: Vec::new(),
            in_blocks: 0,
            held: None,
        };
        let Some((file, _)) = open(&tail.path)? else {
            return Ok(tail);
        };
        let mut reader = Lines::new(file);
        let mut held = Vec::new();
        let mut first = None;
        loop {
            let offset = reader.whole;
            let line = reader.next().map_err(StudyError::io("read", &tail.path))?;
            let Some(line) = line else { break };
            if first.is_none() {
                // Damaged lines are reported when they are read.
                first = Some(index_of(line.content).ok());
            }
            tail.lines.push(LineAt {
                offset,
                len: line.content.len(),
            });
            if tail.lines.len() <= 2 * SAMPLES {
                held.extend_from_slice(line.content);
                held.push(b'\n');
            }
        }
        if tail.lines.len() <= 2 * SAMPLES {
            tail.held = Some(held);
        }
        if let Some(Some(first)) = first {
            let in_blocks = lines_in_blocks(blocks, first);
            tail.in_blocks = in_blocks.min(tail.lines.len());
        }
        Ok(tail)
    }

    /// Number of lines that are in no block.
    pub(super) fn num_samples(&self) -> usize {
        self.lines.len() - self.in_blocks
    }

    /// Bytes of the lines that are in no block.
    pub(super) fn num_bytes(&self) -> usize {
        self.lines[self.in_blocks..].iter().map(|at| at.len).sum()
    }

    /// At most `most` samples of lines that are in no block, from `first` on.
    pub(super) fn samples(&self, first: usize, most: usize) -> Result<Vec<Stored>, StudyError> {
        let number = self.in_blocks + first;
        let lines = &self.lines[number..self.lines.len().min(number + most)];
        let (Some(begin), Some(end)) = (lines.first(), lines.last()) else {
            return Ok(Vec::new());
        };
        let (begin, end) = (begin.offset, end.offset + end.len as u64);
        let read;
        let bytes = match &self.held {
            Some(held) => &held[begin as usize..end as usize],
            None => {
                read = self
                    .read_bytes(begin, (end - begin) as usize)
                    .map_err(StudyError::io("read", &self.path))?;
                read.as_slice()
            }
        };
        let samples = lines.iter().enumerate().map(|(place, at)| {
            let from = (at.offset - begin) as usize;
            let line = &bytes[from..from + at.len];
            let stored = index_of(line).and_then(|index| {
                let content = line::content(line)?.to_vec();
                Ok(Stored { index, content })
            });
            stored.map_err(|source| self.error(first + place, source))
        });
        samples.collect()
    }

    fn read_bytes(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        let mut file = fp_scoring::open_file(&self.path)?;
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The error of a sample, by its place among those that are in no block.
    pub(super) fn error(&self, place: usize, source: line::LineError) -> StudyError {
        StudyError::Line {
            path: self.path.clone(),
            line: self.in_blocks + place + 1,
            source,
        }
    }
}

/// Number of a tail's lines that are also in blocks, given the index of its first sample. A block
/// is written before its samples are removed from the tail, so a tail begins after the last block,
/// or with the same sample as some block.
pub(super) fn lines_in_blocks(blocks: &Blocks, first: usize) -> usize {
    let same = blocks.list.iter().rev().find(|at| at.header.first == first);
    same.map_or(0, |at| blocks.num_samples() - at.before)
}
