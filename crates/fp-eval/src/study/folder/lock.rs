//! The lock of a run's folder: a file that only one program can create.
//!
//! Advisory locks (`flock`, `fcntl`) are missing or local to one host on many network file systems.
//! Creating a file that must not exist (`O_EXCL`) is atomic on NFS since version 3 and on Lustre.
//! The file names its writer, so that a lock left behind by a killed program is recognised:
//! immediately on the same host, and on another host if the scheduler shows that the writer was an
//! earlier start of the same task.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::study::error::StudyError;

/// Name of the lock file in a run's folder.
pub const LOCK_FILE: &str = "run.lock";

/// How long a lock file may be empty, between its creation and the writing of its holder.
const NAMING: Duration = Duration::from_secs(5);

/// The program that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Host name of its machine.
    pub host: String,
    /// Id of the machine, if the system has one: host names may occur twice.
    pub machine: Option<String>,
    /// Id of the machine's boot, if the system has one.
    pub boot: Option<String>,
    /// Its process namespace, if the system has them: a container has its own.
    pub namespace: Option<String>,
    /// Its process id.
    pub pid: u32,
    /// Start time of the process, in clock ticks since boot.
    pub process_start: Option<u64>,
    /// When it took the lock, in seconds since 1970.
    pub since: u64,
    /// The scheduler's task that it belongs to.
    pub task: Option<ScheduledTask>,
}

/// A scheduler's task; a scheduler never runs one task twice at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// `slurm` or `kubernetes`.
    pub scheduler: String,
    /// Id that is the same for every start of the task.
    pub id: String,
    /// Number of earlier starts, if the scheduler counts them.
    pub restarts: Option<u64>,
}

impl ScheduledTask {
    /// The task of this program, from the environment variables that schedulers set.
    fn current() -> Option<ScheduledTask> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(id) = variable("SLURM_JOB_ID") {
            let restarts = variable("SLURM_RESTART_COUNT");
            return Some(ScheduledTask {
                scheduler: "slurm".to_owned(),
                id,
                restarts: Some(restarts.and_then(|count| count.parse().ok()).unwrap_or(0)),
            });
        }
        let index = variable("JOB_COMPLETION_INDEX")?;
        Some(ScheduledTask {
            scheduler: "kubernetes".to_owned(),
            id: format!("{} {index}", host()),
            restarts: None,
        })
    }

    /// Whether this is a later start of the same task than `earlier`.
    fn is_after(&self, earlier: &ScheduledTask) -> bool {
        let is_same = self.scheduler == earlier.scheduler && self.id == earlier.id;
        is_same
            && match (self.restarts, earlier.restarts) {
                (Some(now), Some(before)) => now > before,
                _ => true,
            }
    }
}

/// State of a lock's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Ended,
    /// It runs, or ran, where this program can't check.
    Unknown,
}

impl LockHolder {
    /// The holder entry for this program.
    pub fn current() -> LockHolder {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        LockHolder {
            host: host(),
            machine: trimmed("/etc/machine-id"),
            boot: trimmed("/proc/sys/kernel/random/boot_id"),
            namespace: namespace(),
            pid: std::process::id(),
            process_start: process_start(std::process::id()),
            since: now.map_or(0, |since| since.as_secs()),
            task: ScheduledTask::current(),
        }
    }

    /// Whether it has certainly ended, as far as this machine can tell.
    pub fn is_ended(&self) -> bool {
        self.life(&LockHolder::current()) == Life::Ended
    }

    /// Whether it is certainly running, as far as this machine can tell.
    pub fn is_running(&self) -> bool {
        self.life(&LockHolder::current()) == Life::Running
    }

    /// The holder's state as known to `seen_by`.
    fn life(&self, seen_by: &LockHolder) -> Life {
        let is_before = |earlier: &ScheduledTask| {
            let task = seen_by.task.as_ref();
            task.is_some_and(|task| task.is_after(earlier))
        };
        let is_same_host = self.host == seen_by.host && self.machine == seen_by.machine;
        if is_same_host && self.boot != seen_by.boot && self.namespace == seen_by.namespace {
            // The machine has been restarted since.
            return Life::Ended;
        }
        if is_same_host && self.boot == seen_by.boot && self.namespace == seen_by.namespace {
            return match process_start(self.pid) {
                Some(start) if Some(start) == self.process_start => Life::Running,
                None if !has_proc() => is_alive(self.pid),
                _ => Life::Ended,
            };
        }
        if self.task.as_ref().is_some_and(is_before) {
            return Life::Ended;
        }
        Life::Unknown
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} on host {} since {}",
            self.pid,
            self.host,
            utc(self.since)
        )?;
        match &self.task {
            Some(task) if task.scheduler == "slurm" => write!(f, " (Slurm job {})", task.id),
            Some(task) => write!(f, " ({} task {})", task.scheduler, task.id),
            None => Ok(()),
        }
    }
}

