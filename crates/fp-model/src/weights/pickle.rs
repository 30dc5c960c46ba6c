//! One `.bin` file, as saved by PyTorch.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::pickle::{PthTensors, TensorInfo};
use candle_core::{DType, Tensor};
use fp_image::guarded;
use fp_scoring::{Cause, open_file};
use zip::ZipArchive;

use super::pickle_scan::scan;
use super::shard::{StoredDtype, TensorEntry};
use crate::error::{ModelError, Result};

/// What error messages name if it panics.
const READER: &str = "reader of PyTorch files";

/// A `.bin` file whose list of tensors has been read.
pub(crate) struct PickleShard {
    path: PathBuf,
    tensors: PthTensors,
}

impl PickleShard {
    pub(crate) fn open(path: &Path) -> Result<(PickleShard, Vec<(String, TensorEntry)>)> {
        // The reader reports a missing file without its name.
        let file = open_file(path).map_err(|source| ModelError::Io {
            path: path.to_owned(),
            source,
        })?;
        let unusable = |source: Cause| ModelError::Shard {
            path: path.to_owned(),
            reason: "it isn't a complete PyTorch archive".to_owned(),
            source: Some(source),
        };
        let storages = guarded(READER, || look(file))
            .map_err(|panic| unusable(panic.into()))?
            .map_err(unusable)?;
        let tensors = guarded(READER, || PthTensors::new(path, None));
        let tensors = tensors
            .map_err(|panic| unusable(panic.into()))?
            .map_err(|error| unusable(first_line(&error).into()))?;
        let entries: Vec<_> = tensors
            .tensor_infos()
            .iter()
            .map(|(name, info)| {
                let entry = TensorEntry {
                    dtype: match info.dtype {
                        DType::F32 => Some(StoredDtype::F32),
                        DType::F16 => Some(StoredDtype::F16),
                        DType::BF16 => Some(StoredDtype::Bf16),
                        _ => None,
                    },
                    dtype_name: info.dtype.as_str().to_uppercase(),
                    shape: info.layout.dims().to_vec(),
                    offset: 0,
                };
                (name.clone(), entry)
            })
            .collect();
        for info in tensors.tensor_infos().values() {
            let held = storages.get(&info.path).copied();
            if let Some(reason) = beyond(info, held) {
                return Err(unusable(reason.into()));
            }
        }
        if entries.is_empty() {
            return Err(ModelError::Shard {
                path: path.to_owned(),
                reason: "it holds no tensors".to_owned(),
                source: None,
            });
        }
        Ok((
            PickleShard {
                path: path.to_owned(),
                tensors,
            },
            entries,
        ))
    }

    /// All values of a tensor.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>> {
        let broken = |reason: String, source: Option<Cause>| ModelError::Shard {
            path: self.path.clone(),
            reason,
            source,
        };
        let unreadable =
            |cause: Cause| broken(format!("tensor `{name}` can't be read"), Some(cause));
        let values = |tensor: Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        guarded(READER, || {
            let tensor = self.tensors.get(name).transpose();
            tensor.map(|tensor| tensor.and_then(values))
        })
        .map_err(|panic| unreadable(panic.into()))?
        .ok_or_else(|| broken(format!("tensor `{name}` no longer exists"), None))?
        .map_err(|error| unreadable(first_line(&error).into()))
    }
}

/// Scans the pickles of an archive before its reader does, and returns the size in bytes of each of
/// its other files.
fn look(file: File) -> Result<HashMap<String, u64>, Cause> {
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    let mut sizes = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        if name.ends_with("data.pkl") {
            scan(entry)?;
        } else {
            sizes.insert(name, entry.size());
        }
    }
    Ok(sizes)
}

/// Why a tensor's storage can't hold what its header states; `None` if it can.
fn beyond(info: &TensorInfo, held: Option<u64>) -> Option<String> {
    let name = &info.name;
    let Some(held) = held else {
        return Some(format!(
            "tensor `{name}` is in {}, which is missing",
            info.path
        ));
    };
    let mut dims = info.layout.dims().iter();
    let values = dims.try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let bytes = values.and_then(|values| values.checked_mul(info.dtype.size_in_bytes()));
    let end = bytes.and_then(|bytes| bytes.checked_add(info.layout.start_offset()));
    if end.is_some_and(|end| end as u64 <= held) {
        return None;
    }
    let shape = info.layout.dims();
    Some(format!(
        "tensor `{name}` of shape {shape:?} goes beyond the {held} bytes of its storage"
    ))
}

/// First line of an error: the reader's errors continue with a backtrace.
fn first_line(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl std::fmt::Debug for PickleShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PickleShard")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
