//! Putting the pieces of a run together.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::StudyError;
use super::folder::{
    Counted, RECORDS_FILE, SPEC_FILE, TIMINGS_FILE, changes, count_records, for_each_line,
    index_of, read_spec, write_spec,
};
use super::line::LineError;
use super::spec::RunSpec;
use super::static_heads::{STATIC_HEADS_FILE, StaticHeads};

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    piece: usize,
    offset: u64,
    len: usize,
}

/// Puts pieces of one run together in a new folder, which then holds what the run
/// in one piece holds, whatever the order of the pieces. Samples that are in
/// several pieces have to be the same in each. Returns the number of samples.
///
/// # Errors
/// Pieces of different runs, samples that differ or are in none of them, a damaged
/// line, a folder that isn't new.
pub fn merge(output: &Path, pieces: &[PathBuf]) -> Result<usize, StudyError> {
    let specs = pieces
        .iter()
        .map(|piece| read_spec(piece))
        .collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(first_piece)) = (specs.first(), pieces.first()) else {
        return Err(StudyError::Setting {
            what: "pieces",
            found: "none".to_owned(),
            expected: "at least one run's folder".to_owned(),
        });
    };
    for (spec, piece) in specs.iter().zip(pieces) {
        check_same(first, first_piece, spec, piece)?;
    }
    check_sharing(&specs, pieces)?;
    let mut files = pieces
        .iter()
        .map(|piece| {
            let path = piece.join(RECORDS_FILE);
            fp_scoring::open_file(&path).map_err(StudyError::io("read", path))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (places, order) = places(pieces, &mut files)?;
    if let Some(missing) = (0..first.num_samples).find(|index| !places.contains_key(index)) {
        return Err(StudyError::Incomplete {
            missing: first.num_samples - places.len(),
            expected: first.num_samples,
            first: missing,
            holes: holes(&specs, pieces)?,
        });
    }
    start(output)?;
    let path = output.join(RECORDS_FILE);
    let file = File::create(&path).map_err(StudyError::io("create", &path))?;
    let mut writer = BufWriter::new(file);
    for index in order {
        let Some(place) = places.get(&index) else {
            continue;
        };
        let mut line = read_line(&mut files[place.piece], *place)
            .map_err(StudyError::io("read", &pieces[place.piece]))?;
        line.push(b'\n');
        writer
            .write_all(&line)
            .map_err(StudyError::io("write", &path))?;
    }
    writer.flush().map_err(StudyError::io("write", &path))?;
    merge_timings(output, pieces)?;
    merge_static_heads(output, pieces)?;
    write_spec(
        output,
        &RunSpec {
            shard: None,
            shard_plan: None,
            ..first.clone()
        },
    )?;
    Ok(places.len())
}

fn check_same(
    first: &RunSpec,
    first_piece: &Path,
    spec: &RunSpec,
    piece: &Path,
) -> Result<(), StudyError> {
    let refuse = |reason: String| StudyError::Merge {
        first: first_piece.to_owned(),
        second: piece.to_owned(),
        reason,
    };
    let whole = |spec: &RunSpec| RunSpec {
        shard: None,
        shard_plan: None,
        ..spec.clone()
    };
    let changes =
        changes(&whole(first), &whole(spec)).map_err(StudyError::json(piece.join(SPEC_FILE)))?;
    if !changes.is_empty() {
        return Err(refuse(format!("the second has {}", changes.join(", "))));
    }
    if first.accepted_changes != spec.accepted_changes {
        return Err(refuse("changes were accepted in one of them".to_owned()));
    }
    if first.grid != spec.grid || first.num_samples != spec.num_samples {
        return Err(refuse("they have other cells or samples".to_owned()));
    }
    Ok(())
}

/// Refuses shards whose images were assigned by different rules: together they would lack
/// samples, or have them twice.
fn check_sharing(specs: &[RunSpec], pieces: &[PathBuf]) -> Result<(), StudyError> {
    let rule = |spec: &RunSpec| spec.shard_plan.map(|plan| (plan.rule, plan.total_cost));
    let mut shards = specs
        .iter()
        .zip(pieces)
        .filter(|(spec, _)| spec.shard.is_some());
    let Some((first, first_piece)) = shards.next() else {
        return Ok(());
    };
    match shards.find(|(spec, _)| rule(spec) != rule(first)) {
        None => Ok(()),
        Some((_, piece)) => Err(StudyError::Merge {
            first: first_piece.clone(),
            second: piece.clone(),
            reason: "their images were assigned to shards by different rules; run the shards of \
                     one study with one version of the program"
                .to_owned(),
        }),
    }
}

/// Shards that aren't among the pieces or aren't finished, in words.
fn holes(specs: &[RunSpec], pieces: &[PathBuf]) -> Result<Vec<String>, StudyError> {
    let mut holes = Vec::new();
    let count = specs
        .iter()
        .filter_map(|spec| spec.shard)
        .map(|s| s.count)
        .max();
    for index in 1..=count.unwrap_or(0) {
        let of_shard: Vec<_> = specs
            .iter()
            .zip(pieces)
            .filter(|(spec, _)| spec.shard.is_some_and(|shard| shard.index == index))
            .collect();
        let mut is_short = true;
        let mut found = Vec::new();
        for (spec, piece) in of_shard {
            let done = count_records(piece, Counted::default())?.lines as usize;
            let total = spec.shard_plan.map(|plan| plan.num_samples);
            is_short &= total.is_some_and(|total| done < total);
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            found.push(format!("{done}{of} in {}", piece.display()));
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

/// Where each sample's record lies, and the order in which one run records them.
///
/// A piece holds whole images, images in order, so a sample's place in the
/// whole follows from its image's first sample, which every record of the image
/// comes right behind.
fn places(
    pieces: &[PathBuf],
    files: &mut [File],
) -> Result<(HashMap<usize, Place>, Vec<usize>), StudyError> {
    let mut places: HashMap<usize, Place> = HashMap::new();
    let mut images: HashMap<(usize, String), Vec<usize>> = HashMap::new();
    for (number, piece) in pieces.iter().enumerate() {
        let path = piece.join(RECORDS_FILE);
        let mut offset = 0;
        let mut found = Vec::new();
        for_each_line(&path, |_, line| {
            let index = index_of(line)?;
            let (dataset, mut image) = image_of(line)?;
            if image.is_empty() {
                // A text-only question shares nothing; no path begins like this.
                image = format!("\0{index}");
            }
            found.push((index, dataset, image, offset, line.len()));
            offset += line.len() as u64 + 1;
            Ok(())
        })?;
        for (index, dataset, image, offset, len) in found {
            let place = Place {
                piece: number,
                offset,
                len,
            };
            match places.get(&index).copied() {
                None => {
                    places.insert(index, place);
                    images.entry((dataset, image)).or_default().push(index);
                }
                Some(other) => {
                    let [a, b] = [other, place].map(|place| {
                        read_line(&mut files[place.piece], place)
                            .map_err(StudyError::io("read", &pieces[place.piece]))
                    });
                    if a? != b? {
                        return Err(StudyError::Merge {
                            first: pieces[other.piece].clone(),
                            second: piece.clone(),
                            reason: format!("sample {index} differs"),
                        });
                    }
                }
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = images.into_values().collect();
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_unstable();
    Ok((places, groups.concat()))
}

fn image_of(line: &[u8]) -> Result<(usize, String), LineError> {
    #[derive(serde::Deserialize)]
    struct Image {
        dataset: usize,
        image: String,
    }
    let content = super::line::content(line)?;
    let image: Image = serde_json::from_slice(content)?;
    Ok((image.dataset, image.image))
}

fn read_line(file: &mut File, place: Place) -> std::io::Result<Vec<u8>> {
    let mut line = vec![0; place.len];
    file.seek(SeekFrom::Start(place.offset))?;
    file.read_exact(&mut line)?;
    Ok(line)
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

/// The heads of static variants, which every shard has ranked alike.
fn merge_static_heads(output: &Path, pieces: &[PathBuf]) -> Result<(), StudyError> {
    let mut known: Option<(&PathBuf, StaticHeads)> = None;
    for piece in pieces {
        let Some(heads) = StaticHeads::read(piece)? else {
            continue;
        };
        match &known {
            Some((first, other)) if *other != heads => {
                return Err(StudyError::Merge {
                    first: (*first).clone(),
                    second: piece.clone(),
                    reason: format!("their {STATIC_HEADS_FILE} differ"),
                });
            }
            Some(_) => {}
            None => known = Some((piece, heads)),
        }
    }
    known.map_or(Ok(()), |(_, heads)| heads.write(output))
}

/// Timings one after the other; pieces without any have none.
fn merge_timings(output: &Path, pieces: &[PathBuf]) -> Result<(), StudyError> {
    let path = output.join(TIMINGS_FILE);
    let mut all = Vec::new();
    for piece in pieces {
        let from = piece.join(TIMINGS_FILE);
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
