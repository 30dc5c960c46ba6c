//! The records of a run in progress, appended so that killing the program at any time is safe.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::block::{Stored, encode, is_full};
use super::blocks::{BlockAt, Blocks};
use super::tail::lines_in_blocks;
use super::{BLOCKS_FILE, RECORDS_FILE};
use crate::study::error::StudyError;
use crate::study::files::{open_growing, write_whole};
use crate::study::line::{content, framed, index_of};
use crate::study::lines::Lines;

/// Records that are open for exclusive writing.
#[derive(Debug)]
pub(crate) struct GrowingRecords {
    blocks: Blocks,
    blocks_file: File,
    tail_path: PathBuf,
    tail: File,
    /// Samples that aren't in a block yet.
    pending: Vec<Stored>,
    /// How many of those are complete lines of the tail, and their bytes.
    in_tail: usize,
    tail_len: u64,
}

impl GrowingRecords {
    /// Opens the records of a run, which may be new. `order` lists the run's samples in the order
    /// of recording. Torn lines and blocks are cut off; lines that fill blocks are converted to
    /// blocks, which covers all lines of runs in the earlier format.
    pub(crate) fn open(folder: &Path, order: &[usize]) -> Result<GrowingRecords, StudyError> {
        let blocks_file = open_growing(&folder.join(BLOCKS_FILE))?;
        let tail_path = folder.join(RECORDS_FILE);
        let tail = open_growing(&tail_path)?;
        let (mut blocks, damage) = Blocks::scan(folder)?;
        let first = first_of(&tail_path, &tail)?;
        let is_begin_of_tail =
            |before: usize| first.is_some() && order.get(before) == first.as_ref();
        if let Some(damage) = damage
            && !is_begin_of_tail(blocks.num_samples())
        {
            return Err(damage);
        }
        let wrong = blocks.list.iter().find_map(|at| {
            let error = check_order(&blocks, at, order).err()?;
            Some((*at, error))
        });
        if let Some((at, error)) = wrong {
            // A block's lines are removed only after the block is on disk.
            if at.number < blocks.list.len() || !is_begin_of_tail(at.before) {
                return Err(error);
            }
            blocks.list.pop();
        }
        let mut records = GrowingRecords {
            blocks,
            blocks_file,
            tail_path,
            tail,
            pending: Vec::new(),
            in_tail: 0,
            tail_len: 0,
        };
        records.cut_blocks()?;
        records.take_lines(first, order)?;
        Ok(records)
    }

    /// Number of recorded samples.
    pub(crate) fn num_samples(&self) -> usize {
        self.blocks.num_samples() + self.pending.len()
    }

    /// Appends samples. If that fails, some of them may be recorded: the first ones, each complete.
    pub(crate) fn append(&mut self, samples: Vec<Stored>) -> Result<(), StudyError> {
        for sample in samples {
            self.pending.push(sample);
            if is_full(&self.pending) {
                self.write_block()?;
            }
        }
        let fresh = &self.pending[self.in_tail..];
        let lines: Vec<u8> = fresh.iter().flat_map(|it| framed(&it.content)).collect();
        if let Err(error) = self.tail.write_all(&lines) {
            // If truncating fails now, the rest is a torn line, which is dropped on resuming.
            let _ = self.tail.set_len(self.tail_len);
            self.pending.truncate(self.in_tail);
            return Err(StudyError::io("write", &self.tail_path)(error));
        }
        self.tail_len += lines.len() as u64;
        self.in_tail = self.pending.len();
        Ok(())
    }

