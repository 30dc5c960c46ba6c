//! Who writes to a run's folder: a file that only one program can create.
//!
//! Advisory locks (`flock`, `fcntl`) are missing or local to one host on many network file
//! systems. Creating a file that must not exist (`O_EXCL`) is atomic on NFS since version 3
//! and on Lustre. The file names its writer, so that one that was left behind by a program
//! that was killed is recognised: at once on the same host, and on another host where the
//! scheduler says that it ran the same task before.

mod holder;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::study::error::StudyError;
use holder::Life;
pub use holder::LockHolder;

/// The lock of a run's folder.
pub const LOCK_FILE: &str = "run.lock";

/// How long a lock may be empty: from its creation until its writer is named in it.
const NAMING: Duration = Duration::from_secs(5);

/// A folder that this program alone writes to, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    content: Vec<u8>,
}

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// Another program has it ([`StudyError::Busy`]), or one that can't be looked at from
    /// here ([`StudyError::Locked`]); a file that can't be written.
    pub(crate) fn take(folder: &Path) -> Result<Lock, StudyError> {
        let path = folder.join(LOCK_FILE);
        let holder = LockHolder::current();
        let mut content = serde_json::to_vec(&holder).map_err(StudyError::json(&path))?;
        content.push(b'\n');
        // A lock of a program that ended is taken over once; a second one is a rival's.
        for _ in 0..2 {
            if create(&path, &content)? {
                return Ok(Lock { path, content });
            }
            let Some(found) = read_named(folder)? else {
                continue;
            };
            match found.holder.as_ref().map(|other| other.life(&holder)) {
                Some(Life::Ended) => remove_stale(&path, &found.bytes, &content)?,
                life => return Err(refusal(folder, &path, found.holder, life)),
            }
        }
        Err(StudyError::Busy {
            path: folder.to_owned(),
            holder: "a program that has just started".to_owned(),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Somebody may have deleted it by hand, and another program taken it.
        if fs::read(&self.path).is_ok_and(|content| content == self.content) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn refusal(
    folder: &Path,
    path: &Path,
    holder: Option<LockHolder>,
    life: Option<Life>,
) -> StudyError {
    let named = holder.map_or("a program that it doesn't name".to_owned(), |holder| {
        holder.to_string()
    });
    if life == Some(Life::Running) {
        return StudyError::Busy {
            path: folder.to_owned(),
            holder: named,
        };
    }
    StudyError::Locked {
        path: folder.to_owned(),
        lock: path.to_owned(),
        holder: named,
    }
}

/// Creates the lock with its content; false where there is one.
fn create(path: &Path, content: &[u8]) -> Result<bool, StudyError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(StudyError::io("create", path)(error)),
    };
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        StudyError::io("write", path)(error)
    })?;
    Ok(true)
}

/// Removes a lock that was left behind, if it is still the one that was judged. Programs that
/// find it at the same time take turns by a lock of its own.
fn remove_stale(path: &Path, judged: &[u8], content: &[u8]) -> Result<(), StudyError> {
    let mut turn = path.as_os_str().to_owned();
    turn.push(".takeover");
    let turn = PathBuf::from(turn);
    if !create(&turn, content)? {
        return Err(StudyError::Busy {
            path: path.to_owned(),
            holder: format!(
                "a program that is taking over a lock; if none is, delete {}",
                turn.display()
            ),
        });
    }
    let removed = match fs::read(path) {
        Ok(found) if found == judged => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    let _ = fs::remove_file(&turn);
    removed.map_err(StudyError::io("remove", path))
}

/// Who holds the lock of a folder; none where nobody does, or it names nobody.
///
/// # Errors
/// A file that can't be read.
pub fn read_lock(folder: &Path) -> Result<Option<LockHolder>, StudyError> {
    let path = folder.join(LOCK_FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StudyError::io("read", path)(error)),
    }
}

/// A lock that somebody has.
struct Found {
    bytes: Vec<u8>,
    /// None where it names nobody.
    holder: Option<LockHolder>,
}

/// A lock, once its holder is named in it; none where it is gone.
fn read_named(folder: &Path) -> Result<Option<Found>, StudyError> {
    let path = folder.join(LOCK_FILE);
    let begin = Instant::now();
    loop {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StudyError::io("read", path)(error)),
        };
        let holder: Option<LockHolder> = serde_json::from_slice(&bytes).ok();
        if holder.is_some() || begin.elapsed() > NAMING {
            return Ok(Some(Found { bytes, holder }));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
