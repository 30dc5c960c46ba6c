//! The program that a lock names, and whether it still runs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The program that a lock names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Name of its machine.
    pub host: String,
    /// The machine's own number, where the system says it: names may come twice.
    pub machine: Option<String>,
    /// What tells one start of that machine from the next, where the system says it.
    pub boot: Option<String>,
    /// The process namespace, where the system has them: a container has its own.
    pub namespace: Option<String>,
    /// Its process.
    pub pid: u32,
    /// When the process started, in the system's ticks since its start.
    pub process_start: Option<u64>,
    /// When it took the lock, in seconds since 1970.
    pub since: u64,
    /// The task of a scheduler that it belongs to.
    pub task: Option<ScheduledTask>,
}

/// A task of a scheduler, which never runs one task twice at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// `slurm` or `kubernetes`.
    pub scheduler: String,
    /// The same for every start of the task.
    pub id: String,
    /// How often it was started before, where the scheduler counts.
    pub restarts: Option<u64>,
}

impl ScheduledTask {
    /// The task that this program is part of, by the variables that schedulers set.
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

    /// Whether this start of a task comes after the one that `earlier` is.
    fn is_after(&self, earlier: &ScheduledTask) -> bool {
        let is_same = self.scheduler == earlier.scheduler && self.id == earlier.id;
        is_same
            && match (self.restarts, earlier.restarts) {
                (Some(now), Some(before)) => now > before,
                _ => true,
            }
    }
}

/// What is known of a lock's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Ended,
    /// It runs, or ran, where this program can't look.
    Unknown,
}

impl LockHolder {
    /// This program.
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

    /// Whether it certainly runs no more, as seen from this machine.
    pub fn is_ended(&self) -> bool {
        self.life(&LockHolder::current()) == Life::Ended
    }

    /// Whether it certainly runs now, as seen from this machine.
    pub fn is_running(&self) -> bool {
        self.life(&LockHolder::current()) == Life::Running
    }

    /// What `seen_by` knows of it.
    pub(super) fn life(&self, seen_by: &LockHolder) -> Life {
        let is_before = |earlier: &ScheduledTask| {
            let task = seen_by.task.as_ref();
            task.is_some_and(|task| task.is_after(earlier))
        };
        let is_same_host = self.host == seen_by.host && self.machine == seen_by.machine;
        if is_same_host && self.boot != seen_by.boot && self.namespace == seen_by.namespace {
            // The machine was started anew since then.
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

/// When a process started, by `/proc`; none where it doesn't run, has only to be waited for,
/// or the system has no such files.
fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Where there is no `/proc`: whether a process runs that a signal could be sent to.
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
pub(super) fn utc(seconds: u64) -> String {
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
