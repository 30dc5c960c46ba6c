//! The records of a run, one per sample, in the order of running.
//!
//! Full blocks of [`SAMPLES`] samples are in [`BLOCKS_FILE`], compressed and checksummed; the
//! samples since the last block are in [`RECORDS_FILE`], a checksummed line each. When these fill a
//! block, the block is written and forced to disk, and only then are the lines removed: if the
//! program is killed in between, they are in both files, which readers recognise. At the run's end
//! the rest becomes the last block, and no lines are left. So the bytes depend only on the samples,
//! not on interruptions or on the number of shards.
//!
//! All reading of records goes through [`Records`]. Lines without any block are read too: runs of
//! the earlier format consist of them.

mod block;
mod blocks;
mod count;
mod grow;
mod ordered;
mod pack;
mod tail;
#[cfg(test)]
mod tests;
mod write;

pub use block::BlockError;
pub(crate) use block::Stored;
pub use count::{Counted, count_records};
pub(crate) use grow::GrowingRecords;
pub use ordered::Ordered;
pub use write::RecordsWriter;

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use self::block::SAMPLES;
use self::blocks::Blocks;
use self::ordered::RecordPosition;
use self::tail::Tail;
use super::error::StudyError;
use super::line::{LineError, framed};
use super::record::SampleRecord;
use super::spec::RunSpec;
use super::valid::check_record;

/// Name of the file with blocks of samples.
pub const BLOCKS_FILE: &str = "records.blocks";

/// Name of the file with one line for each sample that is in no block.
pub const RECORDS_FILE: &str = "records.jsonl";

/// Number of parts that are decoded at one time.
const AT_ONCE: usize = 8;

/// How many times to reread files that grow in the meantime.
const MOST_LOOKS: usize = 100;

/// The records of a run's folder at the time it was opened.
#[derive(Debug)]
pub struct Records {
    blocks: Blocks,
    tail: Tail,
}

impl Records {
    /// Finds the records of a run. A torn last line or block is omitted.
    ///
    /// # Errors
    /// A file that can't be read, or a damaged block header.
    pub fn open(folder: &Path) -> Result<Records, StudyError> {
        let path = folder.join(BLOCKS_FILE);
        let len = || Ok::<_, StudyError>(blocks::open(&path)?.map_or(0, |(_, len)| len));
        let mut look = 0;
        loop {
            let before = len()?;
            let blocks = Blocks::read(folder)?;
            let tail = Tail::read(folder, &blocks)?;
            look += 1;
            // Samples that left the lines in the meantime are in a block that wasn't read.
            if len()? == before || look == MOST_LOOKS {
                return Ok(Records { blocks, tail });
            }
        }
    }

    /// Number of recorded samples.
    pub fn num_samples(&self) -> usize {
        self.blocks.num_samples() + self.tail.num_samples()
    }

    /// Number of parts that can be read separately: blocks, then groups of as many lines as a block
    /// has samples.
    pub fn num_parts(&self) -> usize {
        self.blocks.list.len() + self.tail.num_samples().div_ceil(SAMPLES)
    }

    /// The stored samples of a part.
    pub(crate) fn stored(&self, part: usize) -> Result<Vec<Stored>, StudyError> {
        match self.blocks.list.get(part) {
            Some(block) => self.blocks.samples(block),
            None => {
                let first = (part - self.blocks.list.len()) * SAMPLES;
                self.tail.samples(first, SAMPLES)
            }
        }
    }

    /// The records of a part, counted from 0.
    ///
    /// # Errors
    /// A part that is damaged, or contains a record that can't belong to this run.
    pub fn part(&self, spec: &RunSpec, part: usize) -> Result<Vec<SampleRecord>, StudyError> {
        let stored = self.stored(part)?.into_iter().enumerate();
        let records = stored.map(|(place, stored)| {
            record_of(spec, &stored).map_err(|source| self.error(part, place, source))
        });
        records.collect()
    }

    /// The error of a record, by its part and its place there.
    fn error(&self, part: usize, place: usize, source: LineError) -> StudyError {
        match self.blocks.list.get(part) {
            Some(block) => {
                let place = place + 1;
                let source = BlockError::Record { place, source };
                self.blocks.error(block.number, source)
            }
            None => {
                let first = (part - self.blocks.list.len()) * SAMPLES;
                self.tail.error(first + place, source)
            }
        }
    }

