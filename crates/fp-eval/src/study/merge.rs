//! Merging the shards of a run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::StudyError;
use super::folder::{SPEC_FILE, TIMINGS_FILE, changes, read_spec, write_spec};
use super::records::{Counted, Records, RecordsWriter, Stored, count_records};
use super::spec::{FORMAT, RunSpec};
use super::static_heads::{STATIC_HEADS_FILE, StaticHeads};

/// Location of a record.
#[derive(Debug, Clone, Copy)]
struct RecordPosition {
    shard: usize,
    /// Index of the part within the shard's records.
    part: usize,
    place: usize,
}

/// Largest number of parts held at one time, enough for one part each of as many shards.
const MOST_HELD: usize = 256;

/// Merges shards of one run into a new folder, whose content then equals that of the run without
/// shards, for any order of the shards. Samples that are in several shards must be equal in all of
/// them. Returns the number of samples.
///
/// # Errors
/// Shards of different runs, samples that differ or are missing, a damaged line, a folder that
/// isn't new.
pub fn merge(output: &Path, shards: &[PathBuf]) -> Result<usize, StudyError> {
    let specs = shards
        .iter()
        .map(|shard| read_spec(shard))
        .collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(first_shard)) = (specs.first(), shards.first()) else {
        return Err(StudyError::Setting {
            what: "shards",
            found: "none".to_owned(),
            expected: "at least one run's folder".to_owned(),
        });
    };
    for (spec, shard) in specs.iter().zip(shards) {
        check_same(first, first_shard, spec, shard)?;
    }
    check_sharing(&specs, shards)?;
    let mut reader = Reader::open(&specs, shards)?;
    let (places, order) = reader.places()?;
    if let Some(missing) = (0..first.num_samples).find(|index| !places.contains_key(index)) {
        return Err(StudyError::Incomplete {
            missing: first.num_samples - places.len(),
            expected: first.num_samples,
            first: missing,
            holes: holes(&specs, shards)?,
        });
    }
    start(output)?;
    let mut writer = RecordsWriter::create(output)?;
    for index in order {
        if let Some(place) = places.get(&index) {
            writer.push_stored(reader.stored(*place)?.clone())?;
        }
    }
    writer.finish()?;
    merge_timings(output, shards)?;
    merge_static_heads(output, shards)?;
    write_spec(
        output,
        &RunSpec {
            format: FORMAT,
            shard: None,
            shard_plan: None,
            ..first.clone()
        },
    )?;
    Ok(places.len())
}

fn check_same(
    first: &RunSpec,
    first_shard: &Path,
    spec: &RunSpec,
    shard: &Path,
) -> Result<(), StudyError> {
    let refuse = |reason: String| StudyError::Merge {
        first: first_shard.to_owned(),
        second: shard.to_owned(),
        reason,
    };
    let whole = |spec: &RunSpec| RunSpec {
        shard: None,
        shard_plan: None,
        ..spec.clone()
    };
    let changes =
        changes(&whole(first), &whole(spec)).map_err(StudyError::json(shard.join(SPEC_FILE)))?;
    if !changes.is_empty() {
        return Err(refuse(format!("the second has {}", changes.join(", "))));
    }
    if first.accepted_changes != spec.accepted_changes {
        return Err(refuse("changes were accepted in one of them".to_owned()));
    }
    if first.grid != spec.grid || first.num_samples != spec.num_samples {
        return Err(refuse("they have different cells or samples".to_owned()));
    }
    Ok(())
}

/// Refuses shards whose images were assigned by different rules: together they would lack samples
/// or have them twice.
fn check_sharing(specs: &[RunSpec], shards: &[PathBuf]) -> Result<(), StudyError> {
    let rule = |spec: &RunSpec| spec.shard_plan.map(|plan| (plan.rule, plan.total_cost));
    let mut shards = specs
        .iter()
        .zip(shards)
        .filter(|(spec, _)| spec.shard.is_some());
    let Some((first, first_shard)) = shards.next() else {
        return Ok(());
    };
    match shards.find(|(spec, _)| rule(spec) != rule(first)) {
        None => Ok(()),
        Some((_, shard)) => Err(StudyError::Merge {
            first: first_shard.clone(),
            second: shard.clone(),
            reason: "their images were assigned to shards by different rules; run the shards of \
                     one study with one version of the program"
                .to_owned(),
        }),
    }
}

/// Shards that are missing or unfinished, in words.
fn holes(specs: &[RunSpec], shards: &[PathBuf]) -> Result<Vec<String>, StudyError> {
    let mut holes = Vec::new();
    let count = specs
        .iter()
        .filter_map(|spec| spec.shard)
        .map(|s| s.count)
        .max();
    for index in 1..=count.unwrap_or(0) {
        let of_shard: Vec<_> = specs
            .iter()
            .zip(shards)
            .filter(|(spec, _)| spec.shard.is_some_and(|shard| shard.index == index))
            .collect();
        let mut is_short = true;
        let mut found = Vec::new();
        for (spec, shard) in of_shard {
            let done = count_records(shard, Counted::default())?.lines as usize;
            let total = spec.shard_plan.map(|plan| plan.num_samples);
            is_short &= total.is_some_and(|total| done < total);
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            found.push(format!("{done}{of} in {}", shard.display()));
        }
        if is_short {
            let count = count.unwrap_or(0);
            let found = match found.is_empty() {
                true => "is not among them".to_owned(),
                false => format!("has {}", found.join(" and ")),
            };
            holes.push(format!("shard {index}/{count} {found}"));
        }
    }
    Ok(holes)
}

