//! The blocks of a run's records: finding and reading them.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::BLOCKS_FILE;
use super::block::{self, BlockError, HEADER, Header, Stored};
use crate::study::error::StudyError;

/// A complete block and its location.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockAt {
    /// Number of the block, counted from 1.
    pub(super) number: usize,
    pub(super) offset: u64,
    /// Number of samples in earlier blocks.
    pub(super) before: usize,
    pub(super) header: Header,
}

impl BlockAt {
    /// Offset of the next block.
    pub(super) fn end(&self) -> u64 {
        self.offset + (HEADER + self.header.payload()) as u64
    }

    /// Number of samples up to the end of the block.
    pub(super) fn samples(&self) -> usize {
        self.before + self.header.num_samples
    }
}

/// The blocks of a run; a torn block at the end is omitted.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) path: PathBuf,
    pub(super) list: Vec<BlockAt>,
}

impl Blocks {
    /// Reads the headers of a run's blocks; before the first block there is no file.
    pub(super) fn read(folder: &Path) -> Result<Blocks, StudyError> {
        match Blocks::scan(folder)? {
            (blocks, None) => Ok(blocks),
            (_, Some(damage)) => Err(damage),
        }
    }

    /// Like [`Blocks::read`], but stops at a damaged header, if there is one, and returns its
    /// error.
    pub(super) fn scan(folder: &Path) -> Result<(Blocks, Option<StudyError>), StudyError> {
        let mut blocks = Blocks {
            path: folder.join(BLOCKS_FILE),
            list: Vec::new(),
        };
        let Some((mut file, len)) = open(&blocks.path)? else {
            return Ok((blocks, None));
        };
        while let Some(header) = read_header(&mut file, &blocks.path, blocks.len(), len)? {
            let number = blocks.list.len() + 1;
            let header = match header {
                Ok(header) => header,
                Err(source) => {
                    let damage = blocks.error(number, source);
                    return Ok((blocks, Some(damage)));
                }
            };
            let at = BlockAt {
                number,
                offset: blocks.len(),
                before: blocks.num_samples(),
                header,
            };
            if at.end() > len {
                break;
            }
            blocks.list.push(at);
        }
        Ok((blocks, None))
    }

    /// Bytes of all complete blocks.
    pub(super) fn len(&self) -> u64 {
        self.list.last().map_or(0, BlockAt::end)
    }

    pub(super) fn num_samples(&self) -> usize {
        self.list.last().map_or(0, BlockAt::samples)
    }

    /// The payload after a block's header.
    pub(super) fn payload(&self, block: &BlockAt) -> Result<Vec<u8>, StudyError> {
        let mut payload = vec![0; block.header.payload()];
        let mut read = || {
            let mut file = fp_scoring::open_file(&self.path)?;
            file.seek(SeekFrom::Start(block.offset + HEADER as u64))?;
            file.read_exact(&mut payload)
        };
        read().map_err(StudyError::io("read", &self.path))?;
        Ok(payload)
    }

    /// The indices of a block's samples.
    pub(super) fn indices(&self, at: &BlockAt) -> Result<Vec<usize>, StudyError> {
        block::indices(&at.header, &self.payload(at)?).map_err(|e| self.error(at.number, e))
    }

    /// The samples of a block.
    pub(super) fn samples(&self, at: &BlockAt) -> Result<Vec<Stored>, StudyError> {
        block::decode(&at.header, &self.payload(at)?).map_err(|e| self.error(at.number, e))
    }

    /// The error of a block, whose number is counted from 1.
    pub(super) fn error(&self, number: usize, source: BlockError) -> StudyError {
        let offset = match number.checked_sub(2) {
            None => 0,
            Some(before) => self.list.get(before).map_or(0, BlockAt::end),
        };
        StudyError::Block {
            path: self.path.clone(),
            block: number,
            offset,
            source,
        }
    }
}

/// A file and its length; `None` if it doesn't exist.
pub(super) fn open(path: &Path) -> Result<Option<(File, u64)>, StudyError> {
    let opened = fp_scoring::open_file(path).and_then(|file| {
        let len = file.metadata()?.len();
        Ok((file, len))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StudyError::io("read", path)(error)),
    }
}

/// The header at `offset` of a file of `len` bytes; `None` if the file ends inside it.
pub(super) fn read_header(
    file: &mut File,
    path: &Path,
    offset: u64,
    len: u64,
) -> Result<Option<Result<Header, BlockError>>, StudyError> {
    if offset.saturating_add(HEADER as u64) > len {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    let mut read = || {
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut header)
    };
    read().map_err(StudyError::io("read", path))?;
    Ok(Some(Header::parse(&header)))
}
