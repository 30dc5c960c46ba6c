//! What went wrong with an input, and where it is kept.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Ways in which an input can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A panic that nothing caught.
    Panic,
    /// More processor time than allowed.
    Time,
    /// More memory than allowed.
    Memory,
    /// The process ended.
    Crash,
    /// No end in sight.
    Hang,
}

/// An input that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// The parser.
    pub(crate) parser: String,
    /// How.
    pub(crate) kind: Kind,
    /// What was said, measured or seen.
    pub(crate) message: String,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// Inputs of the parser before it.
    pub(crate) number: u64,
    /// The sound file that was damaged, below the root of all sets.
    pub(crate) target: PathBuf,
    /// Where the input is kept; none where enough of this kind were.
    pub(crate) saved: Option<PathBuf>,
}

impl Fault {
    /// What faults of one cause have in common: digits of sizes and addresses differ.
    pub(crate) fn signature(&self) -> String {
        let line = self.message.lines().next().unwrap_or_default();
        let words: String = line
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .collect();
        format!("{} {:?} {words}", self.parser, self.kind)
    }

    /// Keeps the input and what is known of it in `folder`.
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

    /// What is known of an input that was kept.
    ///
    /// # Errors
    /// A file that isn't there or isn't one of these.
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

/// How many inputs of each cause were kept.
#[derive(Debug, Default)]
pub(crate) struct Kept(HashMap<String, usize>);

impl Kept {
    /// Inputs that are kept of one cause.
    const MOST: usize = 3;

    /// Keeps a fault's input in `folder`, unless enough of its cause were.
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

/// The file beside an input that says what it is.
fn about(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}
