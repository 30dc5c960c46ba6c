//! The process that runs parsers; it may be ended by one of them.

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

/// Processor time of an input.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(5);
/// Bytes that an input may take beyond its own.
pub(crate) const MOST_MEMORY: usize = 1 << 30;
/// Bytes at which the process is ended, for the machine's sake.
const CEILING: usize = 6 << 30;
/// Stack that a parser has: a thread's, which is less than the main thread's.
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
    /// Where sound files lie, to be read only.
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

/// Goes on where the progress file says.
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
            // Nobody watches any more, and nobody clears up.
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

/// The process that started this one; another one once that has ended.
fn parent() -> Option<u32> {
    #[cfg(unix)]
    let parent = Some(std::os::unix::process::parent_id());
    #[cfg(not(unix))]
    let parent = None;
    parent
}

/// A copy of all sets, in which one file at a time is damaged.
pub(crate) struct Workplace {
    root: PathBuf,
}

impl Workplace {
    /// Copies the sets beside `root` into it, afresh.
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

    /// What comes next finds the sound file again.
    fn put_back(&self, target: &Target) -> Result<()> {
        let path = self.root.join(&target.file);
        fs::write(&path, &target.bytes).with_context(|| format!("can't write {}", path.display()))
    }

    /// Hands bytes over in place of a file of a set; says whether they were taken, and
    /// what was wrong.
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
    /// What the last panic that nobody caught said, and where.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Lets panics be remembered instead of told; those inside guards are told to nobody.
fn remember_panics() {
    set_hook(Box::new(|info| {
        let told = info.to_string();
        // The place stands first; one line is enough to tell them apart.
        let told = told.trim_start_matches("panicked at ").replace('\n', " ");
        let _ = LAST_PANIC.try_with(|last| last.replace(told));
    }));
}
