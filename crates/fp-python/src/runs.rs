//! Studies in the background, and runs as tables.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use fp_cli::api::{self, ConfigSource, Outcome};
use fp_eval::study::Progress;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::error::to_python;

/// The longest that is waited at a time, in seconds.
const MOST_SECONDS: f64 = 3600.0;

/// What is known of a study that runs.
#[derive(Default)]
struct State {
    progress: Option<Progress>,
    /// What is known has changed since it was last asked for.
    is_news: bool,
    outcome: Option<anyhow::Result<Value>>,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.is_news = true;
        self.news.notify_all();
    }
}

/// A study that runs in a thread of its own, which never touches Python.
#[pyclass(module = "finepruner._native", frozen)]
struct NativeStudy {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

#[pymethods]
impl NativeStudy {
    /// Checks everything, then starts the study. Either `file` or `text` is its configuration.
    #[new]
    fn new(
        py: Python<'_>,
        file: Option<PathBuf>,
        text: Option<String>,
        output: PathBuf,
        flags: Vec<String>,
    ) -> PyResult<NativeStudy> {
        let checked = py.detach(|| {
            let source = match (&file, &text) {
                (Some(file), _) => ConfigSource::File(file),
                (None, text) => ConfigSource::Text(text.as_deref().unwrap_or("{}")),
            };
            api::study(&source, &output, &flags)
        });
        let study = checked.map_err(to_python)?;
        let (shared, stop) = (Arc::new(Shared::default()), study.stop());
        let teller = Arc::clone(&shared);
        let spawned = std::thread::Builder::new()
            .name("finepruner-study".to_owned())
            .spawn(move || {
                let mut tell = |progress| teller.tell(|state| state.progress = Some(progress));
                let ended = catch_unwind(AssertUnwindSafe(|| study.run(&mut tell)));
                let outcome = match ended {
                    Ok(outcome) => outcome.map(|outcome| match outcome {
                        Outcome::Done(result) => json!({ "done": result }),
                        Outcome::Stopped {
                            folder,
                            done,
                            total,
                        } => {
                            json!({ "stopped": { "folder": folder, "done": done, "total": total } })
                        }
                    }),
                    Err(_) => Err(anyhow!("the study panicked; its records are whole")),
                };
                teller.tell(|state| {
                    state.outcome = Some(outcome);
                    state.is_over = true;
                });
            });
        spawned.map_err(to_python)?;
        Ok(NativeStudy { shared, stop })
    }

    /// Waits for news, at most so many seconds; gives JSON of how far the study is, and whether
    /// it is over.
    fn wait(&self, py: Python<'_>, seconds: f64) -> (Option<String>, bool) {
        py.detach(|| {
            let mut state = self.shared.lock();
            let limit = Duration::from_secs_f64(seconds.clamp(0.0, MOST_SECONDS));
            if !state.is_news && !state.is_over {
                let waited = self.shared.news.wait_timeout(state, limit);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let is_news = std::mem::take(&mut state.is_news);
            let progress = state.progress.filter(|_| is_news);
            (progress.map(progress_json), state.is_over)
        })
    }

    /// Asks the study to stop before its next answer.
    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// JSON of what the study came to, once it is over; an error only once.
    fn take_outcome(&self) -> PyResult<Option<String>> {
        let outcome = self.shared.lock().outcome.take();
        match outcome {
            None => Ok(None),
            Some(outcome) => Ok(Some(outcome.map_err(to_python)?.to_string())),
        }
    }
}

fn progress_json(progress: Progress) -> String {
    json!({
        "total": progress.total,
        "done": progress.done,
        "resumed": progress.resumed,
        "failed": progress.failed,
        "ranked": progress.ranked,
    })
    .to_string()
}

/// JSON of a run's records and of its cells.
#[pyfunction]
fn read_run(py: Python<'_>, folder: PathBuf) -> PyResult<(String, String)> {
    let read = |folder: &Path| {
        anyhow::Ok((
            Value::Array(api::records_of_run(folder)?).to_string(),
            Value::Array(api::cells_of_run(folder)?).to_string(),
        ))
    };
    py.detach(|| read(&folder)).map_err(to_python)
}

/// JSON of two runs compared by paired tests.
#[pyfunction]
fn compare_runs(py: Python<'_>, first: PathBuf, second: PathBuf) -> PyResult<String> {
    let compared = py.detach(|| api::compare_runs(&first, &second));
    Ok(compared.map_err(to_python)?.to_string())
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NativeStudy>()?;
    module.add_function(wrap_pyfunction!(read_run, module)?)?;
    module.add_function(wrap_pyfunction!(compare_runs, module)?)
}
