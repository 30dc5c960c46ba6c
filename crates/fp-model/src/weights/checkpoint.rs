//! A folder of weight files (shards).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fp_kernels::dense::{HalfFormat, HalfMatrix, NotFinite};

use super::pickle::PickleShard;
use super::shard::{SafetensorsShard, StoredDtype, TensorEntry};
use crate::config::read_json;
use crate::error::{ModelError, Result};

/// Names of weight files, in order of preference, and whether each is an index.
const FORMS: [(&str, bool); 4] = [
    ("model.safetensors.index.json", true),
    ("model.safetensors", false),
    ("pytorch_model.bin.index.json", true),
    ("pytorch_model.bin", false),
];

/// Number of values read at a time: 4 MiB of `f32`.
const CHUNK_VALUES: usize = 1 << 20;

#[derive(Debug)]
enum Shard {
    Safetensors(SafetensorsShard),
    Pickle(PickleShard),
}

/// All tensors of a checkpoint's folder. Every shard has been opened and checked for completeness.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    dir: PathBuf,
    shards: Vec<(PathBuf, Shard)>,
    tensors: BTreeMap<String, (usize, TensorEntry)>,
    /// Shard of each tensor according to an index file, if there is one.
    promised: BTreeMap<String, PathBuf>,
}

impl Checkpoint {
    /// Opens the weights in `dir`.
    ///
    /// # Errors
    /// No weights, a damaged index, or a shard that is missing or cut short.
    pub(crate) fn open(dir: &Path) -> Result<Checkpoint> {
        let found = FORMS.into_iter().find(|(name, _)| dir.join(name).is_file());
        let Some((name, is_index)) = found else {
            return Err(ModelError::NoWeights {
                dir: dir.to_owned(),
                looked_for: FORMS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            });
        };
        let promised = if is_index {
            read_index(dir, &dir.join(name))?
        } else {
            BTreeMap::new()
        };
        let paths: BTreeSet<PathBuf> = if is_index {
            promised.values().cloned().collect()
        } else {
            BTreeSet::from([dir.join(name)])
        };
        let mut checkpoint = Checkpoint {
            dir: dir.to_owned(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            promised,
        };
        for path in paths {
            checkpoint.add(&path)?;
        }
        Ok(checkpoint)
    }

    /// Whether `dir` has weights under one of the known names.
    pub(crate) fn is_in(dir: &Path) -> bool {
        FORMS.iter().any(|(name, _)| dir.join(name).is_file())
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let (shard, entries) = if path.extension().is_some_and(|extension| extension == "bin") {
            let (shard, entries) = PickleShard::open(path)?;
            (Shard::Pickle(shard), entries)
        } else {
            let (shard, entries) = SafetensorsShard::open(path)?;
            (Shard::Safetensors(shard), entries)
        };
        let index = self.shards.len();
        self.shards.push((path.to_owned(), shard));
        for (name, entry) in entries {
            // If two shards hold a tensor, the one that the index names counts.
            let is_elsewhere = self.promised.get(&name).is_some_and(|place| place != path);
            if !(is_elsewhere && self.tensors.contains_key(&name)) {
                self.tensors.insert(name, (index, entry));
            }
        }
        Ok(())
    }

    /// Tensors that the index lists but their shard doesn't hold, each with an error.
    pub(crate) fn broken_promises(&self) -> impl Iterator<Item = (&str, ModelError)> {
        self.promised.iter().filter_map(|(name, path)| {
            let holder = self
                .tensors
                .get(name)
                .and_then(|(shard, _)| self.shards.get(*shard));
            if holder.is_some_and(|(held_in, _)| held_in == path) {
                return None;
            }
            let error = ModelError::Shard {
                path: path.clone(),
                reason: format!("the index lists tensor `{name}` in it, which isn't there"),
                source: None,
            };
            Some((name.as_str(), error))
        })
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Files of the checkpoint.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.shards.iter().map(|(path, _)| path.as_path())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape and number format of a tensor.
    pub(crate) fn info(&self, name: &str) -> Option<(&[usize], Option<StoredDtype>)> {
        self.tensors
            .get(name)
            .map(|(_, entry)| (entry.shape.as_slice(), entry.dtype))
    }

    /// Name of a tensor's number format, as in its file.
    pub(crate) fn format(&self, name: &str) -> Option<&str> {
        let (_, entry) = self.tensors.get(name)?;
        Some(&entry.dtype_name)
    }

    /// Whether a tensor's file is memory-mapped.
    pub(crate) fn is_mapped(&self, name: &str) -> bool {
        let shard = self.tensors.get(name).map(|(shard, _)| *shard);
        let shard = shard.and_then(|shard| self.shards.get(shard));
        matches!(shard, Some((_, Shard::Safetensors(_))))
    }

    /// Checks that `name` exists with this shape, in a supported format.
    pub(crate) fn check(&self, name: &str, expected: &[usize], config: &Path) -> Result<()> {
        self.entry(name, expected, config).map(|_| ())
    }

    fn entry(
        &self,
        name: &str,
        expected: &[usize],
        config: &Path,
    ) -> Result<(&(PathBuf, Shard), &TensorEntry, StoredDtype)> {
        let found = self
            .tensors
            .get(name)
            .and_then(|(shard, entry)| self.shards.get(*shard).map(|shard| (shard, entry)));
        let Some((shard, entry)) = found else {
            let single = self.shards.first().filter(|_| self.shards.len() == 1);
            let place = self.promised.get(name).or(single.map(|(path, _)| path));
            return Err(ModelError::TensorMissing {
                name: name.to_owned(),
                expected: expected.to_vec(),
                location: place.unwrap_or(&self.dir).clone(),
                config: config.to_owned(),
            });
        };
        if entry.shape != expected {
            return Err(ModelError::TensorShape {
                name: name.to_owned(),
                shard: shard.0.clone(),
                expected: expected.to_vec(),
                got: entry.shape.clone(),
                config: config.to_owned(),
            });
        }
        let dtype = entry.dtype.ok_or_else(|| ModelError::TensorDtype {
            name: name.to_owned(),
            shard: shard.0.clone(),
            found: entry.dtype_name.clone(),
        })?;
        Ok((shard, entry, dtype))
    }

    /// Adds a tensor of this shape to `matrix` without copying, if its file is mapped and has the
    /// matrix's format; returns whether it did. A value that isn't finite is an error.
    pub(crate) fn push_mapped(
        &self,
        name: &str,
        expected: &[usize],
        config: &Path,
        matrix: &mut HalfMatrix,
    ) -> Result<bool> {
        let ((path, shard), entry, dtype) = self.entry(name, expected, config)?;
        let format = match dtype {
            StoredDtype::F32 => None,
            StoredDtype::F16 => Some(HalfFormat::F16),
            StoredDtype::Bf16 => Some(HalfFormat::Bf16),
        };
        let Shard::Safetensors(shard) = shard else {
            return Ok(false);
        };
        if format != Some(matrix.format()) {
            return Ok(false);
        }
        let (file, bytes) = shard.mapped(entry, dtype)?;
        matrix.push_mapped(file, bytes);
        match matrix.check_finite() {
            Ok(()) => Ok(true),
            Err(NotFinite { index, value }) => Err(ModelError::TensorValue {
                name: name.to_owned(),
                shard: path.clone(),
                index,
                value,
            }),
        }
    }

    /// Reads a tensor of this shape in blocks of whole rows (entries of the first dimension);
    /// `take` gets each block with the index of its first row. A value that isn't finite is an
    /// error, since it would spread to every result.
    pub(crate) fn read(
        &self,
        name: &str,
        expected: &[usize],
        config: &Path,
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        let ((path, shard), entry, dtype) = self.entry(name, expected, config)?;
        let num_rows = expected.first().copied().unwrap_or(1);
        let width: usize = expected.iter().skip(1).product();
        let mut take = |first: usize, values: &[f32]| match first_not_finite(values) {
            None => {
                take(first, values);
                Ok(())
            }
            Some((index, value)) => Err(ModelError::TensorValue {
                name: name.to_owned(),
                shard: path.clone(),
                index: first * width + index,
                value,
            }),
        };
        match shard {
            Shard::Pickle(shard) => take(0, &shard.read(name)?)?,
            Shard::Safetensors(shard) => {
                let run = (CHUNK_VALUES / width.max(1)).max(1);
                let mut values = Vec::new();
                for first in (0..num_rows).step_by(run) {
                    let rows = run.min(num_rows - first);
                    values.clear();
                    shard.read(entry, dtype, first * width, rows * width, &mut values)?;
                    take(first, &values)?;
                }
            }
        }
        Ok(())
    }
}

/// Index and value of the first NaN or infinity, if there is one.
fn first_not_finite(values: &[f32]) -> Option<(usize, f32)> {
    const EXPONENT: u32 = 0x7f80_0000;
    // The largest exponent of a block shows it, without a branch per value.
    let is_damaged = values.chunks(4096).any(|values| {
        let exponents = values.iter().map(|value| value.to_bits() & EXPONENT);
        exponents.fold(0, u32::max) == EXPONENT
    });
    let mut values = values.iter().copied().enumerate();
    is_damaged
        .then(|| values.find(|(_, value)| !value.is_finite()))
        .flatten()
}

/// Reads the shard of each tensor from an index file.
fn read_index(dir: &Path, path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let value = read_json(path)?;
    let broken = |found: String| ModelError::ConfigField {
        path: path.to_owned(),
        field: "weight_map".to_owned(),
        found,
        expected: "an object from tensor names to file names in the same folder".to_owned(),
    };
    let map = value
        .get("weight_map")
        .and_then(|map| map.as_object())
        .filter(|map| !map.is_empty())
        .ok_or_else(|| broken("missing, empty or not an object".to_owned()))?;
    map.iter()
        .map(|(name, file)| {
            // Only a plain file name: an index must not lead out of its folder.
            let file = file
                .as_str()
                .filter(|file| {
                    Path::new(file)
                        .file_name()
                        .is_some_and(|name| name == *file)
                })
                .ok_or_else(|| broken(format!("{file} for `{name}`")))?;
            Ok((name.clone(), dir.join(file)))
        })
        .collect()
}
