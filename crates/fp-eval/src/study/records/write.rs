//! Writing the records of a whole run at once, for merged and generated runs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::block::{self, Stored, is_full};
use super::{AT_ONCE, BLOCKS_FILE};
use crate::study::error::StudyError;
use crate::study::record::SampleRecord;

/// Writes the records of a whole run, in the order of running.
#[derive(Debug)]
pub struct RecordsWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Full blocks that wait to be compressed together.
    full: Vec<Vec<Stored>>,
    pending: Vec<Stored>,
    num_blocks: usize,
}

impl RecordsWriter {
    /// Starts with an empty file in a run's folder.
    ///
    /// # Errors
    /// A file that can't be created.
    pub fn create(folder: &Path) -> Result<RecordsWriter, StudyError> {
        let path = folder.join(BLOCKS_FILE);
        let file = File::create(&path).map_err(StudyError::io("create", &path))?;
        Ok(RecordsWriter {
            path,
            file: BufWriter::new(file),
            full: Vec::new(),
            pending: Vec::new(),
            num_blocks: 0,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn push(&mut self, record: &SampleRecord) -> Result<(), StudyError> {
        let content = serde_json::to_vec(record).map_err(StudyError::json(&self.path))?;
        self.push_stored(Stored {
            index: record.index,
            content,
        })
    }

    pub(crate) fn push_stored(&mut self, sample: Stored) -> Result<(), StudyError> {
        self.pending.push(sample);
        if is_full(&self.pending) {
            self.full.push(std::mem::take(&mut self.pending));
            if self.full.len() == AT_ONCE {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StudyError> {
        let full = std::mem::take(&mut self.full);
        let encoded: Vec<_> = full.par_iter().map(|it| block::encode(it)).collect();
        for encoded in encoded {
            self.num_blocks += 1;
            let (_, block) = encoded.map_err(|source| StudyError::Block {
                path: self.path.clone(),
                block: self.num_blocks,
                offset: 0,
                source,
            })?;
            let written = self.file.write_all(&block);
            written.map_err(StudyError::io("write", &self.path))?;
        }
        Ok(())
    }

    /// Writes the rest as the last block, and waits until everything is on disk.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn finish(mut self) -> Result<(), StudyError> {
        if !self.pending.is_empty() {
            self.full.push(std::mem::take(&mut self.pending));
        }
        self.write()?;
        let mut finish = || {
            self.file.flush()?;
            self.file.get_ref().sync_data()
        };
        finish().map_err(StudyError::io("write", &self.path))
    }
}