    /// Waits until everything is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), StudyError> {
        self.tail
            .sync_data()
            .map_err(StudyError::io("write", &self.tail_path))
    }

    /// Writes the last block of a complete run, so that no lines are left.
    pub(crate) fn finish(&mut self) -> Result<(), StudyError> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        match fs::remove_file(&self.tail_path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StudyError::io("delete", &self.tail_path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes the pending samples as a block, forces it to disk, and empties the lines.
    fn write_block(&mut self) -> Result<(), StudyError> {
        let written = self.add_block().and_then(|()| {
            let synced = self.blocks_file.sync_data();
            synced.map_err(StudyError::io("write", &self.blocks.path))
        });
        if let Err(error) = written {
            self.pending.truncate(self.in_tail);
            return Err(error);
        }
        self.pending.clear();
        self.empty_tail()
    }

    /// Appends the pending samples as a block.
    fn add_block(&mut self) -> Result<(), StudyError> {
        let number = self.blocks.list.len() + 1;
        let (header, block) = encode(&self.pending).map_err(|e| self.blocks.error(number, e))?;
        if let Err(error) = self.blocks_file.write_all(&block) {
            // If truncating fails now, the rest is a torn block, which is dropped on resuming.
            let _ = self.blocks_file.set_len(self.blocks.len());
            return Err(StudyError::io("write", &self.blocks.path)(error));
        }
        self.blocks.list.push(BlockAt {
            number,
            offset: self.blocks.len(),
            before: self.blocks.num_samples(),
            header,
        });
        Ok(())
    }

    fn cut_blocks(&mut self) -> Result<(), StudyError> {
        let len = self.blocks.len();
        let mut cut = || {
            self.blocks_file.set_len(len)?;
            self.blocks_file.seek(SeekFrom::Start(len))
        };
        cut().map_err(StudyError::io("write", &self.blocks.path))?;
        Ok(())
    }

    fn empty_tail(&mut self) -> Result<(), StudyError> {
        let mut empty = || {
            self.tail.set_len(0)?;
            self.tail.seek(SeekFrom::Start(0))
        };
        empty().map_err(StudyError::io("write", &self.tail_path))?;
        (self.in_tail, self.tail_len) = (0, 0);
        Ok(())
    }

    /// Reads the lines of the tail, the first of which is of the sample `first`.
    fn take_lines(&mut self, first: Option<usize>, order: &[usize]) -> Result<(), StudyError> {
        let in_blocks = self.blocks.num_samples();
        let mut place = in_blocks;
        if let Some(first) = first.filter(|first| order.get(place) != Some(first)) {
            place -= lines_in_blocks(&self.blocks, first);
        }
        let file = fp_scoring::open_file(&self.tail_path);
        let mut lines = Lines::new(file.map_err(StudyError::io("read", &self.tail_path))?);
        let mut is_as_it_was = place == in_blocks;
        loop {
            let line = lines.next();
            let Some(line) = line.map_err(StudyError::io("read", &self.tail_path))? else {
                break;
            };
            let number = line.number;
            let at = |source| StudyError::Line {
                path: self.tail_path.clone(),
                line: number,
                source,
            };
            let index = index_of(line.content).map_err(at)?;
            if order.get(place) != Some(&index) {
                return Err(order_error(
                    &self.tail_path,
                    number,
                    index,
                    order.get(place),
                ));
            }
            place += 1;
            if place <= in_blocks {
                continue;
            }
            let content = content(line.content).map_err(at)?.to_vec();
            self.pending.push(Stored { index, content });
            if is_full(&self.pending) {
                // The lines stay in the file until all of them have been read.
                is_as_it_was = false;
                self.add_block()?;
                self.pending.clear();
            }
        }
        if is_as_it_was {
            self.tail_len = lines.whole;
            self.in_tail = self.pending.len();
            return self.cut_tail();
        }
        self.rewrite_tail()
    }

    fn cut_tail(&mut self) -> Result<(), StudyError> {
        let mut cut = || {
            self.tail.set_len(self.tail_len)?;
            self.tail.seek(SeekFrom::Start(self.tail_len))
        };
        cut().map_err(StudyError::io("write", &self.tail_path))?;
        Ok(())
    }

    /// Rewrites the tail with only those lines that are in no block.
    fn rewrite_tail(&mut self) -> Result<(), StudyError> {
        self.blocks_file
            .sync_data()
            .map_err(StudyError::io("write", &self.blocks.path))?;
        let lines: Vec<u8> = self
            .pending
            .iter()
            .flat_map(|it| framed(&it.content))
            .collect();
        write_whole(&self.tail_path, &lines)?;
        self.tail = open_growing(&self.tail_path)?;
        (self.in_tail, self.tail_len) = (self.pending.len(), lines.len() as u64);
        self.cut_tail()
    }
}

/// The sample of the first line; `None` without a complete line, or if it is damaged.
fn first_of(path: &Path, file: &File) -> Result<Option<usize>, StudyError> {
    let mut lines = Lines::new(file);
    let line = lines.next().map_err(StudyError::io("read", path))?;
    Ok(line.and_then(|line| index_of(line.content).ok()))
}

/// Checks the samples of a block against the order of the run.
fn check_order(blocks: &Blocks, at: &BlockAt, order: &[usize]) -> Result<(), StudyError> {
    let indices = blocks.indices(at)?;
    for (place, &index) in indices.iter().enumerate() {
        let expected = order.get(at.before + place);
        if expected != Some(&index) {
            let number = at.before + place + 1;
            return Err(order_error(&blocks.path, number, index, expected));
        }
    }
    Ok(())
}

fn order_error(path: &Path, place: usize, found: usize, expected: Option<&usize>) -> StudyError {
    StudyError::Order {
        path: path.to_owned(),
        line: place,
        found,
        expected: match expected {
            Some(index) => format!("sample {index}"),
            None => "the end".to_owned(),
        },
    }
}
