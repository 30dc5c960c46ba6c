//! Counting a run's recorded samples, cheaply and exactly even while the run is in progress.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::blocks::{open, read_header};
use super::{BLOCKS_FILE, MOST_LOOKS, RECORDS_FILE};
use crate::study::error::StudyError;
use crate::study::line::index_of;
use crate::study::lines::Lines;

/// State of counting a run's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Number of recorded samples.
    pub lines: u64,
    /// Offset of the last complete block in [`BLOCKS_FILE`].
    pub bytes: u64,
    /// Number of samples in blocks before that one.
    #[serde(default)]
    pub before: u64,
}

/// Counts the records of a run, continuing from the state `before`. Only the headers of blocks are
/// read. A run without records has 0.
///
/// # Errors
/// A file that can't be read.
pub fn count_records(folder: &Path, before: Counted) -> Result<Counted, StudyError> {
    let path = folder.join(BLOCKS_FILE);
    let mut look = 0;
    loop {
        let blocks = count_blocks(&path, before)?;
        let (first, lines) = count_lines(folder)?;
        look += 1;
        let len = open(&path)?.map_or(0, |(_, len)| len);
        // Samples that left the lines in the meantime are in a block that wasn't counted.
        if len != blocks.len && look < MOST_LOOKS {
            continue;
        }
        // Lines that are also in blocks begin with the first sample of a block: the last block, or
        // the first one for a run recorded in lines only.
        let same = first.and_then(|first| blocks.firsts.iter().rev().find(|it| it.0 == first));
        let all = match same {
            None => blocks.samples + lines,
            Some((_, before)) => blocks.samples.max(before + lines),
        };
        return Ok(Counted {
            lines: all,
            ..blocks.counted
        });
    }
}

#[derive(Debug, Default)]
struct CountedBlocks {
    counted: Counted,
    samples: u64,
    /// Length of the file when it was opened.
    len: u64,
    /// First samples of the blocks that were read, with the number of samples before each.
    firsts: Vec<(usize, u64)>,
}

fn count_blocks(path: &Path, before: Counted) -> Result<CountedBlocks, StudyError> {
    let mut found = CountedBlocks::default();
    let Some((mut file, len)) = open(path)? else {
        return Ok(found);
    };
    found.len = len;
    let is_block = |header| matches!(header, Some(Ok(_)));
    let first = read_header(&mut file, path, 0, len)?;
    if let Some(Ok(header)) = &first {
        found.firsts.push((header.first, 0));
    }
    // If the file has been replaced, counting starts anew.
    let start = match is_block(read_header(&mut file, path, before.bytes, len)?) {
        true => before,
        false => Counted::default(),
    };
    let (mut offset, mut samples) = (start.bytes, start.before);
    found.counted = start;
    while let Some(Ok(header)) = read_header(&mut file, path, offset, len)? {
        let end = offset + (super::block::HEADER + header.payload()) as u64;
        if end > len {
            break;
        }
        found.firsts.push((header.first, samples));
        found.counted = Counted {
            lines: 0,
            bytes: offset,
            before: samples,
        };
        samples += header.num_samples as u64;
        offset = end;
    }
    found.samples = samples;
    Ok(found)
}

/// The index of the first line's sample, and the number of complete lines.
fn count_lines(folder: &Path) -> Result<(Option<usize>, u64), StudyError> {
    let path = folder.join(RECORDS_FILE);
    let Some((file, _)) = open(&path)? else {
        return Ok((None, 0));
    };
    let mut reader = Lines::new(file);
    let (mut first, mut lines) = (None, 0);
    while let Some(line) = reader.next().map_err(StudyError::io("read", &path))? {
        if lines == 0 {
            first = index_of(line.content).ok();
        }
        lines += 1;
    }
    Ok((first, lines))
}
