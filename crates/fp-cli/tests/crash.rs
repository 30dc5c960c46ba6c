//! Studies that are killed, have truncated files or meet a full disk can be resumed, with the same
//! result as an undisturbed study.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fp_eval::study::{Counted, Records, StudyError, count_records};
use serde_json::Value;

use crate::common::{error_object, fail, finepruner};

/// Number of kills, each at a different time.
const KILLS: usize = 20;

/// A small study of the embedded model, in `folder`.
fn arguments(folder: &Path) -> Vec<String> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/ablation_a_config.json");
    let mut arguments: Vec<String> = [
        "study",
        "--head-selection-strategy=sum,variance",
        "--num-selected-heads=1/2",
        "--keep=25",
        "--random-seeds=1",
        "--dataset=embedded:select",
        "--limit=16",
        "--num-draws=1000",
        "--max-new-tokens=3",
        "--threads=1",
        "--batch-size=1",
        "--json",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--config={}", config.display()));
    arguments.push(format!("--output={}", folder.display()));
    arguments
}

/// Runs the study to its end and returns the number of samples recorded before.
#[track_caller]
fn finish(folder: &Path) -> usize {
    let arguments = arguments(folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = finepruner(&arguments);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let outcome: Value = serde_json::from_str(&output.stdout).unwrap();
    outcome["summary"]["num_resumed"].as_u64().unwrap() as usize
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_default()
}

/// The records as lines, whether they are stored in blocks yet or not.
fn lines(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let read = Records::open(folder).and_then(|records| {
        records.lines(|lines| {
            all.extend_from_slice(lines);
            Ok::<_, StudyError>(())
        })
    });
    read.unwrap();
    all
}

/// Replaces all records of the folder by these lines.
fn set_lines(folder: &Path, lines: &[u8]) {
    let _ = std::fs::remove_file(folder.join("records.blocks"));
    std::fs::write(folder.join("records.jsonl"), lines).unwrap();
}

fn num_lines(folder: &Path) -> usize {
    let counted = count_records(folder, Counted::default()).unwrap().lines as usize;
    // Records are never removed, and both counts are equal unless the run adds records in between.
    assert!(Records::open(folder).unwrap().num_samples() >= counted);
    counted
}

/// Files of an undisturbed run.
struct Whole {
    records: Vec<u8>,
    /// The stored blocks.
    blocks: Vec<u8>,
    results: Vec<u8>,
}

impl Whole {
    fn run(folder: &Path) -> Whole {
        assert_eq!(finish(folder), 0);
        let whole = Whole {
            records: lines(folder),
            blocks: read(folder, "records.blocks"),
            results: read(folder, "results.json"),
        };
        assert_eq!(num_lines(folder), 16);
        assert!(!whole.results.is_empty() && !whole.blocks.is_empty());
        assert!(whole.blocks.len() < whole.records.len() / 3);
        whole
    }

    #[track_caller]
    fn check(&self, folder: &Path) {
        assert!(read(folder, "records.blocks") == self.blocks);
        assert!(!folder.join("records.jsonl").exists());
        assert!(lines(folder) == self.records);
        assert!(read(folder, "results.json") == self.results);
    }

    /// The records so far are a prefix of the whole, except for a truncated last line.
    #[track_caller]
    fn check_part(&self, folder: &Path) {
        assert!(self.records.starts_with(&lines(folder)));
    }
}

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_finepruner"))
        .args(arguments(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Pseudo-random numbers from 0 to 1, the same in every run of the test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn a_run_killed_at_any_point_goes_on_to_the_same_result() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = |number: usize| -> PathBuf { temporary.path().join(number.to_string()) };
    let begin = Instant::now();
    let whole = Whole::run(&folder(0));
    let length = begin.elapsed();

    let mut random = Random(20_261_126);
    let (mut kills, mut current) = (0, 1);
    let mut points = Vec::new();
    while kills < KILLS {
        let before = num_lines(&folder(current));
        let mut child = start(&folder(current));
        // From the start to slightly after the usual end.
        std::thread::sleep(length.mul_f64(1.05 * random.next()));
        let ended = child.try_wait().unwrap();
        // `kill` is SIGKILL: no handler, no destructor, no flush.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(num_lines(&folder(current)) >= before, "a sample was lost");
        whole.check_part(&folder(current));
        match ended {
            None => {
                kills += 1;
                points.push(num_lines(&folder(current)));
            }
            Some(status) => {
                assert!(status.success());
                whole.check(&folder(current));
                current += 1;
            }
        }
    }
    println!("samples recorded when killed: {points:?}");
    let before = num_lines(&folder(current));
    assert_eq!(finish(&folder(current)), before);
    whole.check(&folder(current));
}

/// Starts the study, and sends it `signals` as soon as `num_samples` samples are recorded.
fn interrupted(folder: &Path, num_samples: usize, signals: &[&str]) -> std::process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_finepruner"))
        .args(arguments(folder))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while num_lines(folder) < num_samples && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for signal in signals {
        let id = child.id().to_string();
        Command::new("kill")
            .args([*signal, id.as_str()])
            .output()
            .unwrap();
    }
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_study_says_how_it_is_resumed() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = Whole::run(&temporary.path().join("whole"));
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = temporary.path().join(format!("it's run {code}"));
        let output = interrupted(&folder, 2, &[signal]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        let recorded = num_lines(&folder);
        assert!((2..16).contains(&recorded), "{recorded}: {message}");
        whole.check_part(&folder);
        assert_eq!(read(&folder, "records.jsonl").last(), Some(&b'\n'));
        assert_eq!(message.lines().count(), 1, "{message}");
        let said = format!("interrupted: {recorded} of 16 samples are recorded in ");
        assert!(message.starts_with(&said), "{message}");
        // The message contains a command that can be pasted into a shell.
        let (_, command) = message
            .split_once("the same command resumes the run: ")
            .unwrap();
        let error = error_object(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(error["kind"], "interrupted");
        assert_eq!(error["exit_code"], code);
        assert_eq!(error["resume"], command.trim_end());
        let resumed = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(resumed.status.success(), "{resumed:?}");
        let outcome: Value = serde_json::from_slice(&resumed.stdout).unwrap();
        assert_eq!(outcome["summary"]["num_resumed"], recorded);
        whole.check(&folder);
    }
}

/// The second signal ends the program wherever it is, unless the first one has done so.
#[test]
fn two_interrupts_lose_nothing_either() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = Whole::run(&temporary.path().join("whole"));
    let folder = temporary.path().join("run");
    let output = interrupted(&folder, 1, &["-INT", "-INT"]);
    assert!(!output.status.success());
    assert!(
        matches!(output.status.code(), None | Some(130)),
        "{output:?}"
    );
    whole.check_part(&folder);
    finish(&folder);
    whole.check(&folder);
}

/// Simulates a full disk for this program only: the system refuses to write beyond `blocks` units
/// of 512 bytes in any file.
fn run_limited(folder: &Path, blocks: usize) -> std::process::Output {
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""])
        .arg(blocks.to_string())
        .arg(env!("CARGO_BIN_EXE_finepruner"))
        .args(arguments(folder))
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = Whole::run(&temporary.path().join("whole"));
    let all = whole.records.len() / 512;
    let folder = temporary.path().join("run");
    let mut seen = Vec::new();
    // Too little for the description; for some records; for all records but not the results.
    for blocks in [1, all / 3, all / 2, all + 1] {
        let before = num_lines(&folder);
        let output = run_limited(&folder, blocks);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{blocks}: {message}");
        assert!(message.starts_with("error: "), "{message}");
        let file = ["run.json", "records.jsonl", "results.json"]
            .into_iter()
            .find(|file| message.contains(file));
        seen.push(file.unwrap_or_else(|| panic!("{blocks}: {message}")));
        assert!(message.contains("File too large"), "{message}");
        assert!(num_lines(&folder) >= before);
        whole.check_part(&folder);
        // A file that can't be written completely doesn't exist.
        assert!(
            read(&folder, "records.jsonl")
                .last()
                .is_none_or(|byte| *byte == b'\n')
        );
        assert!(!folder.join("results.json").exists());
    }
    assert_eq!(
        seen,
        ["run.json", "records.jsonl", "records.jsonl", "results.json"]
    );
    assert_eq!(finish(&folder), 16);
    whole.check(&folder);
}