/// Reads the records of shards.
struct Reader<'a> {
    shards: &'a [PathBuf],
    specs: &'a [RunSpec],
    records: Vec<Records>,
    /// Parts that were read, by shard and part, each with the time of its last use.
    held: BTreeMap<(usize, usize), (u64, Vec<Stored>)>,
    looks: u64,
}

impl Reader<'_> {
    fn open<'a>(specs: &'a [RunSpec], shards: &'a [PathBuf]) -> Result<Reader<'a>, StudyError> {
        let records = shards.iter().map(|shard| Records::open(shard));
        Ok(Reader {
            shards,
            specs,
            records: records.collect::<Result<_, _>>()?,
            held: BTreeMap::new(),
            looks: 0,
        })
    }

    fn stored(&mut self, place: RecordPosition) -> Result<&Stored, StudyError> {
        let key = (place.shard, place.part);
        if !self.held.contains_key(&key) {
            if self.held.len() >= MOST_HELD {
                let longest = self.held.iter().min_by_key(|(_, (look, _))| *look);
                let longest = longest.map(|(key, _)| *key);
                longest.and_then(|key| self.held.remove(&key));
            }
            let part = self.records[place.shard].stored(place.part)?;
            self.held.insert(key, (0, part));
        }
        self.looks += 1;
        let looks = self.looks;
        let missing = || StudyError::Content {
            path: self.shards[place.shard].clone(),
            reason: "records have been removed from it".to_owned(),
        };
        let (look, part) = self.held.get_mut(&key).ok_or_else(missing)?;
        *look = looks;
        part.get(place.place).ok_or_else(missing)
    }

    /// The location of each sample's record, and the order in which a single run records them.
    ///
    /// A shard holds whole images in order. So a sample's place in the whole run follows from its
    /// image's first sample, which is followed by the image's other records.
    fn places(&mut self) -> Result<(HashMap<usize, RecordPosition>, Vec<usize>), StudyError> {
        let mut places: HashMap<usize, RecordPosition> = HashMap::new();
        let mut images: HashMap<(usize, String), Vec<usize>> = HashMap::new();
        for shard in 0..self.shards.len() {
            for part in 0..self.records[shard].num_parts() {
                // Each part is checked against the run before it is used.
                let records = self.records[shard].part(&self.specs[shard], part)?;
                for (place, record) in records.into_iter().enumerate() {
                    let place = RecordPosition { shard, part, place };
                    let Some(other) = places.get(&record.index).copied() else {
                        places.insert(record.index, place);
                        let image = match record.image.as_str() {
                            // A text-only question is a group of its own; no path begins with this
                            // character.
                            "" => format!("\0{}", record.index),
                            _ => record.image,
                        };
                        let image = images.entry((record.dataset, image)).or_default();
                        image.push(record.index);
                        continue;
                    };
                    let known = self.stored(other)?.clone();
                    if *self.stored(place)? != known {
                        return Err(StudyError::Merge {
                            first: self.shards[other.shard].clone(),
                            second: self.shards[shard].clone(),
                            reason: format!("sample {} differs", record.index),
                        });
                    }
                }
            }
        }
        let mut groups: Vec<Vec<usize>> = images.into_values().collect();
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort_unstable();
        Ok((places, groups.concat()))
    }
}

fn start(output: &Path) -> Result<(), StudyError> {
    fs::create_dir_all(output).map_err(StudyError::io("create", output))?;
    let mut entries = fs::read_dir(output).map_err(StudyError::io("read", output))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(StudyError::NotARun {
            path: output.to_owned(),
        }),
    }
}

/// Merges the heads of static variants, which must be equal in all shards.
fn merge_static_heads(output: &Path, shards: &[PathBuf]) -> Result<(), StudyError> {
    let mut known: Option<(&PathBuf, StaticHeads)> = None;
    for shard in shards {
        let Some(heads) = StaticHeads::read(shard)? else {
            continue;
        };
        match &known {
            Some((first, other)) if *other != heads => {
                return Err(StudyError::Merge {
                    first: (*first).clone(),
                    second: shard.clone(),
                    reason: format!("their {STATIC_HEADS_FILE} differ"),
                });
            }
            Some(_) => {}
            None => known = Some((shard, heads)),
        }
    }
    known.map_or(Ok(()), |(_, heads)| heads.write(output))
}

/// Concatenates the timings of the shards that have them.
fn merge_timings(output: &Path, shards: &[PathBuf]) -> Result<(), StudyError> {
    let path = output.join(TIMINGS_FILE);
    let mut all = Vec::new();
    for shard in shards {
        let from = shard.join(TIMINGS_FILE);
        if from.is_file() {
            let bytes = fp_scoring::read_file(&from).map_err(StudyError::io("read", &from))?;
            let whole = bytes
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            all.extend_from_slice(&bytes[..whole]);
        }
    }
    fs::write(&path, all).map_err(StudyError::io("write", path))
}
