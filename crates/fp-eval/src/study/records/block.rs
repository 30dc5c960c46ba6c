//! One block of the records file: some samples in the order of the run, compressed, with
//! checksums.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FPBLOCK1` |
//! | 4 | samples |
//! | 4 | bytes of their JSON, line ends included |
//! | 4, 4 | bytes of the text and of the lists, see [`super::pack`] |
//! | 4, 4 | the same after DEFLATE |
//! | 8 | index of the first sample |
//! | 4 | CRC-32 of everything behind the header |
//! | 4 | CRC-32 of the header so far |
//! | 8 each | indices of the samples |
//! | | text, lists |
//!
//! Numbers are little-endian. A block ends with its [`SAMPLES`]th sample, with the sample that
//! brings it to [`FULL`] bytes of JSON, or at the end of the run.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::pack::{Packed, unpack};
use crate::study::line::LineError;

/// Number of samples in a full block.
pub(super) const SAMPLES: usize = 64;
/// Number of bytes of JSON that fill a block with any number of samples.
pub(super) const FULL: usize = 64 << 20;
/// Number of bytes of a block's header.
pub(super) const HEADER: usize = 48;

const MAGIC: &[u8; 8] = b"FPBLOCK1";
/// Number of bytes of an index.
const INDEX: usize = 8;
/// DEFLATE level, 0 to 10.
const LEVEL: u8 = 6;
/// Largest number of bytes of JSON in a block, which bounds the memory for reading one.
const MOST: usize = 1 << 29;
/// Largest expansion factor of DEFLATE.
const MOST_INFLATED: usize = 1032;

/// Errors of a block of a run's records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// There is no block at this offset.
    #[error("there is no block at this offset")]
    Header,
    /// The block has changed since it was written.
    #[error("its checksum is {found:08x}, expected {written:08x}")]
    Checksum {
        /// The checksum in the block.
        written: u32,
        /// The checksum of its content.
        found: u32,
    },
    /// The block is intact but wasn't written by this version.
    #[error("{reason}")]
    Content {
        /// The contradiction.
        reason: String,
    },
    /// A sample of an intact block isn't a record of this run.
    #[error("its sample {place} can't be used")]
    Record {
        /// Number of the sample within the block, counted from 1.
        place: usize,
        /// The record's error.
        source: LineError,
    },
}

/// A sample as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Index over all datasets of the run.
    pub(crate) index: usize,
    /// The record's JSON.
    pub(crate) content: Vec<u8>,
}

/// Whether a block ends with the last of these samples.
pub(super) fn is_full(samples: &[Stored]) -> bool {
    let bytes = || samples.iter().map(|sample| sample.content.len()).sum();
    samples.len() >= SAMPLES || usize::ge(&bytes(), &FULL)
}

/// Content of a block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) num_samples: usize,
    /// Index of the block's first sample.
    pub(super) first: usize,
    content: usize,
    text: usize,
    lists: usize,
    packed_text: usize,
    packed_lists: usize,
    crc: u32,
}

