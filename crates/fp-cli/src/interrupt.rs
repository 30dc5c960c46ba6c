//! Ctrl-C and SIGTERM while a study runs: all records are kept, and the same command resumes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::arguments::command_line;

/// A run that stopped on request.
#[derive(Debug)]
pub(crate) struct Interrupted {
    signal: i32,
    /// Number of recorded samples.
    done: usize,
    /// Number of samples of this run or shard.
    total: usize,
    folder: PathBuf,
    /// The command that resumes it.
    pub(crate) command: String,
}

impl Interrupted {
    /// As in shells: 128 plus the signal's number, so 130 after Ctrl-C.
    pub(crate) fn exit_code(&self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interrupted {
            done,
            total,
            folder,
            command,
            ..
        } = self;
        let folder = folder.display();
        write!(
            f,
            "interrupted: {done} of {total} samples are recorded in {folder}; \
             the same command resumes the run: {command}"
        )
    }
}

impl std::error::Error for Interrupted {}

/// State of signal handling, from the first watch to the end of the program.
#[derive(Debug, Default)]
struct State {
    stop: Arc<AtomicBool>,
    wind_down: Arc<AtomicBool>,
    /// Whether this is the study of a task, whose first SIGTERM acts like SIGUSR1.
    is_task: bool,
    /// The first signal.
    signal: AtomicI32,
    /// The message for a signal that arrives when the run is over.
    last_words: Mutex<Option<Interrupted>>,
}

/// Watches for signals.
#[derive(Debug)]
pub(crate) struct Watch(Arc<State>);

impl Watch {
    /// The first signal from now on asks the run to stop; the second one ends the program at once.
    /// SIGUSR1, which schedulers send ahead of a time limit, lets it finish the current questions
    /// first.
    ///
    /// # Errors
    /// The system allows no handler.
    pub(crate) fn start() -> std::io::Result<Watch> {
        let state = Arc::new(State {
            is_task: std::env::var_os(crate::launch::TASK_VARIABLE).is_some(),
            ..State::default()
        });
        watch(&state)?;
        if state.is_task {
            stop_with_task(&state)?;
        }
        Ok(Watch(state))
    }

    /// A run begins, possibly after another one: a signal asks it to stop.
    pub(crate) fn begin(&self) {
        *lock(&self.0.last_words) = None;
    }

    /// Flag that is set when a run must stop.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.stop)
    }

    /// Flag that is set when a run must finish the current questions and stop.
    pub(crate) fn wind_down(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.wind_down)
    }

    /// The description of a stopped run.
    pub(crate) fn interrupted(&self, folder: &Path, done: usize, total: usize) -> Interrupted {
        Interrupted {
            signal: self.0.signal.load(Ordering::SeqCst),
            done,
            total,
            folder: folder.to_owned(),
            command: command_line(std::env::args_os()),
        }
    }

    /// The run is over and only its report remains: a signal ends the program at once.
    pub(crate) fn finish(&self, folder: &Path, total: usize) {
        let words = self.interrupted(folder, total, total);
        *lock(&self.0.last_words) = Some(words);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the run when the task that started this program is gone, which closes its end of the pipe
/// to this program's standard input.
fn stop_with_task(state: &Arc<State>) -> std::io::Result<()> {
    let state = Arc::clone(state);
    std::thread::Builder::new()
        .name("task".to_owned())
        .spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            state.signal.store(SIGTERM_NUMBER, Ordering::SeqCst);
            state.stop.store(true, Ordering::SeqCst);
        })?;
    Ok(())
}

/// SIGTERM, on every system that has it.
const SIGTERM_NUMBER: i32 = 15;

#[cfg(unix)]
fn watch(state: &Arc<State>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    let state = Arc::clone(state);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                state.come(signal);
            }
        })?;
    Ok(())
}

/// On other systems the program is ended by the system, without loss of records.
#[cfg(not(unix))]
fn watch(_: &Arc<State>) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
impl State {
    fn come(&self, signal: i32) {
        use std::io::{IsTerminal, Write};

        let mut err = std::io::stderr();
        if let Some(words) = lock(&self.last_words).take() {
            // Every file is written completely or not at all, so ending here is safe.
            let words = Interrupted { signal, ..words };
            let _ = writeln!(err, "{words}");
            std::process::exit(i32::from(words.exit_code()));
        }
        let is_first = !self.wind_down.load(Ordering::SeqCst);
        if signal == signal_hook::consts::SIGUSR1 || (self.is_task && is_first) {
            if is_first {
                self.signal.store(signal, Ordering::SeqCst);
                self.wind_down.store(true, Ordering::SeqCst);
            }
            return;
        }
        if self.stop.load(Ordering::SeqCst) {
            // Records survive that: a truncated last line is dropped on resuming.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            return;
        }
        self.signal.store(signal, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
        if err.is_terminal() {
            let _ = writeln!(err, "\nstopping; press Ctrl-C again to end at once");
        }
    }
}
