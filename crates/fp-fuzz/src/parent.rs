//! The parent process, which starts child processes, watches them and reports what they found.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::child::Work;
use crate::corpus::Corpus;
use crate::fault::{Fault, Kept, Kind};
use crate::progress::Progress;
use crate::seeds;
use crate::summary::Summary;

/// Wall time after which an input is given up, however busy the machine is.
const MOST_WALL: Duration = Duration::from_secs(60);
/// Interval between two checks of the child processes.
const LOOK: Duration = Duration::from_millis(100);
/// Interval between two lines of progress.
const TELL: Duration = Duration::from_secs(10);

/// What to run.
pub(crate) struct Plan {
    pub(crate) time: Option<Duration>,
    pub(crate) inputs: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) only: Vec<String>,
    pub(crate) children: u64,
    pub(crate) failures: PathBuf,
}

/// Creates a folder with the sound files in it, in memory where the system has such a folder.
///
/// # Errors
/// Files that can't be written.
pub(crate) fn session() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let session = if memory.is_dir() {
        tempfile::Builder::new()
            .prefix("fp-fuzz-")
            .tempdir_in(memory)
    } else {
        tempfile::Builder::new().prefix("fp-fuzz-").tempdir()
    };
    let session = session.context("can't make a folder for inputs")?;
    seeds::write(&Work::seeds(session.path())).context("can't make the sound files")?;
    Ok(session)
}

/// Runs the plan.
///
/// # Errors
/// Child processes that can't be started, or files that can't be written.
pub(crate) fn run(plan: &Plan) -> Result<Summary> {
    let session = session()?;
    let corpus = Corpus::load(&Work::seeds(session.path()), &plan.only)?;
    let start = Instant::now();
    let wait = plan.time.unwrap_or(Duration::from_secs(1 << 32));
    let deadline = (SystemTime::now() + wait).duration_since(SystemTime::UNIX_EPOCH)?;
    let mut children = Vec::new();
    for child in 0..plan.children {
        let work = Work {
            session: session.path().to_owned(),
            child,
            children: plan.children,
            seed: plan.seed,
            end: plan.inputs.unwrap_or(u64::MAX - plan.children),
            deadline: u64::try_from(deadline.as_millis())?,
            only: plan.only.clone(),
            failures: plan.failures.clone(),
        };
        let progress = Progress::new(child, corpus.loaded.len());
        fs::write(Work::progress(session.path(), child), progress.bytes())?;
        children.push(Watched::start(work)?);
    }
    let mut faults = Vec::new();
    let mut kept = Kept::default();
    let mut told = Instant::now();
    while children.iter().any(|child| child.process.is_some()) {
        std::thread::sleep(LOOK);
        for child in &mut children {
            faults.extend(child.look(&corpus, &mut kept)?);
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tell(plan, &children, start);
        }
    }
    let mut summary = Summary::new(&corpus, plan, start.elapsed());
    for child in &children {
        let path = Work::progress(session.path(), child.work.child);
        summary.add_counts(&Progress::read(&path)?.counts);
        let path = Work::faults(session.path(), child.work.child);
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            faults.push(serde_json::from_str(line)?);
        }
    }
    summary.add_faults(&faults);
    Ok(summary)
}

fn tell(plan: &Plan, children: &[Watched], start: Instant) {
    let counts: Vec<_> = children.iter().flat_map(|it| &it.seen.counts).collect();
    let made: u64 = counts.iter().map(|counts| counts.total()).sum();
    let failed: u64 = counts.iter().map(|counts| counts.failed).sum();
    let num_parsers = children.first().map_or(1, |it| it.seen.counts.len()).max(1);
    let seconds = start.elapsed().as_secs_f64();
    let left = match (plan.time, plan.inputs) {
        (Some(time), _) => format!("{} s left", time.saturating_sub(start.elapsed()).as_secs()),
        (None, Some(inputs)) => format!("{} inputs left", inputs.saturating_sub(made)),
        (None, None) => "no end set".to_owned(),
    };
    eprintln!(
        "{made} inputs, {:.0}/s, about {} a parser, {failed} failed, {left}",
        made as f64 / seconds,
        made / num_parsers as u64,
    );
}

/// A child process and its last known progress.
struct Watched {
    work: Work,
    process: Option<Child>,
    seen: Progress,
    /// Time of the last change of its progress.
    since: Instant,
}

impl Watched {
    fn start(work: Work) -> Result<Watched> {
        let seen = Progress::read(&Work::progress(&work.session, work.child))?;
        let mut watched = Watched {
            work,
            process: None,
            seen,
            since: Instant::now(),
        };
        watched.restart()?;
        Ok(watched)
    }

    fn stderr(&self) -> PathBuf {
        self.work
            .session
            .join(format!("child-{}.stderr", self.work.child))
    }

    fn restart(&mut self) -> Result<()> {
        let work = &self.work;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child");
        command.arg("--session").arg(&work.session);
        command.arg("--failures").arg(&work.failures);
        for (name, value) in [
            ("--child", work.child),
            ("--children", work.children),
            ("--seed", work.seed),
            ("--end", work.end),
            ("--deadline", work.deadline),
        ] {
            command.args([name, &value.to_string()]);
        }
        for name in &work.only {
            command.args(["--only", name]);
        }
        // A child's error is one line of a result.
        command.env("RUST_BACKTRACE", "0");
        // One thread each; the number of child processes sets the parallelism.
        command.env("RAYON_NUM_THREADS", "1").stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(File::create(self.stderr())?);
        self.process = Some(command.spawn().context("can't start a child")?);
        self.since = Instant::now();
        Ok(())
    }

    /// Checks the child's progress; one that its input ended is restarted after that input.
    fn look(&mut self, corpus: &Corpus, kept: &mut Kept) -> Result<Option<Fault>> {
        let Some(process) = &mut self.process else {
            return Ok(None);
        };
        let ended = process.try_wait()?;
        let path = Work::progress(&self.work.session, self.work.child);
        let progress = Progress::read(&path)?;
        if progress != self.seen {
            self.seen = progress;
            self.since = Instant::now();
        }
        let (kind, message) = match ended {
            Some(status) if status.success() => {
                self.process = None;
                return Ok(None);
            }
            Some(status) => {
                let said = fs::read(self.stderr()).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).replace('\n', " ");
                (Kind::Crash, format!("{status}: {}", said.trim()))
            }
            None if self.since.elapsed() > MOST_WALL => {
                process.kill()?;
                process.wait()?;
                let seconds = MOST_WALL.as_secs();
                (Kind::Hang, format!("no end after {seconds} s"))
            }
            None => return Ok(None),
        };
        let place = corpus.place(self.seen.next);
        let (_, bytes) = corpus.make(self.work.seed, place);
        let mut fault = corpus.fault(self.work.seed, place, kind, message);
        kept.keep(&mut fault, &self.work.failures, &bytes)?;
        self.seen.counts[place.parser].failed += 1;
        self.seen.next += self.work.children;
        fs::write(path, self.seen.bytes())?;
        self.restart()?;
        Ok(Some(fault))
    }
}
