//! A child process's progress, in a file that outlives the process.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Numbers of inputs of one parser by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Accepted as sound.
    pub(crate) taken: u64,
    /// Refused with an error, or accepted with problems.
    pub(crate) refused: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn total(&self) -> u64 {
        self.taken + self.refused + self.failed
    }
}

/// The current or next input, and the outcomes of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Index over all parsers.
    pub(crate) next: u64,
    /// Outcomes by parser.
    pub(crate) counts: Vec<Counts>,
}

impl Progress {
    pub(crate) fn new(first: u64, num_parsers: usize) -> Progress {
        Progress {
            next: first,
            counts: vec![Counts::default(); num_parsers],
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let counts = self.counts.iter();
        let numbers = counts.flat_map(|it| [it.taken, it.refused, it.failed]);
        std::iter::once(self.next)
            .chain(numbers)
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    pub(crate) fn read(path: &Path) -> Result<Progress> {
        let bytes = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let numbers = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|n| u64::from_le_bytes(*n));
        let numbers: Vec<u64> = numbers.collect();
        let (next, rest) = numbers.split_first().context("an empty progress file")?;
        let counts = rest.as_chunks::<3>().0.iter();
        Ok(Progress {
            next: *next,
            counts: counts
                .map(|&[taken, refused, failed]| Counts {
                    taken,
                    refused,
                    failed,
                })
                .collect(),
        })
    }
}
