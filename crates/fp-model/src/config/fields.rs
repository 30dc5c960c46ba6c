//! Typed access to a JSON object, with errors that name the field at fault.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{ModelError, Result};

/// A JSON object, or its absence, with its place in the file.
///
/// `null` counts as absent: configs write it to mean the class default.
pub(crate) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    path: &'a Path,
    prefix: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(value: &'a Value, path: &'a Path) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| ModelError::ConfigField {
            path: path.to_owned(),
            field: ".".to_owned(),
            found: value.to_string(),
            expected: "an object".to_owned(),
        })?;
        Ok(Fields {
            map: Some(map),
            path,
            prefix: String::new(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// Whether the object itself is there.
    pub(crate) fn is_present(&self) -> bool {
        self.map.is_some()
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map
            .and_then(|map| map.get(name))
            .filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether `name` is present at all, even as `null`.
    pub(crate) fn is_stated(&self, name: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(name))
    }

    /// An error about `name`'s value.
    pub(crate) fn invalid(&self, name: &str, expected: &str) -> ModelError {
        ModelError::ConfigField {
            path: self.path.to_owned(),
            field: format!("{}{name}", self.prefix),
            found: self
                .get(name)
                .map_or_else(|| "absent".to_owned(), Value::to_string),
            expected: expected.to_owned(),
        }
    }

    /// The object under `name`, absent if `name` is.
    pub(crate) fn object(&self, name: &str) -> Result<Fields<'a>> {
        let map = match self.get(name) {
            None => None,
            Some(value) => Some(
                value
                    .as_object()
                    .ok_or_else(|| self.invalid(name, "an object"))?,
            ),
        };
        Ok(Fields {
            map,
            path: self.path,
            prefix: format!("{}{name}.", self.prefix),
        })
    }

    pub(crate) fn optional_string(&self, name: &str) -> Result<Option<String>> {
        self.get(name)
            .map(|value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.invalid(name, "a string"))
            })
            .transpose()
    }

    pub(crate) fn string(&self, name: &str, default: &str) -> Result<String> {
        Ok(self
            .optional_string(name)?
            .unwrap_or_else(|| default.to_owned()))
    }

    /// Number format of the weights, under its older or newer name.
    pub(crate) fn stored_dtype(&self) -> Result<Option<String>> {
        self.optional_string(if self.has("torch_dtype") {
            "torch_dtype"
        } else {
            "dtype"
        })
    }

    /// A positive size, such as a width, of at most 2²⁰.
    pub(crate) fn size(&self, name: &str, default: usize) -> Result<usize> {
        self.size_up_to(name, default, 1 << 20)
    }

    /// A size from 1 to `limit`, a bound larger than any real size and small enough that no product
    /// of sizes overflows.
    pub(crate) fn size_up_to(&self, name: &str, default: usize, limit: usize) -> Result<usize> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| (1..=limit).contains(size))
            .ok_or_else(|| self.invalid(name, &format!("a positive integer up to {limit}")))
    }

    pub(crate) fn optional_size(&self, name: &str, limit: usize) -> Result<Option<usize>> {
        self.has(name)
            .then(|| self.size_up_to(name, 0, limit))
            .transpose()
    }

    pub(crate) fn integer(&self, name: &str, default: i64) -> Result<i64> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .as_i64()
            .ok_or_else(|| self.invalid(name, "an integer"))
    }

    /// A positive finite number.
    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .as_f64()
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| self.invalid(name, "a positive number"))
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .as_bool()
            .ok_or_else(|| self.invalid(name, "true or false"))
    }

    pub(crate) fn token(&self, name: &str, default: u32) -> Result<u32> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| self.invalid(name, "a token id"))
    }

    /// The token that stands for the image, under its older or newer name.
    pub(crate) fn image_token(&self, default: u32) -> Result<u32> {
        if self.has("image_token_index") {
            self.token("image_token_index", default)
        } else {
            self.token("image_token_id", default)
        }
    }

    /// A token id or a list of them.
    pub(crate) fn token_list(&self, name: &str) -> Result<Option<Vec<u32>>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let single = std::slice::from_ref(value);
        let ids: Option<Vec<u32>> = value
            .as_array()
            .map_or(single, Vec::as_slice)
            .iter()
            .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
            .collect();
        ids.map(Some)
            .ok_or_else(|| self.invalid(name, "a token id or a list of them"))
    }

    /// A list of whole numbers, each below 2²⁰.
    pub(crate) fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let size = |value: &Value| {
            let size = value.as_u64().filter(|&size| size < 1 << 20)?;
            usize::try_from(size).ok()
        };
        let sizes: Option<Vec<usize>> = value
            .as_array()
            .and_then(|list| list.iter().map(size).collect());
        sizes
            .map(Some)
            .ok_or_else(|| self.invalid(name, "a list of whole numbers"))
    }

    /// A list of pairs of positive integers.
    pub(crate) fn size_pairs(&self, name: &str) -> Result<Vec<(usize, usize)>> {
        let pair = |value: &Value| -> Option<(usize, usize)> {
            match value.as_array()?.as_slice() {
                [first, second] => {
                    let size = |value: &Value| {
                        value
                            .as_u64()
                            .filter(|&size| (1..1 << 20).contains(&size))
                            .map(|size| size as usize)
                    };
                    Some((size(first)?, size(second)?))
                }
                _ => None,
            }
        };
        self.get(name)
            .and_then(Value::as_array)
            .filter(|list| !list.is_empty())
            .and_then(|list| list.iter().map(pair).collect())
            .ok_or_else(|| self.invalid(name, "a list of [height, width]"))
    }
}
