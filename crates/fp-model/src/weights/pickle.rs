//! One `.bin` file, as PyTorch saves it.

use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};
use fp_scoring::Cause;

use super::shard::{StoredDtype, TensorEntry};
use crate::error::{ModelError, Result};

/// A `.bin` file whose list of tensors has been read.
pub(crate) struct PickleShard {
    path: PathBuf,
    tensors: PthTensors,
}

impl PickleShard {
    pub(crate) fn open(path: &Path) -> Result<(PickleShard, Vec<(String, TensorEntry)>)> {
        // The reader reports a missing file without its name.
        std::fs::File::open(path).map_err(|source| ModelError::Io {
            path: path.to_owned(),
            source,
        })?;
        let tensors = PthTensors::new(path, None).map_err(|error| ModelError::Shard {
            path: path.to_owned(),
            reason: "it isn't a whole PyTorch archive".to_owned(),
            source: Some(first_line(&error).into()),
        })?;
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
        self.tensors
            .get(name)
            .transpose()
            .ok_or_else(|| broken(format!("tensor `{name}` is gone"), None))?
            .and_then(|tensor: Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1())
            .map_err(|error| {
                let cause = first_line(&error).into();
                broken(format!("tensor `{name}` can't be read"), Some(cause))
            })
    }
}

/// The reader's errors carry a backtrace after their first line.
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
