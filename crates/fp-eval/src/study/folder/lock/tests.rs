//! Locks that are held, left behind and fought over.

use super::holder::{ScheduledTask, utc};
use super::*;

fn task(id: &str, restarts: Option<u64>) -> Option<ScheduledTask> {
    Some(ScheduledTask {
        scheduler: "slurm".to_owned(),
        id: id.to_owned(),
        restarts,
    })
}

/// Leaves a lock of `holder` behind.
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
    // Left behind by a process that is no more.
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
