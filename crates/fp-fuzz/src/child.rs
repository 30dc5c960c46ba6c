//! The process that runs parsers; it may be ended by one of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::MEMORY;
use crate::clock::Clock;
use crate::corpus::{Corpus, Place};
use crate::fault::{Fault, Kind};
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
/// Inputs that are kept of one cause.
const MOST_KEPT: usize = 3;

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
    let faults = OpenOptions::new()
        .create(true)
        .append(true)
        .open(Work::faults(&work.session, work.child))?;
    let place = Workplace::new(&work.session.join(format!("child-{}", work.child)))?;
    let mut keeper = Keeper {
        faults,
        folder: work.failures.clone(),
        kept: HashMap::new(),
    };
    MEMORY.set_limit(CEILING);
    remember_panics();
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(work.deadline);
    while progress.next < work.end && SystemTime::now() < deadline {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&progress.bytes())?;
        let input = corpus.place(progress.next);
        let (taken, fault) = place.try_input(&corpus, work.seed, input)?;
        let counts = &mut progress.counts[input.parser];
        match fault {
            Some((mut fault, bytes)) => {
                counts.failed += 1;
                keeper.keep(&mut fault, &bytes)?;
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

/// Keeps some inputs of each cause, and tells of all.
struct Keeper {
    faults: File,
    folder: PathBuf,
    kept: HashMap<String, usize>,
}

impl Keeper {
    fn keep(&mut self, fault: &mut Fault, bytes: &[u8]) -> Result<()> {
        let kept = self.kept.entry(fault.signature()).or_default();
        if *kept < MOST_KEPT {
            *kept += 1;
            fault.save(&self.folder, bytes)?;
        }
        let line = serde_json::to_string(fault)? + "\n";
        Ok(self.faults.write_all(line.as_bytes())?)
    }
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

    fn try_input(
        &self,
        corpus: &Corpus,
        seed: u64,
        place: Place,
    ) -> Result<(bool, Option<(Fault, Vec<u8>)>)> {
        let (target, bytes) = corpus.make(seed, place);
        let (taken, found) = self.try_bytes(corpus, place, &target.file, &target.folder, &bytes)?;
        let fault = found.map(|(kind, message)| Fault {
            parser: corpus.loaded[place.parser].parser.name.clone(),
            kind,
            message,
            seed,
            number: place.number,
            target: target.file.clone(),
            saved: None,
        });
        // What comes next finds the sound file again.
        let path = self.root.join(&target.file);
        fs::write(&path, &target.bytes)
            .with_context(|| format!("can't write {}", path.display()))?;
        Ok((taken, fault.map(|fault| (fault, bytes))))
    }

    /// Hands bytes over in place of a file of a set; says whether they were taken, and
    /// what was wrong.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(crate) fn try_bytes(
        &self,
        corpus: &Corpus,
        place: Place,
        file: &Path,
        folder: &Path,
        bytes: &[u8],
    ) -> Result<(bool, Option<(Kind, String)>)> {
        let (file, folder) = (self.root.join(file), self.root.join(folder));
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
