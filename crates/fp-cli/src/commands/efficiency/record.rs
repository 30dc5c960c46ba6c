//! Output files of a measurement.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fp_eval::efficiency::{EFFICIENCY_FILE, EFFICIENCY_TEXT_FILE, Efficiency, markdown};

/// Destination of a measurement; without a folder nothing is written.
pub(super) struct Record {
    paths: Option<[PathBuf; 2]>,
}

impl Record {
    /// Creates the folder, so that an unwritable one is reported before any work.
    pub(super) fn new(folder: Option<&Path>, name: Option<&str>) -> Result<Record> {
        let Some(folder) = folder else {
            return Ok(Record { paths: None });
        };
        if let Some(name) = name {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            ensure!(
                !name.is_empty() && name.chars().all(is_plain),
                "--name {name:?}: expected letters, digits, `-`, `_` and `.`"
            );
        }
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        let paths = [EFFICIENCY_FILE, EFFICIENCY_TEXT_FILE].map(|file| match name {
            None => folder.join(file),
            Some(name) => {
                folder.join(file.replacen("efficiency", &format!("efficiency-{name}"), 1))
            }
        });
        Ok(Record { paths: Some(paths) })
    }

    /// Writes the files; returns their paths.
    pub(super) fn write(&self, measured: &Efficiency) -> Result<Vec<PathBuf>> {
        let Some([json, text]) = &self.paths else {
            return Ok(Vec::new());
        };
        fp_eval::efficiency::write(json, measured)?;
        let page = format!("{}\n`{}` wrote this.\n", markdown(measured), command_line());
        std::fs::write(text, page).with_context(|| format!("can't write {}", text.display()))?;
        Ok(vec![json.clone(), text.clone()])
    }
}

/// The command as typed, from its name on.
fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=".contains(c);
        if word.chars().all(is_plain) && !word.is_empty() {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    let words: Vec<String> = std::iter::once("finepruner".to_owned())
        .chain(words)
        .collect();
    words.join(" ")
}
