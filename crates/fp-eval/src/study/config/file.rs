//! A configuration file, read as far as possible, with all of its problems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fp_data::dataset::{DatasetError, read_text};
use fp_data::json::{self, Document, Problem, Step};
use serde_json::Value;

use super::check::{ConfigError, Diagnostics};
use super::{HeadSetting, StudyConfig, StudyKind, schema};

/// A configuration file with all problems found in it.
///
/// Invalid parts are removed from [`ConfigFile::config`], so that the rest can still be checked; if
/// there are problems, that configuration must not be run.
#[derive(Debug)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// The configuration, with defaults in place of invalid values; `None` if nothing is valid.
    pub config: Option<StudyConfig>,
    diagnostics: Diagnostics,
    /// Results of checking the values, by their places in the configuration.
    found: Diagnostics,
    document: Option<Document>,
    /// Keys whose values were removed and replaced by defaults.
    dropped: BTreeSet<String>,
    /// For lists that lost entries: the indices in the file of the remaining ones.
    origins: BTreeMap<String, Vec<usize>>,
    /// Keys whose values flags replaced, and the flags.
    replaced: Vec<(&'static str, &'static str)>,
}

impl ConfigFile {
    /// Reads a file and checks it against the schema; [`StudyConfig::problems`] checks its values.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
        match read_text(path) {
            Ok(text) => Ok(ConfigFile::of_text(path, &text)),
            Err(DatasetError::Io { path, source }) => Err(ConfigError::Io { path, source }),
            Err(DatasetError::Content { reason, .. }) => {
                let mut file = ConfigFile::empty(path);
                file.diagnostics.add("", reason);
                Ok(file)
            }
            Err(other) => {
                let mut file = ConfigFile::empty(path);
                file.diagnostics.add("", other.to_string());
                Ok(file)
            }
        }
    }

    fn empty(path: &Path) -> ConfigFile {
        ConfigFile {
            path: path.to_owned(),
            config: None,
            diagnostics: Diagnostics::default(),
            found: Diagnostics::default(),
            document: None,
            dropped: BTreeSet::new(),
            origins: BTreeMap::new(),
            replaced: Vec::new(),
        }
    }

    /// Like [`ConfigFile::read`], for a text that was read from `path`.
    pub fn of_text(path: &Path, text: &str) -> ConfigFile {
        let mut file = ConfigFile::empty(path);
        let mut document = match Document::parse(text) {
            Ok(document) => document,
            Err(problem) => {
                file.diagnostics.push(problem);
                return file;
            }
        };
        for problem in std::mem::take(&mut document.duplicates) {
            file.diagnostics.push(problem);
        }
        let mut value = document.value.clone();
        let mut faults = json::schema::check(&schema::schema(), &value);
        for fault in heads_no_model_has(&value) {
            if faults.iter().all(|known| known.path != fault.path) {
                faults.push(fault);
            }
        }
        for fault in &faults {
            let mut problem = Problem::new(fault.path.to_string(), fault.message.clone());
            document.locate(&mut problem);
            file.diagnostics.push(problem);
        }
        file.document = Some(document);
        if !value.is_object() {
            return file;
        }
        file.prune(&mut value, &faults);
        match serde_json::from_value(value) {
            Ok(config) => file.config = Some(config),
            // An error that the schema doesn't cover.
            Err(error) if faults.is_empty() => file.diagnostics.add("", error.to_string()),
            Err(_) => {}
        }
        file
    }

    /// Removes invalid parts from the value, entry by entry and key by key.
    fn prune(&mut self, value: &mut Value, faults: &[json::schema::Fault]) {
        let mut entries: BTreeMap<Vec<Step>, BTreeSet<usize>> = BTreeMap::new();
        let mut keys: Vec<&[Step]> = Vec::new();
        for fault in faults {
            let steps = fault.path.0.as_slice();
            match steps.iter().position(|step| matches!(step, Step::Index(_))) {
                Some(at) => {
                    if let (list, [Step::Index(index), ..]) = steps.split_at(at) {
                        entries.entry(list.to_vec()).or_default().insert(*index);
                    }
                }
                None => keys.push(steps),
            }
        }
        for (list, gone) in entries {
            let path = json::Path(list.clone());
            let kept: Vec<usize> = match path.find(value).and_then(Value::as_array) {
                Some(all) => (0..all.len())
                    .filter(|index| !gone.contains(index))
                    .collect(),
                None => continue,
            };
            if kept.is_empty() {
                remove(value, &list);
                self.drop_key(&list);
                continue;
            }
            if let Some(all) = find_mut(value, &list).and_then(Value::as_array_mut) {
                let mut index = 0;
                all.retain(|_| {
                    index += 1;
                    !gone.contains(&(index - 1))
                });
            }
            self.origins.insert(path.to_string(), kept);
        }
        for steps in keys {
            remove(value, steps);
            self.drop_key(steps);
        }
        if let Some(keys) = value.as_object_mut()
            && !keys.contains_key("study")
        {
            // With any kind the rest can be checked; this one requires the fewest settings.
            keys.insert("study".to_owned(), StudyKind::Full.name().into());
            self.dropped.insert("study".to_owned());
        }
    }

    fn drop_key(&mut self, steps: &[Step]) {
        if let [Step::Key(key)] = steps {
            self.dropped.insert(key.clone());
        }
    }

    /// Whether the configuration's value for a key is from the file or a flag.
    pub fn is_known(&self, key: &str) -> bool {
        self.is_replaced(key) || !self.dropped.contains(key)
    }

    fn is_replaced(&self, key: &str) -> bool {
        self.replaced.iter().any(|(replaced, _)| *replaced == key)
    }

    /// Notes that a flag replaced the file's value for `key`, so that problems with it are the
    /// flag's.
    pub fn replace(&mut self, key: &'static str, flag: &'static str) {
        self.replaced.push((key, flag));
    }

    /// Adds results of checking the values, each with its line, unless they follow from removed
    /// parts.
    pub fn add(&mut self, found: Diagnostics) {
        let (known, known_in_file) = (self.found.clone(), self.diagnostics.clone());
        for mut problem in found.problems {
            if known.has_problem_at(&problem.place) {
                continue;
            }
            self.found.push(problem.clone());
            if let Some((_, flag)) = self.replaced.iter().find(|(key, _)| {
                let rest = problem.place.strip_prefix(key);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
            }) {
                problem.place = (*flag).to_owned();
            } else if self.follows_from_what_is_left_out(&problem.place) {
                continue;
            } else {
                problem.place = self.in_file(&problem.place);
                if known_in_file.has_problem_at(&problem.place) {
                    continue;
                }
                if let Some(document) = &self.document {
                    document.locate(&mut problem);
                }
            }
            self.diagnostics.push(problem);
        }
        self.diagnostics.not_checked.extend(found.not_checked);
        self.diagnostics.notes.extend(found.notes);
    }

    fn follows_from_what_is_left_out(&self, place: &str) -> bool {
        let key = place.split(['[', '.']).next().unwrap_or(place);
        let depends_on_study = key == "expectations"
            || matches!(
                place,
                "head_selection_strategies" | "query_selection_strategies" | "statistics.baseline"
            );
        let lists = ["head_selection_strategies", "query_selection_strategies"];
        let lost_strategies = || {
            let lost = |key: &&str| self.origins.contains_key(*key) || self.dropped.contains(*key);
            lists.iter().any(lost)
        };
        self.dropped.contains(key)
            || (depends_on_study && self.dropped.contains("study"))
            || (place == "statistics.baseline" && lost_strategies())
    }

    /// Translates a place in the configuration, which may have fewer entries, to the file.
    fn in_file(&self, place: &str) -> String {
        let moved = self.origins.iter().find_map(|(list, kept)| {
            let rest = place.strip_prefix(list.as_str())?.strip_prefix('[')?;
            let (index, rest) = rest.split_once(']')?;
            let index: usize = index.parse().ok()?;
            Some(format!("{list}[{}]{rest}", kept.get(index)?))
        });
        moved.unwrap_or_else(|| place.to_owned())
    }

    /// The problems found so far, in the order of the file.
    pub fn diagnostics(&mut self) -> &mut Diagnostics {
        self.diagnostics.sort();
        &mut self.diagnostics
    }

    /// The configuration, if there are no problems.
    ///
    /// # Errors
    /// All problems found.
    pub fn finish(mut self) -> Result<StudyConfig, ConfigError> {
        self.diagnostics.sort();
        match self.config {
            Some(config) if self.diagnostics.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid {
                path: Some(self.path),
                diagnostics: self.diagnostics,
            }),
        }
    }
}

/// Shares that no number of heads can have, such as 4/4, which no schema can express.
fn heads_no_model_has(value: &Value) -> Vec<json::schema::Fault> {
    const KEY: &str = "num_selected_heads";
    let entries = value.get(KEY).and_then(Value::as_array);
    let path = json::Path::default().key(KEY);
    let faults = entries.into_iter().flatten().enumerate();
    let faults = faults.filter_map(|(index, entry)| {
        let text = entry.as_str().filter(|text| text.contains('/'))?;
        let message = text.parse::<HeadSetting>().err()?;
        Some(json::schema::Fault {
            path: path.index(index),
            message,
        })
    });
    faults.collect()
}

fn find_mut<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn remove(value: &mut Value, steps: &[Step]) {
    if let Some((Step::Key(key), parents)) = steps.split_last()
        && let Some(keys) = find_mut(value, parents).and_then(Value::as_object_mut)
    {
        keys.remove(key);
    }
}
