//! A run's folder: `run.json`, `records.jsonl`, `timings.jsonl`.

mod lines;
mod lock;
mod resume;
mod valid;

pub(crate) use lines::for_each_line;
pub use lock::{LOCK_FILE, LockHolder, read_lock};
pub(crate) use resume::{changes, index_of};

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::lines::drop_torn_line;
use self::lock::Lock;
use self::resume::{go_on, scan};
use self::valid::{check_record, check_spec};
use super::error::StudyError;
use super::line::{self, LineError};
use super::record::SampleRecord;
use super::spec::{FORMAT, RunSpec};
use super::timings::TimingRecord;

/// What a run is of.
pub const SPEC_FILE: &str = "run.json";

/// One line per sample.
pub const RECORDS_FILE: &str = "records.jsonl";

/// What the stages took; differs from run to run.
pub const TIMINGS_FILE: &str = "timings.jsonl";

/// A run's folder, open for writing by this program alone.
#[derive(Debug)]
pub(crate) struct RunFolder {
    records_path: PathBuf,
    records: File,
    /// Bytes of whole lines.
    len: u64,
    timings_path: PathBuf,
    timings: File,
    /// Records that are there already.
    pub(crate) num_done: usize,
    _lock: Lock,
}

impl RunFolder {
    /// Starts a run in a new or empty folder, or resumes the one that lies
    /// there. `order` are the samples of the run in the order of recording.
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
        let records_path = path.join(RECORDS_FILE);
        let mut records = open_growing(&records_path)?;
        match old {
            None => write_spec(path, spec)?,
            Some(old) => go_on(path, &old, spec, accept_changes)?,
        }
        let (num_done, len) = scan(&records_path, &mut records, order)?;
        records
            .set_len(len)
            .map_err(StudyError::io("write", &records_path))?;
        records
            .seek(SeekFrom::End(0))
            .map_err(StudyError::io("read", &records_path))?;
        let timings_path = path.join(TIMINGS_FILE);
        let mut timings = open_growing(&timings_path)?;
        drop_torn_line(&mut timings).map_err(StudyError::io("write", &timings_path))?;
        Ok(RunFolder {
            records_path,
            records,
            len,
            timings_path,
            timings,
            num_done,
            _lock: lock,
        })
    }

    /// Appends records and what they took. Either all lines are written, or the
    /// file ends with whole lines as before.
    pub(crate) fn append(
        &mut self,
        records: &[SampleRecord],
        timings: &[TimingRecord],
    ) -> Result<(), StudyError> {
        let mut lines = Vec::new();
        for record in records {
            let line = line::encode(record).map_err(StudyError::json(&self.records_path))?;
            lines.extend(line);
        }
        if let Err(error) = self.records.write_all(&lines) {
            // What can't be cut off now is a torn line, and is dropped on going on.
            let _ = self.records.set_len(self.len);
            return Err(StudyError::io("write", &self.records_path)(error));
        }
        self.len += lines.len() as u64;
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

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), StudyError> {
        self.records
            .sync_data()
            .map_err(StudyError::io("write", &self.records_path))
    }
}

/// Reads what a run is of.
///
/// # Errors
/// No such file, one of another version, or one that contradicts itself.
pub fn read_spec(folder: &Path) -> Result<RunSpec, StudyError> {
    let path = folder.join(SPEC_FILE);
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
    if version.format != FORMAT {
        return Err(wrong(format!(
            "format {}, this program reads format {FORMAT}",
            version.format
        )));
    }
    let spec: RunSpec = serde_json::from_slice(&bytes).map_err(StudyError::json(&path))?;
    check_spec(&spec).map_err(wrong)?;
    Ok(spec)
}

/// Reads every record of a run, in the order of the file. A last line that was
/// torn off is left out.
///
/// # Errors
/// A file that can't be read, or the first line that is damaged or can't be of this run.
pub fn read_records(folder: &Path) -> Result<Vec<SampleRecord>, StudyError> {
    let spec = read_spec(folder)?;
    let mut records = Vec::new();
    for_each_line(&folder.join(RECORDS_FILE), |_, line| {
        let record = line::decode(line)?;
        check_record(&spec, &record).map_err(|reason| LineError::Value { reason })?;
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}

/// Reads what the stages of a run took; lines that can't be read are left out.
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

/// How far a growing file of lines was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Whole lines.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts the records of a run, on from where they were counted `before`; anew where the
/// file has become shorter. A run that has none yet has 0.
///
/// # Errors
/// A file that can't be read.
pub fn count_records(folder: &Path, before: Counted) -> Result<Counted, StudyError> {
    let path = folder.join(RECORDS_FILE);
    let mut file = match fp_scoring::open_file(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Counted::default()),
        Err(error) => return Err(StudyError::io("read", path)(error)),
    };
    let mut count = || {
        let len = file.metadata()?.len();
        let before = if len < before.bytes {
            Counted::default()
        } else {
            before
        };
        file.seek(SeekFrom::Start(before.bytes))?;
        let (mut lines, mut at, mut end) = (0, 0, 0);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(Counted {
                    lines: before.lines + lines,
                    bytes: before.bytes + end,
                });
            }
            for (offset, byte) in buffer[..read].iter().enumerate() {
                if *byte == b'\n' {
                    lines += 1;
                    end = at + offset as u64 + 1;
                }
            }
            at += read as u64;
        }
    };
    count().map_err(StudyError::io("read", path))
}

/// Writes a file whole or not at all: beside its place, and then moved there, which is
/// atomic on network file systems too.
///
/// # Errors
/// A file that can't be written; what was there before stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StudyError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&part);
        StudyError::io("write", path)(error)
    })
}

pub(crate) fn write_spec(folder: &Path, spec: &RunSpec) -> Result<(), StudyError> {
    write_json(&folder.join(SPEC_FILE), spec)
}

/// Writes a value as indented JSON, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StudyError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(StudyError::json(path))?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// Only what a run that was cut off before its first line leaves behind may lie there.
fn is_empty(path: &Path) -> Result<bool, StudyError> {
    for entry in fs::read_dir(path).map_err(StudyError::io("read", path))? {
        let entry = entry.map_err(StudyError::io("read", path))?;
        let name = entry.file_name();
        let is_ours =
            name == *RECORDS_FILE || name == *LOCK_FILE || name.to_str() == Some("run.json.part");
        let len = entry
            .metadata()
            .map_err(StudyError::io("read", path))?
            .len();
        if !is_ours || (name == *RECORDS_FILE && len > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open_growing(path: &Path) -> Result<File, StudyError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StudyError::io("open", path))
}