impl Header {
    /// Parses a header of [`HEADER`] bytes.
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Header, BlockError> {
        let number = |at: usize| {
            let field = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes(field)
        };
        let size = |at: usize| number(at) as usize;
        if bytes[..8] != *MAGIC {
            return Err(BlockError::Header);
        }
        let (written, found) = (number(44), crc32fast::hash(&bytes[..44]));
        if written != found {
            return Err(BlockError::Checksum { written, found });
        }
        let header = Header {
            num_samples: size(8),
            content: size(12),
            text: size(16),
            lists: size(20),
            packed_text: size(24),
            packed_lists: size(28),
            first: (u64::from(number(36)) << 32 | u64::from(number(32))) as usize,
            crc: number(40),
        };
        let is_possible = header.num_samples > 0
            && header.num_samples <= SAMPLES
            && header.content <= MOST
            && header.text <= header.packed_text.saturating_mul(MOST_INFLATED)
            && header.lists <= header.packed_lists.saturating_mul(MOST_INFLATED)
            && header.text.max(header.lists) <= MOST;
        match is_possible {
            true => Ok(header),
            false => Err(content("its header states impossible sizes")),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for size in [
            self.num_samples,
            self.content,
            self.text,
            self.lists,
            self.packed_text,
            self.packed_lists,
        ] {
            bytes.extend_from_slice(&(size as u32).to_le_bytes());
        }
        bytes.extend_from_slice(&(self.first as u64).to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Bytes of the samples' JSON.
    pub(super) fn content_bytes(&self) -> usize {
        self.content
    }

    /// Bytes after the header.
    pub(super) fn payload(&self) -> usize {
        INDEX * self.num_samples + self.packed_text + self.packed_lists
    }
}

fn content(reason: &str) -> BlockError {
    BlockError::Content {
        reason: reason.to_owned(),
    }
}

/// Encodes samples as a block with its header first. Equal samples give equal bytes.
pub(super) fn encode(samples: &[Stored]) -> Result<(Header, Vec<u8>), BlockError> {
    let mut packed = Packed::default();
    samples
        .iter()
        .for_each(|sample| packed.add(&sample.content));
    let text = compress_to_vec(&packed.text, LEVEL);
    let lists = compress_to_vec(&packed.lists, LEVEL);
    let json: usize = samples.iter().map(|sample| sample.content.len() + 1).sum();
    if json > MOST {
        return Err(BlockError::Content {
            reason: format!("its {json} bytes of JSON are more than the {MOST} that a block holds"),
        });
    }
    let mut payload = Vec::new();
    for sample in samples {
        payload.extend_from_slice(&(sample.index as u64).to_le_bytes());
    }
    payload.extend_from_slice(&text);
    payload.extend_from_slice(&lists);
    let header = Header {
        num_samples: samples.len(),
        first: samples.first().map_or(0, |sample| sample.index),
        content: json,
        text: packed.text.len(),
        lists: packed.lists.len(),
        packed_text: text.len(),
        packed_lists: lists.len(),
        crc: crc32fast::hash(&payload),
    };
    let mut block = header.bytes();
    block.extend_from_slice(&payload);
    Ok((header, block))
}

/// Checks the payload after a header and returns the indices of its samples.
pub(super) fn indices(header: &Header, payload: &[u8]) -> Result<Vec<usize>, BlockError> {
    let found = crc32fast::hash(payload);
    if found != header.crc {
        return Err(BlockError::Checksum {
            written: header.crc,
            found,
        });
    }
    let (indices, _) = payload[..INDEX * header.num_samples].as_chunks::<INDEX>();
    let indices = indices.iter().map(|index| u64::from_le_bytes(*index));
    let indices: Vec<usize> = indices.map(|index| index as usize).collect();
    match indices.first() == Some(&header.first) {
        true => Ok(indices),
        false => Err(content("its header and its first sample differ")),
    }
}

/// The samples of a block.
pub(super) fn decode(header: &Header, payload: &[u8]) -> Result<Vec<Stored>, BlockError> {
    let indices = indices(header, payload)?;
    let (text, lists) = payload[INDEX * header.num_samples..].split_at(header.packed_text);
    let inflate = |packed: &[u8], len: usize| {
        let inflated = decompress_to_vec_with_limit(packed, len);
        let inflated = inflated.map_err(|_| content("it can't be decompressed"))?;
        match inflated.len() == len {
            true => Ok(inflated),
            false => Err(content("it holds less than it states")),
        }
    };
    let (text, lists) = (inflate(text, header.text)?, inflate(lists, header.lists)?);
    let json = unpack(&text, &lists, header.content).map_err(content)?;
    let lines = json.split_inclusive(|byte| *byte == b'\n');
    let contents = lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec());
    let samples: Vec<Stored> = indices
        .iter()
        .zip(contents)
        .map(|(&index, content)| Stored { index, content })
        .collect();
    let num_lines = json.iter().filter(|byte| **byte == b'\n').count();
    match num_lines == indices.len() && samples.len() == indices.len() {
        true => Ok(samples),
        false => Err(content(
            "it doesn't hold the number of samples that it states",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Stored> {
        (0..5)
            .map(|number| Stored {
                index: 1 << (9 * number),
                content: format!("{{\"index\":{number},\"kept\":[1,2,{}]}}", 10 + number)
                    .into_bytes(),
            })
            .collect()
    }

    fn read(block: &[u8]) -> Result<Vec<Stored>, BlockError> {
        let header = Header::parse(block.first_chunk().unwrap())?;
        assert_eq!(header.payload(), block.len() - HEADER);
        decode(&header, &block[HEADER..])
    }

    #[test]
    fn blocks_come_back() {
        let (header, block) = encode(&samples()).unwrap();
        assert_eq!(encode(&samples()).unwrap().1, block);
        assert_eq!(read(&block).unwrap(), samples());
        let found = Header::parse(block.first_chunk().unwrap()).unwrap();
        assert_eq!(found, header);
        assert_eq!((header.num_samples, header.first), (5, 1));
        let found = indices(&header, &block[HEADER..]).unwrap();
        assert_eq!(found, [1, 1 << 9, 1 << 18, 1 << 27, 1 << 36]);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (_, block) = encode(&samples()).unwrap();
        for bit in 0..8 * block.len() {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let header = Header::parse(damaged.first_chunk().unwrap());
            let result = header.and_then(|header| decode(&header, &damaged[HEADER..]));
            assert!(result.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_block_is_full_by_samples_or_by_bytes() {
        let sample = |len: usize| Stored {
            index: 0,
            content: vec![b' '; len],
        };
        assert!(!is_full(&vec![sample(3); SAMPLES - 1]));
        assert!(is_full(&vec![sample(3); SAMPLES]));
        assert!(is_full(&[sample(FULL)]));
    }
}