    /// Mean number of bytes of a sample's JSON.
    fn mean_bytes(&self) -> usize {
        let blocks = self.blocks.list.iter().map(|at| at.header.content_bytes());
        let bytes = blocks.sum::<usize>() + self.tail.num_bytes();
        bytes / self.num_samples().max(1)
    }

    /// The records in the order of their samples' indices, a few at a time.
    ///
    /// # Errors
    /// A damaged part.
    pub fn by_index<'a>(&'a self, spec: &'a RunSpec) -> Result<Ordered<'a>, StudyError> {
        let mut places = self.places()?;
        places.sort_unstable();
        let places = places.into_iter().map(|(_, place)| place).collect();
        Ok(Ordered::new(self, spec, places))
    }

    /// The records of the given samples, in the order of the given indices. Samples that aren't
    /// recorded are omitted.
    ///
    /// # Errors
    /// A damaged part.
    pub fn in_order<'a>(
        &'a self,
        spec: &'a RunSpec,
        indices: &[usize],
    ) -> Result<Ordered<'a>, StudyError> {
        let places: HashMap<usize, RecordPosition> = self.places()?.into_iter().collect();
        let places = indices
            .iter()
            .filter_map(|index| places.get(index).copied());
        Ok(Ordered::new(self, spec, places.collect()))
    }

    /// The index and location of each sample, in the order of running.
    fn places(&self) -> Result<Vec<(usize, RecordPosition)>, StudyError> {
        let parts = self.indices()?.into_iter().enumerate();
        let places = parts.flat_map(|(part, indices)| {
            let indices = indices.into_iter().enumerate();
            indices.map(move |(place, index)| (index, RecordPosition { part, place }))
        });
        Ok(places.collect())
    }

    /// The indices of each part's samples; blocks are not decompressed for this.
    ///
    /// # Errors
    /// A damaged part.
    pub fn indices(&self) -> Result<Vec<Vec<usize>>, StudyError> {
        let parts = (0..self.num_parts()).into_par_iter().map(|part| {
            Ok(match self.blocks.list.get(part) {
                Some(block) => self.blocks.indices(block)?,
                None => {
                    let stored = self.stored(part)?.into_iter();
                    stored.map(|stored| stored.index).collect()
                }
            })
        });
        parts.collect()
    }

    /// Passes the records to `visit` in order, decoding a few parts at a time on all threads.
    ///
    /// # Errors
    /// Those of [`Records::part`], and errors of `visit`.
    pub fn stream<E: From<StudyError>>(
        &self,
        spec: &RunSpec,
        mut visit: impl FnMut(Vec<SampleRecord>) -> Result<(), E>,
    ) -> Result<(), E> {
        let parts: Vec<usize> = (0..self.num_parts()).collect();
        for parts in parts.chunks(AT_ONCE) {
            let decoded = parts.par_iter().map(|&part| self.part(spec, part));
            let decoded: Vec<Vec<SampleRecord>> = decoded.collect::<Result<_, _>>()?;
            visit(decoded.into_iter().flatten().collect())?;
        }
        Ok(())
    }

    /// Passes every record to `visit` as a checksummed line of JSON including its line end, a few
    /// at a time.
    ///
    /// # Errors
    /// Those of [`Records::part`], and errors of `visit`.
    pub fn lines<E: From<StudyError>>(
        &self,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let parts: Vec<usize> = (0..self.num_parts()).collect();
        for parts in parts.chunks(AT_ONCE) {
            let lines = parts
                .par_iter()
                .map(|&part| -> Result<Vec<u8>, StudyError> {
                    let stored = self.stored(part)?;
                    let lines = stored.iter().flat_map(|stored| framed(&stored.content));
                    Ok(lines.collect())
                });
            for lines in lines.collect::<Result<Vec<_>, _>>()? {
                visit(&lines)?;
            }
        }
        Ok(())
    }
}

/// Parses a stored sample's record and checks it against its run.
fn record_of(spec: &RunSpec, stored: &Stored) -> Result<SampleRecord, LineError> {
    let record: SampleRecord = serde_json::from_slice(&stored.content)?;
    check_record(spec, &record).map_err(|reason| LineError::Value { reason })?;
    if record.index != stored.index {
        let (found, index) = (record.index, stored.index);
        let reason = format!("it is sample {found}, where its block has sample {index}");
        return Err(LineError::Value { reason });
    }
    Ok(record)
}