/// Exclusive write access to a folder, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    content: Vec<u8>,
}

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// Another program has it ([`StudyError::Busy`]), or one that can't be checked from
    /// here ([`StudyError::Locked`]); a file that can't be written.
    pub(crate) fn take(folder: &Path) -> Result<Lock, StudyError> {
        let path = folder.join(LOCK_FILE);
        let holder = LockHolder::current();
        let mut content = serde_json::to_vec(&holder).map_err(StudyError::json(&path))?;
        content.push(b'\n');
        // The lock of a program that has ended is taken over once; a second lock belongs to a
        // competing program.
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
        // The file may have been deleted manually and created again by another program.
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

/// Creates the lock with its content; `false` if one exists.
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

/// Removes a stale lock, if it is still the one that was examined. Programs that find it at the
/// same time are serialised by another lock file.
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

/// The holder of a folder's lock; `None` if there is no lock, or it doesn't name its holder.
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

/// An existing lock.
struct Found {
    bytes: Vec<u8>,
    /// `None` if the lock doesn't name its holder.
    holder: Option<LockHolder>,
}

/// Reads a lock, waiting until its holder is named; `None` if it has been removed.
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

fn trimmed(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn host() -> String {
    let of_variable = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME"));
    trimmed("/proc/sys/kernel/hostname")
        .or_else(|| of_variable().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.display().to_string())
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Start time of a process from `/proc`; `None` if it isn't running, is a zombie, or the system has
/// no such files.
fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Without `/proc`: whether a process exists to which a signal could be sent.
fn is_alive(pid: u32) -> Life {
    let asked = std::process::Command::new("kill")
        .args(["-0", &pid.to_string()])
        .output();
    match asked {
        Ok(output) if output.status.success() => Life::Running,
        Ok(_) if cfg!(unix) => Life::Ended,
        _ => Life::Unknown,
    }
}

/// Seconds since 1970 as a date and a time, such as `2026-11-29 20:15 UTC`.
fn utc(seconds: u64) -> String {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (rest / 3600, rest % 3600 / 60);
    format!(
        "{year}-{month:02}-{:02} {hour:02}:{minute:02} UTC",
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, restarts: Option<u64>) -> Option<ScheduledTask> {
        Some(ScheduledTask {
            scheduler: "slurm".to_owned(),
            id: id.to_owned(),
            restarts,
        })
    }

    /// Creates a lock of `holder` as a killed program would leave it.
    fn leave(folder: &Path, holder: &LockHolder) {
        let text = serde_json::to_vec(holder).unwrap();
        fs::write(folder.join(LOCK_FILE), text).unwrap();
    }

    #[test]
    fn one_program_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        let pid = format!("process {} on host ", std::process::id());
        assert!(message.contains("another run is writing"), "{message}");
        assert!(message.contains(&pid), "{message}");
        drop(lock);
        assert!(!folder.path().join(LOCK_FILE).exists());
        drop(Lock::take(folder.path()).unwrap());
    }

    #[test]
    fn of_many_that_start_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        // The lock of a process that has ended.
        let ended = LockHolder {
            process_start: Some(1),
            ..LockHolder::current()
        };
        leave(folder.path(), &ended);
        let barrier = std::sync::Barrier::new(8);
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        Lock::take(folder.path())
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(taken.iter().filter(|lock| lock.is_ok()).count() <= 1);
        drop(taken);
        drop(Lock::take(folder.path()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_hosts_lock_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = LockHolder {
            host: "node7".to_owned(),
            pid: 77,
            since: 1_796_069_700,
            task: task("55", Some(1)),
            ..LockHolder::current()
        };
        leave(folder.path(), &elsewhere);
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        for part in [
            "process 77 on host node7 since 2026-11-30 20:15 UTC (Slurm job 55)",
            "delete",
            "run.lock",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(folder.path().join(LOCK_FILE).exists());
        assert_eq!(read_lock(folder.path()).unwrap(), Some(elsewhere));
    }

    #[test]
    fn a_requeued_task_takes_over_from_its_earlier_start_alone() {
        let now = |task| LockHolder {
            task,
            ..LockHolder::current()
        };
        let earlier = LockHolder {
            host: "node7".to_owned(),
            task: task("55", Some(1)),
            ..LockHolder::current()
        };
        assert_eq!(earlier.life(&now(task("55", Some(2)))), Life::Ended);
        assert_eq!(earlier.life(&now(task("55", Some(1)))), Life::Unknown);
        assert_eq!(earlier.life(&now(task("56", Some(2)))), Life::Unknown);
        assert_eq!(earlier.life(&now(None)), Life::Unknown);
        let rebooted = LockHolder {
            boot: Some("before".to_owned()),
            ..LockHolder::current()
        };
        assert_eq!(rebooted.life(&now(None)), Life::Ended);
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
