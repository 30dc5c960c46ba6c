//! Large JSON files, one entry at a time: `[…]`, `{"key": …}`, or either of them
//! under one key of an object.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DatasetError;

/// Hands every entry of a file on. `[…]` and, with `key`, `{"key": […]}` give entries
/// without a name; `{"name": …}` gives each with its own.
///
/// # Errors
/// A file that can't be read, isn't JSON of that shape or lacks `key`; an entry of
/// another type.
pub(super) fn for_each_entry<T: DeserializeOwned>(
    path: &Path,
    key: Option<&str>,
    mut take: impl FnMut(Option<String>, T),
) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(|source| DatasetError::Io {
        path: path.to_owned(),
        source,
    })?;
    let reader = BufReader::with_capacity(1 << 18, file);
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let mut found_key = key.is_none();
    let entries = Entries {
        key,
        found_key: &mut found_key,
        take: &mut take,
        of: PhantomData,
    };
    let outcome = entries.deserialize(&mut parser).and_then(|()| parser.end());
    let reason = match (outcome, found_key) {
        (Ok(()), true) => return Ok(()),
        (Ok(()), false) => format!("it has no key `{}`", key.unwrap_or_default()),
        (Err(error), _) if error.is_eof() => format!("it is cut off: {error}"),
        (Err(error), _) => error.to_string(),
    };
    Err(DatasetError::Content {
        path: path.to_owned(),
        reason,
    })
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
            .map_err(|error| error.to_string())
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
            ("3", None, "a list or an object"),
            ("[1]", Some("data"), "an object with a list under `data`"),
            ("{\"a\": [1]}", Some("data"), "no key `data`"),
        ] {
            let error = entries(text, key).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
