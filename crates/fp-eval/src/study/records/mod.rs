//! The records of a run, one per sample, in the order of running.
//!
//! Whole blocks of [`SAMPLES`] samples stand in [`BLOCKS_FILE`], compressed and checksummed; the
//! samples since the last block in [`RECORDS_FILE`], a checksummed line each. When these fill a
//! block it is written and forced to the disk, and only then are they taken out of the lines: a
//! program that is killed in between leaves them in both, which readers recognise. At the run's
//! end the rest becomes the last block, and there are no lines left. So the bytes depend on the
//! samples alone, however often the run was interrupted, or in how many shards it was run.
//!
//! Everything that reads records goes through [`Records`]. Lines alone, without a block, are
//! read too: that is how runs of the format before this one are.

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

/// Blocks of samples.
pub const BLOCKS_FILE: &str = "records.blocks";

/// One line per sample that is in no block.
pub const RECORDS_FILE: &str = "records.jsonl";

/// Parts that are decoded at once.
const AT_ONCE: usize = 8;

/// How often a file that grows meanwhile is looked at again.
const MOST_LOOKS: usize = 100;

/// The records of a run's folder, as far as they were when it was opened.
#[derive(Debug)]
pub struct Records {
    blocks: Blocks,
    tail: Tail,
}

impl Records {
    /// Finds the records of a run. A last line or block that was torn off is left out.
    ///
    /// # Errors
    /// A file that can't be read, a damaged header of a block.
    pub fn open(folder: &Path) -> Result<Records, StudyError> {
        let path = folder.join(BLOCKS_FILE);
        let len = || Ok::<_, StudyError>(blocks::open(&path)?.map_or(0, |(_, len)| len));
        let mut look = 0;
        loop {
            let before = len()?;
            let blocks = Blocks::read(folder)?;
            let tail = Tail::read(folder, &blocks)?;
            look += 1;
            // Samples that left the lines in between are in a block that was not seen.
            if len()? == before || look == MOST_LOOKS {
                return Ok(Records { blocks, tail });
            }
        }
    }

    /// Samples that are recorded.
    pub fn num_samples(&self) -> usize {
        self.blocks.num_samples() + self.tail.num_samples()
    }

    /// Parts that are read one by one: blocks, then as many lines as a block has samples.
    pub fn num_parts(&self) -> usize {
        self.blocks.list.len() + self.tail.num_samples().div_ceil(SAMPLES)
    }

    /// The samples of a part, as they are stored.
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
    /// A part that is damaged, or holds a record that can't be of this run.
    pub fn part(&self, spec: &RunSpec, part: usize) -> Result<Vec<SampleRecord>, StudyError> {
        let stored = self.stored(part)?.into_iter().enumerate();
        let records = stored.map(|(place, stored)| {
            record_of(spec, &stored).map_err(|source| self.error(part, place, source))
        });
        records.collect()
    }

    /// What is wrong with a record, by its part and its place there.
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

    /// Bytes of a sample's JSON, on average.
    fn mean_bytes(&self) -> usize {
        let blocks = self.blocks.list.iter().map(|at| at.header.content_bytes());
        let bytes = blocks.sum::<usize>() + self.tail.num_bytes();
        bytes / self.num_samples().max(1)
    }

    /// The records by the index of their samples, a few at once.
    ///
    /// # Errors
    /// A part that is damaged.
    pub fn by_index<'a>(&'a self, spec: &'a RunSpec) -> Result<Ordered<'a>, StudyError> {
        let mut places = self.places()?;
        places.sort_unstable();
        let places = places.into_iter().map(|(_, place)| place).collect();
        Ok(Ordered::new(self, spec, places))
    }

    /// The records of some samples, by their indices and in this order. Those that aren't
    /// recorded are left out.
    ///
    /// # Errors
    /// A part that is damaged.
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

    /// Where each sample is, by its index, in the order of running.
    fn places(&self) -> Result<Vec<(usize, RecordPosition)>, StudyError> {
        let parts = self.indices()?.into_iter().enumerate();
        let places = parts.flat_map(|(part, indices)| {
            let indices = indices.into_iter().enumerate();
            indices.map(move |(place, index)| (index, RecordPosition { part, place }))
        });
        Ok(places.collect())
    }

    /// The indices of each part's samples; of blocks without decompressing them.
    ///
    /// # Errors
    /// A part that is damaged.
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

    /// Gives the records to `visit` in their order, a few parts at once, decoded on all
    /// threads.
    ///
    /// # Errors
    /// As [`Records::part`]; whatever `visit` refuses.
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

    /// Gives every record as a line of JSON with its checksum to `visit`, a few at once, each
    /// with its end.
    ///
    /// # Errors
    /// As [`Records::part`]; whatever `visit` refuses.
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

/// The record of a stored sample, held against its run.
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