#[test]
fn a_damaged_line_and_another_configuration_are_refused_and_lose_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("run");
    let whole = Whole::run(&folder);
    let arguments = arguments(&folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let path = folder.join("records.jsonl");
    let first = whole
        .records
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let mut damaged = whole.records.clone();
    damaged[first + 300] ^= 4;
    set_lines(&folder, &damaged);
    fail(
        &arguments,
        &[
            "records.jsonl, line 2",
            "checksum",
            "truncating the file there",
        ],
    );
    assert!(std::fs::read(&path).unwrap() == damaged);
    // As the message advises.
    std::fs::write(&path, &damaged[..first]).unwrap();
    assert_eq!(finish(&folder), 1);
    whole.check(&folder);

    let path = folder.join("records.blocks");
    let mut damaged = whole.blocks.clone();
    damaged[whole.blocks.len() / 2] ^= 4;
    std::fs::write(&path, &damaged).unwrap();
    let said = ["records.blocks, block 1", "checksum", "first 0 bytes"];
    fail(&arguments, &said);
    let shown = folder.display().to_string();
    fail(&["report", &shown], &said);
    fail(&["records", &shown], &said);
    assert!(std::fs::read(&path).unwrap() == damaged);
    std::fs::write(&path, b"").unwrap();
    assert_eq!(finish(&folder), 0);
    whole.check(&folder);

    let other = [&arguments[..], &["--keep=12"]].concat();
    let other: Vec<&str> = other
        .into_iter()
        .filter(|flag| *flag != "--keep=25")
        .collect();
    fail(
        &other,
        &["another configuration (budgets)", "--accept-changes"],
    );
    let fewer = [&arguments[..], &["--limit=15"]].concat();
    let fewer: Vec<&str> = fewer
        .into_iter()
        .filter(|flag| *flag != "--limit=16")
        .collect();
    fail(&fewer, &["another configuration (limit)"]);
    whole.check(&folder);
    assert_eq!(finish(&folder), 16);
    whole.check(&folder);
}

