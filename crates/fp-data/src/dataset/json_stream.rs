//! Reads large JSON files entry by entry: `[…]`, `{"key": …}`, or either of them under one key of
//! an object.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::encoding::open_text;
use super::{DatasetError, ProblemKind, Problems};

/// Calls `take` for every entry of a file. `[…]` and, with `key`, `{"key": […]}` give entries
/// without a name; `{"name": …}` gives each with its own.
///
/// # Errors
/// A file that can't be read, isn't JSON of that shape or lacks `key`; entries of another type,
/// each by its number from 1.
pub(super) fn for_each_entry<T: DeserializeOwned>(
    path: &Path,
    key: Option<&str>,
    take: impl FnMut(Option<String>, T),
) -> Result<(), DatasetError> {
    let Err(error) = parse(path, key, take)? else {
        return Ok(());
    };
    // Typed parsing ends at the first wrong entry. The other wrong ones are only searched for now,
    // since untyped parsing takes several times as long.
    if error.is_data() {
        let mut problems = Problems::of("entry");
        let mut number = 0;
        let outcome = parse(path, key, |_, entry: serde_json::Value| {
            number += 1;
            if let Err(error) = T::deserialize(entry) {
                problems.add(number, ProblemKind::of_json(&error), error.to_string());
            }
        })?;
        if outcome.is_ok() && !problems.is_empty() {
            return Err(DatasetError::Lines {
                path: path.to_owned(),
                problems,
            });
        }
    }
    let reason = if error.is_eof() {
        "it is cut off"
    } else if error.to_string().contains("unicode") {
        "it isn't all UTF-8; is it Latin-1 or Windows-1252?"
    } else if error.is_data() {
        "it doesn't have the expected content"
    } else {
        "it isn't valid JSON"
    };
    Err(DatasetError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_owned(),
        source: error.into(),
    })
}

/// The parser's result, or an error if the file can't be opened.
fn parse<T: DeserializeOwned>(
    path: &Path,
    key: Option<&str>,
    mut take: impl FnMut(Option<String>, T),
) -> Result<serde_json::Result<()>, DatasetError> {
    let (file, _) = open_text(path)?;
    let mut parser = serde_json::Deserializer::from_reader(file);
    let mut found_key = key.is_none();
    let entries = Entries {
        key,
        found_key: &mut found_key,
        take: &mut take,
        of: PhantomData,
    };
    let outcome = entries.deserialize(&mut parser).and_then(|()| parser.end());
    Ok(outcome.and_then(|()| {
        if found_key {
            Ok(())
        } else {
            let message = format!("it has no key `{}`", key.unwrap_or_default());
            Err(serde::de::Error::custom(message))
        }
    }))
}

struct Entries<'a, T, F> {
    key: Option<&'a str>,
    found_key: &'a mut bool,
    take: &'a mut F,
    of: PhantomData<T>,
}

impl<'de, T: DeserializeOwned, F: FnMut(Option<String>, T)> DeserializeSeed<'de>
    for Entries<'_, T, F>
{
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(Option<String>, T)> Visitor<'de> for Entries<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "an object with a list under `{key}`"),
            None => f.write_str("a list or an object"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if self.key.is_some() {
            return Err(serde::de::Error::invalid_type(
                serde::de::Unexpected::Seq,
                &self,
            ));
        }
        while let Some(entry) = entries.next_element()? {
            (self.take)(None, entry);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(name) = entries.next_key::<String>()? {
            match self.key {
                None => (self.take)(Some(name), entries.next_value()?),
                Some(key) if key == name => {
                    *self.found_key = true;
                    entries.next_value_seed(Entries {
                        key: None,
                        found_key: &mut false,
                        take: &mut *self.take,
                        of: PhantomData,
                    })?;
                }
                Some(_) => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str, key: Option<&str>) -> Result<Vec<(Option<String>, u32)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut found = Vec::new();
        for_each_entry(file.path(), key, |name, entry| found.push((name, entry)))
            .map(|()| found)
            .map_err(|error| fp_scoring::error_text(&error))
    }

    #[test]
    fn every_shape_is_read() {
        let plain = vec![(None, 1), (None, 2)];
        assert_eq!(entries("[1, 2]", None), Ok(plain.clone()));
        assert_eq!(
            entries(r#"{"a": {"b": [9]}, "data": [1, 2], "c": 3}"#, Some("data")),
            Ok(plain)
        );
        let named = vec![(Some("x".into()), 1), (Some("y".into()), 2)];
        assert_eq!(entries(r#"{"x": 1, "y": 2}"#, None), Ok(named));
    }

    #[test]
    fn other_shapes_say_what_is_wrong() {
        for (text, key, part) in [
            ("[1, 2", None, "cut off"),
            ("[1] 2", None, "trailing"),
            ("[\"a\"]", None, "invalid type"),
            ("[\"a\", 1, 2.5]", None, "2 entries can't be used"),
            ("[\"a\", 1, 2.5]", None, "entry 3: invalid type"),
            ("{\"x\": 1, \"y\": \"a\"}", None, "entry 2: invalid type"),
            ("3", None, "a list or an object"),
            ("[1]", Some("data"), "an object with a list under `data`"),
            ("{\"a\": [1]}", Some("data"), "no key `data`"),
        ] {
            let error = entries(text, key).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
