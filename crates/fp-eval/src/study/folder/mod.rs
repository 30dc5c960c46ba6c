//! A run's folder: `run.json`, its records, `timings.jsonl`.

mod lock;
mod resume;

pub use lock::{LOCK_FILE, LockHolder, read_lock};
pub(crate) use resume::changes;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::lock::Lock;
use self::resume::go_on;
use super::error::StudyError;
use super::files::{open_growing, write_json};
use super::lines::drop_torn_line;
use super::record::SampleRecord;
use super::records::{BLOCKS_FILE, GrowingRecords, RECORDS_FILE, Records, Stored};
use super::spec::{FORMAT, OLDEST_FORMAT, RunSpec};
use super::timings::TimingRecord;
use super::valid::check_spec;

/// Name of the file that specifies a run.
pub const SPEC_FILE: &str = "run.json";

/// Name of the file with stage timings, which differ from run to run.
pub const TIMINGS_FILE: &str = "timings.jsonl";

/// A run's folder, open for exclusive writing.
#[derive(Debug)]
pub(crate) struct RunFolder {
    records: GrowingRecords,
    timings_path: PathBuf,
    timings: File,
    /// Number of records that already exist.
    pub(crate) num_done: usize,
    _lock: Lock,
}

impl RunFolder {
    /// Starts a run in a new or empty folder, or resumes the one that exists there. `order` lists
    /// the run's samples in the order of recording.
    pub(crate) fn open(
        path: &Path,
        spec: &RunSpec,
        order: &[usize],
        accept_changes: bool,
    ) -> Result<RunFolder, StudyError> {
        fs::create_dir_all(path).map_err(StudyError::io("create", path))?;
        let lock = Lock::take(path)?;
        let spec_path = path.join(SPEC_FILE);
        let old = if spec_path.is_file() {
            Some(read_spec(path)?)
        } else if is_empty(path)? {
            None
        } else {
            return Err(StudyError::NotARun {
                path: path.to_owned(),
            });
        };
        match old {
            None => write_spec(path, spec)?,
            Some(old) => {
                go_on(path, &old, spec, accept_changes)?;
                // Before the first block, since earlier versions of the program can't read blocks.
                if old.format != FORMAT {
                    let mut spec = read_spec(path)?;
                    spec.format = FORMAT;
                    write_spec(path, &spec)?;
                }
            }
        }
        let records = GrowingRecords::open(path, order)?;
        let timings_path = path.join(TIMINGS_FILE);
        let mut timings = open_growing(&timings_path)?;
        drop_torn_line(&mut timings).map_err(StudyError::io("write", &timings_path))?;
        Ok(RunFolder {
            num_done: records.num_samples(),
            records,
            timings_path,
            timings,
            _lock: lock,
        })
    }

    /// Appends records and their timings. If that fails, the recorded ones are complete, and are
    /// the first ones.
    pub(crate) fn append(
        &mut self,
        records: &[SampleRecord],
        timings: &[TimingRecord],
    ) -> Result<(), StudyError> {
        let stored = records.iter().map(|record| {
            Ok(Stored {
                index: record.index,
                content: serde_json::to_vec(record).map_err(StudyError::json(RECORDS_FILE))?,
            })
        });
        self.records
            .append(stored.collect::<Result<_, StudyError>>()?)?;
        let mut lines = Vec::new();
        for timing in timings {
            if serde_json::to_writer(&mut lines, timing).is_ok() {
                lines.push(b'\n');
            }
        }
        self.timings
            .write_all(&lines)
            .map_err(StudyError::io("write", &self.timings_path))
    }

    /// Waits until everything is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), StudyError> {
        self.records.sync()
    }

    /// Closes the records of a complete run.
    pub(crate) fn finish(&mut self) -> Result<(), StudyError> {
        self.records.finish()
    }
}

/// Reads the specification of a run.
///
/// # Errors
/// A missing folder or file, one of another version, or one that contradicts itself.
pub fn read_spec(folder: &Path) -> Result<RunSpec, StudyError> {
    let path = folder.join(SPEC_FILE);
    if matches!(path.try_exists(), Ok(false)) {
        return Err(StudyError::NoRun {
            path: folder.to_owned(),
        });
    }
    let bytes = fp_scoring::read_file(&path).map_err(StudyError::io("read", &path))?;
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |reason: String| StudyError::Content {
        path: path.clone(),
        reason,
    };
    let version: Version = serde_json::from_slice(&bytes).map_err(StudyError::json(&path))?;
    if !(OLDEST_FORMAT..=FORMAT).contains(&version.format) {
        return Err(wrong(format!(
            "format {}, this program reads formats {OLDEST_FORMAT} to {FORMAT}",
            version.format
        )));
    }
    let spec: RunSpec = serde_json::from_slice(&bytes).map_err(StudyError::json(&path))?;
    check_spec(&spec).map_err(wrong)?;
    Ok(spec)
}

/// Reads all records of a run into memory, in the order of running; suitable for small runs only,
/// otherwise use [`Records::stream`]. A torn last line or block is omitted.
///
/// # Errors
/// A file that can't be read, or the first record that is damaged or can't belong to this run.
pub fn read_records(folder: &Path) -> Result<Vec<SampleRecord>, StudyError> {
    let spec = read_spec(folder)?;
    let mut all = Vec::new();
    Records::open(folder)?.stream(&spec, |records| {
        all.extend(records);
        Ok::<_, StudyError>(())
    })?;
    Ok(all)
}

/// Reads the stage timings of a run; lines that can't be read are omitted.
///
/// # Errors
/// A file that can't be read.
pub fn read_timings(folder: &Path) -> Result<Vec<TimingRecord>, StudyError> {
    let path = folder.join(TIMINGS_FILE);
    let text = fp_scoring::read_file(&path).map_err(StudyError::io("read", &path))?;
    Ok(text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

pub(crate) fn write_spec(folder: &Path, spec: &RunSpec) -> Result<(), StudyError> {
    write_json(&folder.join(SPEC_FILE), spec)
}

/// Whether the folder contains nothing except leftovers of a run that was interrupted before its
/// first line.
fn is_empty(path: &Path) -> Result<bool, StudyError> {
    for entry in fs::read_dir(path).map_err(StudyError::io("read", path))? {
        let entry = entry.map_err(StudyError::io("read", path))?;
        let name = entry.file_name();
        let is_record = name == *RECORDS_FILE || name == *BLOCKS_FILE;
        let is_ours = is_record || name == *LOCK_FILE || name.to_str() == Some("run.json.part");
        let len = entry
            .metadata()
            .map_err(StudyError::io("read", path))?
            .len();
        if !is_ours || (is_record && len > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
