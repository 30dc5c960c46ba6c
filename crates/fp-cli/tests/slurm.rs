//! Launches on a real one-node Slurm, which this test starts and stops: tasks are killed, requeued,
//! run out of time or disk space, and a node is drained; in the end the bytes equal those of the
//! study without shards. Skipped, with the reason, where Slurm can't run.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::launched::{Launch, Whole, text};

const SHARDS: usize = 8;
/// Number of kills, of tasks and of their studies.
const KILLS: usize = 20;
const LIMIT: usize = 160;

fn script(args: &[&str]) -> std::process::Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/cluster.sh");
    Command::new(path).args(args).output().unwrap()
}

/// A Slurm cluster of this test, stopped when dropped.
struct Cluster {
    folder: PathBuf,
    /// When a job was first seen waiting for its start time.
    waiting: Mutex<HashMap<String, Instant>>,
}

impl Cluster {
    /// Starts the cluster; the error is what is missing.
    fn start(folder: PathBuf) -> Result<Cluster, String> {
        let missing = text(&script(&["check"]));
        if !missing.trim().is_empty() {
            return Err(missing.trim().to_owned());
        }
        let started = script(&["start", &folder.display().to_string()]);
        let cluster = Cluster {
            folder,
            waiting: Mutex::default(),
        };
        if started.status.success() {
            Ok(cluster)
        } else {
            Err(format!("Slurm doesn't start here: {started:?}"))
        }
    }

    fn variables(&self) -> Vec<(String, String)> {
        let conf = self.folder.join("slurm.conf").display().to_string();
        vec![("SLURM_CONF".to_owned(), conf)]
    }

    fn slurm(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .envs(self.variables())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Queued or running tasks of an array: jobs, numbers and states.
    fn tasks(&self, array: &str) -> Vec<(String, usize, String)> {
        let listed = self.slurm("squeue", &["--noheader", "--array", "--format=%A %F %K %T"]);
        let tasks = listed.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_own = fields.get(1) == Some(&array);
            let task = fields.get(2)?.parse().ok()?;
            is_own.then(|| (fields[0].to_owned(), task, fields[3].to_owned()))
        });
        tasks.collect()
    }

    /// Starts requeued jobs early. They would wait for two minutes, but a node needs only seconds
    /// to forget their last start, and refuses the next one until then.
    fn hurry(&self) {
        let waiting = self.slurm("squeue", &["--noheader", "--array", "--format=%A %T %r"]);
        for line in waiting.lines().filter(|line| line.contains("BeginTime")) {
            let job = line.split_whitespace().next().unwrap();
            let mut waiting = self.waiting.lock().unwrap();
            let since = waiting.entry(job.to_owned()).or_insert_with(Instant::now);
            if since.elapsed() < Duration::from_secs(4) {
                continue;
            }
            waiting.remove(job);
            self.slurm(
                "scontrol",
                &["update", &format!("job={job}"), "StartTime=now"],
            );
        }
    }

    fn node(&self) -> String {
        let listed = self.slurm("sinfo", &["--noheader", "--format=%n"]);
        listed.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.slurm("scancel", &["--user=root"]);
        let patience = Instant::now() + Duration::from_secs(20);
        while !self.slurm("squeue", &["--noheader"]).trim().is_empty() && Instant::now() < patience
        {
            std::thread::sleep(Duration::from_millis(200));
        }
        script(&["stop", &self.folder.display().to_string()]);
    }
}