#[test]
fn folders_that_cant_be_written_to_are_named() {
    use std::os::unix::fs::PermissionsExt;

    let refused = |folder: &Path| {
        let arguments = arguments(folder);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fail(&arguments, &["can't", &folder.display().to_string()]);
    };
    // Nobody can create folders here, not even the superuser.
    #[cfg(target_os = "linux")]
    refused(Path::new("/proc/finepruner"));

    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("run");
    let whole = Whole::run(&folder);
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&folder, permissions).unwrap();
    };
    mode(0o555);
    if std::fs::write(folder.join("probe"), "").is_ok() {
        println!("skipped: this user may write into read-only folders");
        return mode(0o755);
    }
    let cut = whole
        .records
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    refused(&temporary.path().join("run/inside"));
    let arguments = arguments(&folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Records could be added, but the folder can't be locked.
    set_lines(&folder, &whole.records[..cut]);
    fail(&arguments, &["can't create", "run.lock"]);
    mode(0o755);
    assert_eq!(finish(&folder), 16);
    whole.check(&folder);
}

/// A second program in the same folder is refused, without disturbing the first one.
#[test]
fn a_folder_in_use_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = Whole::run(&temporary.path().join("whole"));
    let folder = temporary.path().join("run");
    let mut first = start(&folder);
    let patience = Instant::now() + Duration::from_secs(60);
    while num_lines(&folder) == 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    let is_running = first.try_wait().unwrap().is_none();
    let second = run_limited(&folder, 1 << 30);
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    let was_running = is_running && first.try_wait().unwrap().is_none();
    assert!(first.wait().unwrap().success());
    if was_running {
        assert!(message.contains("another run is writing"), "{message}");
    }
    whole.check(&folder);
}
