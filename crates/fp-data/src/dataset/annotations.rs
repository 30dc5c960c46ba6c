//! Files of reference answers, looked up for the questions of another file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::{DatasetError, ProblemKind, Problems};

/// Entries by the id that questions look them up with; each can be taken once.
#[derive(Debug)]
pub(super) struct Annotations<T> {
    path: PathBuf,
    /// `None` once taken.
    by_id: HashMap<String, Option<T>>,
    num_left: usize,
}

impl<T> Annotations<T> {
    /// Reads a JSON file as [`for_each_entry`] does. `entry` returns an entry's lookup id and the
    /// value that is kept of it.
    ///
    /// # Errors
    /// As [`for_each_entry`]; entries with the same id, each by its number.
    pub(super) fn read<E: DeserializeOwned>(
        path: &Path,
        key: Option<&str>,
        mut entry: impl FnMut(Option<String>, E) -> (String, T),
    ) -> Result<Annotations<T>, DatasetError> {
        let mut by_id = HashMap::new();
        let mut problems = Problems::of("entry");
        let mut num_entries = 0;
        for_each_entry(path, key, |name, found: E| {
            num_entries += 1;
            let (id, kept) = entry(name, found);
            match by_id.entry(id) {
                Entry::Vacant(place) => {
                    place.insert(Some(kept));
                }
                Entry::Occupied(place) => {
                    let message = format!("{:?} is already used by an earlier entry", place.key());
                    problems.add(num_entries, ProblemKind::DuplicateId, message);
                }
            }
        })?;
        if problems.is_empty() {
            Ok(Annotations {
                path: path.to_owned(),
                num_left: by_id.len(),
                by_id,
            })
        } else {
            Err(DatasetError::Lines {
                path: path.to_owned(),
                problems,
            })
        }
    }

    /// Takes the entry with this id.
    pub(super) fn take(&mut self, id: &str) -> Result<T, LineFault> {
        let Some(entry) = self.by_id.get_mut(id) else {
            let message = format!("question {id} isn't in {}", self.path.display());
            return Err((ProblemKind::MissingAnswer, message));
        };
        let Some(found) = entry.take() else {
            let message = format!("question {id} is asked twice");
            return Err((ProblemKind::DuplicateId, message));
        };
        self.num_left -= 1;
        Ok(found)
    }

    /// Says how many entries no question asked for.
    pub(super) fn note(&self) -> Option<String> {
        (self.num_left > 0).then(|| {
            format!(
                "{} of the {} entries of {} belong to no question",
                self.num_left,
                self.by_id.len(),
                self.path.display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Annotations<u32>, DatasetError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Annotations::read(file.path(), None, |name, entry: u32| {
            (name.unwrap_or_default(), entry)
        })
    }

    #[test]
    fn each_is_found_once_and_the_rest_is_counted() {
        let mut found = read(r#"{"a": 1, "b": 2}"#).unwrap();
        assert_eq!(found.take("a"), Ok(1));
        let kind = |fault: Result<u32, LineFault>| fault.unwrap_err().0;
        assert_eq!(kind(found.take("a")), ProblemKind::DuplicateId);
        assert_eq!(kind(found.take("c")), ProblemKind::MissingAnswer);
        let note = found.note().unwrap();
        assert!(note.starts_with("1 of the 2 entries"), "{note}");
        assert_eq!((found.take("b"), found.note()), (Ok(2), None));
    }

    #[test]
    fn duplicates_are_refused_by_number() {
        let error = read(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap_err().to_string();
        assert!(error.contains("entry 3: \"a\" is already used"), "{error}");
    }
}
