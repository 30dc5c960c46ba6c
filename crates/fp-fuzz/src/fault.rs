//! Faults: what went wrong with an input, and where the input is saved.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Ways in which an input can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An uncaught panic.
    Panic,
    /// More processor time than allowed.
    Time,
    /// More memory than allowed.
    Memory,
    /// The process ended abnormally.
    Crash,
    /// The input did not finish within the limit of wall time.
    Hang,
}

/// An input that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Name of the parser.
    pub(crate) parser: String,
    /// Kind of failure.
    pub(crate) kind: Kind,
    /// The panic's message, the measured value or the observed state.
    pub(crate) message: String,
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Number of earlier inputs of the parser.
    pub(crate) number: u64,
    /// The sound file that was damaged, relative to the root of all sets.
    pub(crate) target: PathBuf,
    /// Path of the saved input; `None` if enough inputs of this kind were saved already.
    pub(crate) saved: Option<PathBuf>,
}

impl Fault {
    /// Key shared by faults of one cause: the message without its digits, since sizes and addresses
    /// differ.
    pub(crate) fn signature(&self) -> String {
        let line = self.message.lines().next().unwrap_or_default();
        let words: String = line
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .collect();
        format!("{} {:?} {words}", self.parser, self.kind)
    }

    /// Saves the input and its description in `folder`.
    ///
    /// # Errors
    /// Files that can't be written.
    fn save(&mut self, folder: &Path, bytes: &[u8]) -> Result<()> {
        let path = folder.join(format!("{}-{:08x}", self.parser, crc32fast::hash(bytes)));
        self.saved = Some(path.clone());
        fs::create_dir_all(folder)?;
        fs::write(&path, bytes).with_context(|| format!("can't write {}", path.display()))?;
        let about = about(&path);
        fs::write(&about, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("can't write {}", about.display()))
    }

    /// Reads the description of a saved input.
    ///
    /// # Errors
    /// A file that is missing or is no such description.
    pub(crate) fn of_file(path: &Path) -> Result<Fault> {
        let about = about(path);
        let text = fs::read_to_string(&about).with_context(|| {
            format!(
                "{} was kept by no run: can't read {}",
                path.display(),
                about.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| format!("can't read {}", about.display()))
    }
}

/// Number of saved inputs of each cause.
#[derive(Debug, Default)]
pub(crate) struct Kept(HashMap<String, usize>);

impl Kept {
    /// Most inputs that are saved of one cause.
    const MOST: usize = 3;

    /// Saves a fault's input in `folder`, unless enough of its cause were saved.
    ///
    /// # Errors
    /// Files that can't be written.
    pub(crate) fn keep(&mut self, fault: &mut Fault, folder: &Path, bytes: &[u8]) -> Result<()> {
        let count = self.0.entry(fault.signature()).or_default();
        if *count >= Self::MOST {
            return Ok(());
        }
        *count += 1;
        fault.save(folder, bytes)
    }
}

/// Path of the description beside a saved input.
fn about(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}
