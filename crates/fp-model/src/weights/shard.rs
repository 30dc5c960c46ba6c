//! One safetensors file.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fp_kernels::map::MappedFile;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::{ModelError, Result};

/// Number formats supported for stored weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredDtype {
    /// 32-bit float.
    F32,
    /// 16-bit float (IEEE 754).
    F16,
    /// 16-bit float that is the upper half of a 32-bit one.
    Bf16,
}

impl StoredDtype {
    /// Bytes of one value.
    pub(crate) fn size(self) -> usize {
        match self {
            StoredDtype::F32 => 4,
            StoredDtype::F16 | StoredDtype::Bf16 => 2,
        }
    }

    /// Appends the values in `bytes` to `out`.
    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            StoredDtype::F32 => {
                out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            }
            StoredDtype::F16 => {
                out.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f16::from_le_bytes(*b).to_f32()),
                );
            }
            StoredDtype::Bf16 => {
                out.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| bf16::from_le_bytes(*b).to_f32()),
                );
            }
        }
    }
}

/// Format, shape and location of a tensor in its shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorEntry {
    /// `None` for a format that isn't supported for weights.
    pub(crate) dtype: Option<StoredDtype>,
    /// Name of the format, as in the file.
    pub(crate) dtype_name: String,
    pub(crate) shape: Vec<usize>,
    /// Byte offset in the file; unused for pickled shards.
    pub(crate) offset: usize,
}

/// A memory-mapped safetensors file whose header has been read and whose length matches it.
#[derive(Debug)]
pub(crate) struct SafetensorsShard {
    path: PathBuf,
    file: Arc<MappedFile>,
}

/// Largest size of a header in bytes, far above that of any real checkpoint.
const LARGEST_HEADER: usize = 100 << 20;

impl SafetensorsShard {
    /// Opens `path`; returns the shard and its tensors.
    pub(crate) fn open(path: &Path) -> Result<(SafetensorsShard, Vec<(String, TensorEntry)>)> {
        let broken = |reason: String| ModelError::Shard {
            path: path.to_owned(),
            reason,
            source: None,
        };
        let file = MappedFile::open(path).map_err(|source| ModelError::Io {
            path: path.to_owned(),
            source,
        })?;
        let file_len = file.len();
        let Some(length) = file.bytes(0..8).and_then(|bytes| bytes.try_into().ok()) else {
            return Err(broken(format!(
                "{file_len} bytes are too few for a safetensors file"
            )));
        };
        let header_len = u64::from_le_bytes(length);
        let header = usize::try_from(header_len)
            .ok()
            .filter(|len| *len <= LARGEST_HEADER)
            .and_then(|len| file.bytes(8..8 + len));
        let Some(header) = header else {
            return Err(broken(format!(
                "it starts with a header length of {header_len}, but has {file_len} bytes; it is truncated or not a safetensors file"
            )));
        };
        let data_start = 8 + header.len();
        let metadata: Metadata =
            serde_json::from_slice(header).map_err(|error| ModelError::Shard {
                path: path.to_owned(),
                reason: "its header doesn't parse".to_owned(),
                source: Some(error.into()),
            })?;
        let expected = data_start.saturating_add(metadata.data_len());
        if file_len != expected {
            return Err(broken(format!(
                "it has {file_len} bytes, its header states {expected}; the file was probably not copied completely"
            )));
        }
        let entries = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let entry = TensorEntry {
                    dtype: match info.dtype {
                        Dtype::F32 => Some(StoredDtype::F32),
                        Dtype::F16 => Some(StoredDtype::F16),
                        Dtype::BF16 => Some(StoredDtype::Bf16),
                        _ => None,
                    },
                    dtype_name: format!("{:?}", info.dtype),
                    shape: info.shape.clone(),
                    offset: data_start + info.data_offsets.0,
                };
                (name, entry)
            })
            .collect();
        Ok((
            SafetensorsShard {
                path: path.to_owned(),
                file: Arc::new(file),
            },
            entries,
        ))
    }

    /// The file and a tensor's bytes in it; their pages are prefetched and kept.
    pub(crate) fn mapped(
        &self,
        entry: &TensorEntry,
        dtype: StoredDtype,
    ) -> Result<(Arc<MappedFile>, Range<usize>)> {
        let count: usize = entry.shape.iter().product();
        let range = entry.offset..entry.offset + count * dtype.size();
        if self.file.bytes(range.clone()).is_none() {
            return Err(self.past_end(&range));
        }
        self.file.prefetch(range.clone());
        Ok((Arc::clone(&self.file), range))
    }

    fn past_end(&self, range: &Range<usize>) -> ModelError {
        ModelError::Shard {
            path: self.path.clone(),
            reason: format!("bytes {range:?} are past its end"),
            source: None,
        }
    }

    /// Appends `count` values of a tensor, from index `first` on, to `out`, and releases their
    /// pages, so that the values aren't held twice.
    pub(crate) fn read(
        &self,
        entry: &TensorEntry,
        dtype: StoredDtype,
        first: usize,
        count: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let start = entry.offset + first * dtype.size();
        let range = start..start + count * dtype.size();
        self.file.prefetch(range.clone());
        let bytes = self
            .file
            .bytes(range.clone())
            .ok_or_else(|| self.past_end(&range))?;
        dtype.decode(bytes, out);
        self.file.release(range);
        Ok(())
    }
}
