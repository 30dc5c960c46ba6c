//! Records in another order than that of running, such as by index, a few at a time.
//!
//! Questions on one image are recorded together even if they are far apart in the dataset, so the
//! records of consecutive samples may be in any blocks. To decompress each block only a few times,
//! many samples are fetched at once: their JSON is held in memory and decoded when it is their
//! turn.

use std::collections::{BTreeMap, VecDeque};

use rayon::prelude::*;

use super::block::Stored;
use super::{Records, SAMPLES};
use crate::study::error::StudyError;
use crate::study::record::SampleRecord;
use crate::study::spec::RunSpec;

/// Bytes of JSON to hold if samples are requested in the order of recording.
const IN_ORDER: usize = 32 << 20;
/// Bytes of JSON to hold for any other order.
const OUT_OF_ORDER: usize = 256 << 20;
/// Number of records that are decoded at one time.
const AT_ONCE: usize = 8 * SAMPLES;

/// Location of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordPosition {
    pub(super) part: usize,
    pub(super) place: usize,
}

/// Records of a run in a given order.
#[derive(Debug)]
pub struct Ordered<'a> {
    records: &'a Records,
    spec: &'a RunSpec,
    /// Locations of all requested records, in order.
    places: Vec<RecordPosition>,
    /// Number of those that have been fetched.
    next: usize,
    held: VecDeque<(RecordPosition, Stored)>,
    most_held: usize,
}

impl<'a> Ordered<'a> {
    pub(super) fn new(
        records: &'a Records,
        spec: &'a RunSpec,
        places: Vec<RecordPosition>,
    ) -> Ordered<'a> {
        let bytes = if places.is_sorted() {
            IN_ORDER
        } else {
            OUT_OF_ORDER
        };
        Ordered {
            records,
            spec,
            places,
            next: 0,
            held: VecDeque::new(),
            most_held: (bytes / records.mean_bytes().max(1)).max(AT_ONCE),
        }
    }

    /// The next records, as many as are decoded at one time; empty at the end.
    ///
    /// # Errors
    /// Damaged parts, or records that can't belong to this run.
    pub fn next_records(&mut self) -> Result<Vec<SampleRecord>, StudyError> {
        if self.held.len() < AT_ONCE {
            self.look_further()?;
        }
        let now: Vec<_> = self.held.drain(..AT_ONCE.min(self.held.len())).collect();
        let decoded = now.par_iter().map(|(at, stored)| {
            let record = super::record_of(self.spec, stored);
            record.map_err(|source| self.records.error(at.part, at.place, source))
        });
        decoded.collect()
    }

    fn look_further(&mut self) -> Result<(), StudyError> {
        let wanted = self.places[self.next..].iter().take(self.most_held);
        let wanted: Vec<RecordPosition> = wanted.copied().collect();
        self.next += wanted.len();
        let mut by_part: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (turn, at) in wanted.iter().enumerate() {
            by_part.entry(at.part).or_default().push((turn, at.place));
        }
        let found = by_part.into_par_iter().map(|(part, of_part)| {
            let stored = self.records.stored(part)?;
            let of_part = of_part
                .into_iter()
                .filter_map(|(turn, place)| Some((turn, stored.get(place)?.clone())));
            Ok(of_part.collect::<Vec<_>>())
        });
        let found = found.collect::<Result<Vec<_>, StudyError>>()?;
        let mut found: Vec<(usize, Stored)> = found.into_iter().flatten().collect();
        found.sort_unstable_by_key(|(turn, _)| *turn);
        let found = found
            .into_iter()
            .map(|(turn, stored)| (wanted[turn], stored));
        self.held.extend(found);
        Ok(())
    }
}
