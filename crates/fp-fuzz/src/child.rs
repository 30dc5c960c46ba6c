//! The child process that runs parsers; a parser may crash it.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::MEMORY;
use crate::clock::Clock;
use crate::corpus::{Corpus, InputPosition, Target};
use crate::fault::{Kept, Kind};
use crate::parsers::Input;
use crate::progress::{Counts, Progress};
use crate::seeds;

/// Processor time allowed for one input.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(5);
/// Bytes of memory that an input may take in addition to its own size.
pub(crate) const MOST_MEMORY: usize = 1 << 30;
/// Bytes of memory at which the process is ended, to protect the machine.
const CEILING: usize = 6 << 30;
/// Stack size of the parser thread in bytes: that of an ordinary thread, less than the main
/// thread's.
pub(crate) const STACK: usize = 2 << 20;

/// What a child does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Work {
    /// The folder of this session.
    #[arg(long)]
    pub(crate) session: PathBuf,
    /// Which child this is, from 0, and with it the inputs that it makes.
    #[arg(long)]
    pub(crate) child: u64,
    /// How many there are.
    #[arg(long)]
    pub(crate) children: u64,
    #[arg(long)]
    pub(crate) seed: u64,
    /// The first input that isn't made, over all parsers.
    #[arg(long)]
    pub(crate) end: u64,
    /// When to stop, in milliseconds since 1970.
    #[arg(long)]
    pub(crate) deadline: u64,
    #[arg(long)]
    pub(crate) only: Vec<String>,
    /// Where failing inputs are kept.
    #[arg(long)]
    pub(crate) failures: PathBuf,
}

impl Work {
    /// Folder of the sound files, which are only read.
    pub(crate) fn seeds(session: &Path) -> PathBuf {
        session.join("seeds")
    }

    pub(crate) fn progress(session: &Path, child: u64) -> PathBuf {
        session.join(format!("child-{child}.progress"))
    }

    pub(crate) fn faults(session: &Path, child: u64) -> PathBuf {
        session.join(format!("child-{child}.faults"))
    }
}

/// Continues at the input named in the progress file.
pub(crate) fn run(work: &Work) -> Result<()> {
    let corpus = Corpus::load(&Work::seeds(&work.session), &work.only)?;
    let path = Work::progress(&work.session, work.child);
    let mut progress = Progress::read(&path)?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    let mut faults = OpenOptions::new()
        .create(true)
        .append(true)
        .open(Work::faults(&work.session, work.child))?;
    let place = Workplace::new(&work.session.join(format!("child-{}", work.child)))?;
    let mut kept = Kept::default();
    MEMORY.set_limit(CEILING);
    remember_panics();
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(work.deadline);
    let parent = parent();
    while progress.next < work.end && SystemTime::now() < deadline {
        if self::parent() != parent {
            // The parent is gone, so no other process removes the folder.
            let _ = fs::remove_dir_all(&work.session);
            return Ok(());
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&progress.bytes())?;
        let input = corpus.place(progress.next);
        let (target, bytes) = corpus.make(work.seed, input);
        let (taken, found) = place.try_bytes(&corpus, input, target, &bytes)?;
        place.put_back(target)?;
        let counts = &mut progress.counts[input.parser];
        match found {
            Some((kind, message)) => {
                counts.failed += 1;
                let mut fault = corpus.fault(work.seed, input, kind, message);
                kept.keep(&mut fault, &work.failures, &bytes)?;
                let line = serde_json::to_string(&fault)? + "\n";
                faults.write_all(line.as_bytes())?;
            }
            None if taken => counts.taken += 1,
            None => counts.refused += 1,
        }
        progress.next += work.children;
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&progress.bytes())?;
    let total = progress.counts.iter().map(Counts::total).sum::<u64>();
    eprintln!("made {total} inputs");
    Ok(())
}

/// Id of the parent process; it changes when the process that started this one has ended.
fn parent() -> Option<u32> {
    #[cfg(unix)]
    let parent = Some(std::os::unix::process::parent_id());
    #[cfg(not(unix))]
    let parent = None;
    parent
}

/// A copy of all sets of sound files, in which one file at a time is damaged.
pub(crate) struct Workplace {
    root: PathBuf,
}

impl Workplace {
    /// Creates `root` anew and copies into it the sets that lie beside it.
    ///
    /// # Errors
    /// Files that can't be written.
    pub(crate) fn new(root: &Path) -> Result<Workplace> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        let session = root.parent().context("no session")?;
        seeds::copy_files(&Work::seeds(session), root)?;
        Ok(Workplace {
            root: root.to_owned(),
        })
    }

    /// Restores the sound file for the next input.
    fn put_back(&self, target: &Target) -> Result<()> {
        let path = self.root.join(&target.file);
        fs::write(&path, &target.bytes).with_context(|| format!("can't write {}", path.display()))
    }

    /// Writes `bytes` over a file of a set and runs the parser on it. Returns whether the parser
    /// accepted them, and the fault if there was one.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn try_bytes(
        &self,
        corpus: &Corpus,
        place: InputPosition,
        target: &Target,
        bytes: &[u8],
    ) -> Result<(bool, Option<(Kind, String)>)> {
        let file = self.root.join(&target.file);
        let folder = self.root.join(&target.folder);
        fs::write(&file, bytes).with_context(|| format!("can't write {}", file.display()))?;
        let output = self.root.join("output");
        let input = Input {
            folder: &folder,
            file: &file,
            bytes,
            number: place.number,
            output: &output,
        };
        let read = corpus.loaded[place.parser].parser.read;
        let before = MEMORY.restart();
        let clock = Clock::start();
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&input)));
        let wall = clock.wall();
        let memory = MEMORY.peak().saturating_sub(before + bytes.len());
        let found = if outcome.is_err() {
            Some((Kind::Panic, LAST_PANIC.take()))
        } else if memory > MOST_MEMORY {
            Some((Kind::Memory, format!("{} MiB of memory", memory >> 20)))
        } else if wall > MOST_TIME && clock.elapsed() > MOST_TIME {
            let seconds = clock.elapsed().as_secs_f64();
            Some((Kind::Time, format!("{seconds:.1} s of processor time")))
        } else {
            None
        };
        if output.exists() {
            fs::remove_dir_all(&output)?;
        }
        Ok((outcome.unwrap_or(false), found))
    }
}

thread_local! {
    /// Message and location of the last uncaught panic.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Records panics instead of printing them; panics inside guards are neither printed nor recorded.
fn remember_panics() {
    set_hook(Box::new(|info| {
        let told = info.to_string();
        // The location comes first; one line is enough to distinguish panics.
        let told = told.trim_start_matches("panicked at ").replace('\n', " ");
        let _ = LAST_PANIC.try_with(|last| last.replace(told));
    }));
}
