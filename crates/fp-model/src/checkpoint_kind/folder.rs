//! A folder's file names and its config, unchecked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::read_json;
use crate::weights::Checkpoint;

/// What can be known about a folder without opening its weights.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Names of the entries; empty if the folder can't be read.
    names: BTreeSet<String>,
    /// `config.json`, if it parses.
    config: Option<Value>,
}

impl Folder {
    pub(crate) fn read(dir: &Path) -> Folder {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        Folder {
            dir: dir.to_owned(),
            names: entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect(),
            config: read_json(&dir.join("config.json")).ok(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The first file name in alphabetical order for which `is_it` holds.
    pub(super) fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<&str> {
        self.names
            .iter()
            .map(String::as_str)
            .find(|name| is_it(name))
    }

    /// The first of `names` that exists in the folder.
    pub(super) fn first_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names
            .iter()
            .copied()
            .find(|name| self.names.contains(*name))
    }

    /// Whether there is a config or weights.
    pub(super) fn is_checkpoint(&self) -> bool {
        self.names.contains("config.json") || self.has_weights()
    }

    /// Whether weight files exist under the usual names.
    pub(super) fn has_weights(&self) -> bool {
        Checkpoint::is_in(&self.dir)
    }

    pub(super) fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    /// A field of the config; `null` counts as absent.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.config()?.get(name).filter(|value| !value.is_null())
    }
}