/// Waits until `is_so`; on a timeout it fails with `what`.
#[track_caller]
fn wait(what: &str, seconds: u64, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(seconds);
    while !is_so() {
        assert!(Instant::now() < patience, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn kill(signal: &str, pid: u64) {
    let _ = Command::new("kill")
        .args([signal, &pid.to_string()])
        .output();
}

fn array(said: &Value) -> String {
    said["submission"]["array_job"].as_str().unwrap().to_owned()
}

fn read(path: PathBuf) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Id of the process of a shard's study, while it runs; a killed one leaves its lock behind.
fn study(launch: &Launch, shard: usize) -> Option<u64> {
    let pid = read(launch.shard(shard).join("run.lock"))?["pid"].as_u64()?;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command.contains("--shard=").then_some(pid)
}

/// Id of the process of a shard's task, while it runs.
fn task(launch: &Launch, shard: usize) -> Option<u64> {
    let state = read(launch.folder.join(format!("state/shard-{shard:04}.json")))?;
    state["outcome"]
        .is_null()
        .then(|| state["holder"]["pid"].as_u64())?
}

/// Pseudo-random numbers below `end`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Invariants of every status: counts agree with the files, and no record disappears.
struct Watch {
    done: Vec<u64>,
}

impl Watch {
    fn look(&mut self, launch: &Launch) -> Value {
        // Records are added meanwhile, so the status is between two counts.
        let count = || (1..=self.done.len()).map(|shard| launch.lines(shard).len() as u64);
        let before: Vec<u64> = count().collect();
        let status = launch.status();
        let after: Vec<u64> = count().collect();
        let shards = status["shards"].as_array().unwrap();
        for (index, shard) in shards.iter().enumerate() {
            let done = shard["done"].as_u64().unwrap();
            assert!((before[index]..=after[index]).contains(&done), "{shard}");
            assert!(done >= self.done[index], "a sample was lost: {shard}");
            let is_complete = done == shard["total"].as_u64().unwrap();
            assert!(is_complete || shard["phase"] != "done", "{shard}");
            self.done[index] = done;
        }
        let total: u64 = shards.iter().map(|s| s["done"].as_u64().unwrap()).sum();
        assert_eq!(status["done"], total);
        assert_eq!(status["total"], LIMIT);
        status
    }
}

fn phase(status: &Value, shard: usize) -> String {
    status["shards"][shard - 1]["phase"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn whatever_happens_to_tasks_the_bytes_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = match Cluster::start(dir.path().join("slurm")) {
        Ok(cluster) => cluster,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let whole = Whole::run(dir.path().join("whole"), LIMIT);
    std::thread::scope(|scope| {
        // Two launches on one cluster: time limits take minutes, but no processor time.
        let late = scope.spawn(|| out_of_time(&cluster, &whole, dir.path().join("late")));
        disturbed(&cluster, &whole, dir.path().join("launch"));
        late.join().unwrap();
    });
}

/// Kills, a requeue, a drained node and a full disk.
fn disturbed(cluster: &Cluster, whole: &Whole, folder: PathBuf) {
    let launch = Launch {
        folder,
        variables: cluster.variables(),
    };
    // Held until its disk is prepared.
    let more = ["--threads=1", "--json", "--sbatch-arg=--hold"];
    let said: Value = serde_json::from_str(&text(&launch.start(LIMIT, SHARDS, &more))).unwrap();
    assert_eq!(said["is_submitted"], true);
    let mut arrays = vec![array(&said)];
    let small = launch.shard(SHARDS);
    let disk = Disk::mount(&small);
    let release = |array: &str| cluster.slurm("scontrol", &["release", array]);
    assert_eq!(launch.phases(), ["waiting"; SHARDS]);
    release(&arrays[0]);

    let mut watch = Watch {
        done: vec![0; SHARDS],
    };
    let mut random = Random(20_261_129);
    let (mut kills, mut requeues, mut resumes, mut was_full) = (0, 0, 0, false);
    let mut was_drained = false;
    // Number of samples that each shard had recorded when it was last killed.
    let mut at_kill = [0; SHARDS];
    let patience = Instant::now() + Duration::from_secs(900);
    while !launch.folder.join("run/results.json").exists() {
        assert!(Instant::now() < patience, "not done: {}", launch.status());
        cluster.hurry();
        let status = watch.look(&launch);
        whole.check_part(&launch, SHARDS);
        if let Some(disk) = &disk
            && phase(&status, SHARDS) == "failed"
            && status["shards"][SHARDS - 1]["ended_by"] == "exit status: 2"
        {
            let lines = status["shards"][SHARDS - 1]["last_lines"].to_string();
            assert!(lines.contains("No space left on device"), "{status}");
            was_full = true;
            // Until then something must remain to be killed and requeued.
            let are_others_done = (1..SHARDS).all(|shard| phase(&status, shard) == "done");
            if (kills == KILLS && requeues == 2) || are_others_done {
                disk.grow();
            }
        }
        let tasks: Vec<_> = arrays
            .iter()
            .flat_map(|array| cluster.tasks(array))
            .collect();
        if tasks.is_empty() && status["done"] != LIMIT {
            let said = launch.resume();
            assert_eq!(said["active_tasks"], serde_json::json!([]));
            arrays.push(array(&said));
            release(arrays.last().unwrap());
            resumes += 1;
        }
        let running: Vec<usize> = tasks
            .iter()
            .filter(|(_, task, state)| state == "RUNNING" && *task <= SHARDS)
            .map(|(_, task, _)| *task)
            .collect();
        // Mostly shards with progress since they were last killed, since a shard with several
        // fruitless starts in a row is given up.
        let is_any = random.below(4) == 0;
        let victims: Vec<usize> = running
            .into_iter()
            .filter(|shard| is_any || watch.done[shard - 1] > at_kill[shard - 1])
            .collect();
        if !victims.is_empty() && kills < KILLS {
            let shard = victims[random.below(victims.len())];
            // Either only the study, whose task then requeues it; or the task, whose study then
            // stops, and which Slurm gives up.
            let victim = match kills % 3 {
                2 => task(&launch, shard),
                _ => study(&launch, shard),
            };
            if let Some(pid) = victim {
                kill("-KILL", pid);
                kills += 1;
                at_kill[shard - 1] = watch.done[shard - 1];
            }
        }
        if kills >= KILLS / 2
            && requeues < 2
            && let Some((job, _, _)) = tasks.iter().find(|(_, _, state)| state == "RUNNING")
        {
            cluster.slurm("scontrol", &["requeue", job]);
            requeues += 1;
        }
        if kills >= KILLS / 4 && !was_drained {
            was_drained = true;
            pace(&launch, "-CONT");
            drain(cluster, &launch, &mut watch);
        }
        // Between two checks the studies run for a period that doesn't depend on this test's own
        // work, so that on any machine something remains to be killed.
        pace(&launch, "-CONT");
        std::thread::sleep(Duration::from_millis(200 + 50 * random.below(10) as u64));
        if kills < KILLS {
            pace(&launch, "-STOP");
        }
    }
    println!("{kills} kills, {requeues} requeues, {resumes} resumes, full disk: {was_full}");
    if disk.is_some() {
        assert_eq!((kills, requeues, was_drained), (KILLS, 2, true));
        assert!(was_full);
    }
    wait("the merge is noted", 60, || {
        launch.status()["finish"]["is_done"] == true
    });
    let status = watch.look(&launch);
    assert_eq!(status["done"], LIMIT);
    assert_eq!(launch.phases(), ["done"; SHARDS]);
    whole.check(&launch);
}

/// Stops the studies of all shards, or lets them continue.
fn pace(launch: &Launch, signal: &str) {
    for pid in (1..=SHARDS).filter_map(|shard| study(launch, shard)) {
        kill(signal, pid);
    }
}

/// Drains the node for a while: running tasks continue, and no others start.
fn drain(cluster: &Cluster, launch: &Launch, watch: &mut Watch) {
    let node = format!("nodename={}", cluster.node());
    cluster.slurm("scontrol", &["update", &node, "state=drain", "reason=test"]);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(500));
        watch.look(launch);
    }
    let state = cluster.slurm("sinfo", &["--noheader", "--format=%T"]);
    assert!(state.contains("drain"), "{state}");
    cluster.slurm("scontrol", &["update", &node, "state=resume"]);
}

/// A small disk for a shard.
struct Disk(PathBuf);

impl Disk {
    /// `None` where mounting isn't permitted.
    fn mount(folder: &Path) -> Option<Disk> {
        fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32k", "tmpfs"])
            .arg(folder)
            .output()
            .unwrap();
        if !mounted.status.success() {
            println!(
                "no small disk: {}",
                String::from_utf8_lossy(&mounted.stderr)
            );
        }
        mounted.status.success().then(|| Disk(folder.to_owned()))
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&self.0)
            .output()
            .unwrap();
        assert!(grown.status.success(), "{grown:?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// A task that is warned ahead of its limit requeues itself; one that doesn't end in time is
/// killed, and resumed by hand.
fn out_of_time(cluster: &Cluster, whole: &Whole, folder: PathBuf) {
    let launch = Launch {
        folder,
        variables: cluster.variables(),
    };
    let more = ["--threads=1", "--json", "--time=1", "--warn-seconds=30"];
    let said: Value = serde_json::from_str(&text(&launch.start(LIMIT, 1, &more))).unwrap();
    let first = array(&said);
    let log = |array: &str| {
        let path = launch.folder.join(format!("logs/task-{array}_1.out"));
        fs::read_to_string(path).unwrap_or_default()
    };
    // Stopped, so that the limit is reached whatever the machine's speed.
    let hold = || {
        wait("a study runs", 120, || {
            cluster.hurry();
            launch.phases()[0] == "running" && study(&launch, 1).is_some()
        });
        let pid = study(&launch, 1).unwrap();
        kill("-STOP", pid);
        pid
    };
    let pid = hold();
    wait("a warning ahead of the limit", 120, || {
        log(&first).contains("time limit")
    });
    kill("-CONT", pid);
    wait("a requeue", 60, || log(&first).contains("requeued"));
    let before = launch.lines(1).len();
    whole.check_part(&launch, 1);
    wait("the requeued task is seen as such", 60, || {
        cluster.hurry();
        ["interrupted", "running"].contains(&launch.phases()[0].as_str())
    });
    hold();
    wait("the limit ends the task", 240, || {
        cluster.tasks(&first).is_empty()
    });
    wait("the task is seen to be gone", 60, || {
        ["lost", "interrupted"].contains(&launch.phases()[0].as_str())
    });
    assert!(launch.lines(1).len() >= before);
    whole.check_part(&launch, 1);
    let mut arrays = vec![array(&launch.resume())];
    assert_ne!(arrays[0], first);
    // Each start has one minute, and any number of starts may be needed.
    wait("the merged run", 600, || {
        cluster.hurry();
        let is_queued = arrays.iter().any(|array| !cluster.tasks(array).is_empty());
        if !is_queued && launch.phases()[0] != "done" {
            arrays.push(array(&launch.resume()));
        }
        launch.status()["finish"]["is_done"] == true
    });
    whole.check(&launch);
}
