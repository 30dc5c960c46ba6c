//! A study run by another program, without access to the terminal and signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};
use fp_eval::study::config::ConfigFile;
use fp_eval::study::{Progress, RunOptions, StudyConfig, StudyError};
use serde_json::Value;

use super::{StudyArgs, of_run, outcome, report};

/// A study with a checked configuration, ready to run.
pub struct Study {
    config: StudyConfig,
    options: RunOptions,
    has_report: bool,
}

/// A configuration: a file, or its text.
pub enum ConfigSource<'a> {
    /// A JSON file.
    File(&'a Path),
    /// The JSON itself.
    Text(&'a str),
}

/// Outcome of a study.
pub enum Outcome {
    /// Complete: the object that `finepruner study --json` prints.
    Done(Value),
    /// Stopped on request; running the same study with the same folder resumes it.
    Stopped {
        /// The run's folder.
        folder: PathBuf,
        /// Number of recorded samples.
        done: usize,
        /// Number of samples of the run or shard.
        total: usize,
    },
}

impl Study {
    /// Creates a study; reports all problems of the configuration and the flags.
    pub(crate) fn new(config: &ConfigSource<'_>, output: &Path, args: &StudyArgs) -> Result<Study> {
        ensure!(
            !args.phases && !args.efficiency,
            "--phases and --efficiency are available on the command line only; run `finepruner study`"
        );
        let file = match config {
            ConfigSource::File(path) => ConfigFile::read(path)?,
            ConfigSource::Text(text) => ConfigFile::of_text(Path::new("config"), text),
        };
        let config = args.overrides.to_run(file)?;
        ensure!(
            config.efficiency.is_none(),
            "`efficiency` is measured by the command line only; run `finepruner study`"
        );
        Ok(Study {
            config,
            options: args.run.options(output.to_owned()),
            has_report: !args.no_report && !args.run.is_shard(),
        })
    }

    /// A flag that, when set, stops the study before its next answer.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.options.stop)
    }

    /// Runs or resumes the study and writes its report; `progress` is called after every job.
    ///
    /// # Errors
    /// As [`fp_eval::study::run`]; a run without any answer; a report that can't be written.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<Outcome> {
        let folder = &self.options.output;
        let summary = match fp_eval::study::run(&self.config, &self.options, progress) {
            Err(StudyError::Stopped {
                folder,
                done,
                total,
            }) => {
                return Ok(Outcome::Stopped {
                    folder,
                    done,
                    total,
                });
            }
            outcome => outcome.map_err(|error| of_run(error, folder))?,
        };
        let written = self.has_report.then(|| report(&summary)).transpose()?;
        Ok(Outcome::Done(outcome::value(&summary, written.as_ref())?))
    }
}
