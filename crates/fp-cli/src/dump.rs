//! Reading parts of a safetensors file: nothing is allocated that the file's
//! own size doesn't vouch for, and of a tensor only the part asked for is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

/// Bytes that hold the header's length, little endian.
const LENGTH_BYTES: u64 = 8;

/// The format's own limit on its header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A safetensors file whose header was found sound.
#[derive(Debug)]
pub(crate) struct Dump {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

/// Number types that attention is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    F32,
    F16,
    Bf16,
}

/// One tensor of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) precision: Precision,
    /// Of its first byte in the file.
    start: u64,
}

impl Dump {
    /// Opens `path` and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read_header(path).with_context(|| format!("can't read {}", path.display()))
    }

    fn read_header(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            bail!("it is not a regular file; an attention dump is a .safetensors file");
        }
        let file_bytes = about.len();
        if file_bytes < LENGTH_BYTES {
            bail!(
                "not a safetensors file: it has {file_bytes} bytes, the header's length alone takes {LENGTH_BYTES}"
            );
        }
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut length)?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > file_bytes - LENGTH_BYTES {
            bail!(
                "truncated or not a safetensors file: it announces a header of {header_bytes} bytes, but only {} follow",
                file_bytes - LENGTH_BYTES
            );
        }
        if header_bytes > MAX_HEADER_BYTES {
            bail!(
                "it announces a header of {header_bytes} bytes; safetensors allows {MAX_HEADER_BYTES}"
            );
        }
        let mut header = vec![0; usize::try_from(header_bytes)?];
        file.read_exact(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .context("not a safetensors file: its header is not the JSON that the format wants")?;
        // Every tensor lies between the header's end and this, each where the last one ended.
        let data_start = LENGTH_BYTES + header_bytes;
        let announced = metadata.data_len() as u64;
        let present = file_bytes - data_start;
        if announced > present {
            bail!("truncated: its header announces {announced} bytes of tensors, {present} follow");
        }
        if announced < present {
            bail!(
                "damaged: its header announces {announced} bytes of tensors, but {present} follow"
            );
        }
        Ok(Dump {
            path: path.to_owned(),
            file,
            metadata,
            data_start,
        })
    }

    /// The tensor called `name`, or the only one there is.
    pub(crate) fn tensor(&self, name: Option<&str>) -> Result<Tensor> {
        let tensors = self.metadata.tensors();
        let (name, info) = match name {
            Some(name) => tensors.get_key_value(name).with_context(|| {
                format!(
                    "{} has no tensor `{name}`; it has {}",
                    self.path.display(),
                    self.listing()
                )
            })?,
            None => {
                let mut entries = tensors.iter();
                match (entries.next(), entries.next()) {
                    (Some(only), None) => only,
                    (None, _) => bail!("{} has no tensors", self.path.display()),
                    _ => bail!(
                        "{} has several tensors; name one with --tensor: {}",
                        self.path.display(),
                        self.listing()
                    ),
                }
            }
        };
        let precision = match info.dtype {
            Dtype::F32 => Precision::F32,
            Dtype::F16 => Precision::F16,
            Dtype::BF16 => Precision::Bf16,
            other => bail!("tensor `{name}` is {other:?}; attention is read as F32, F16 or BF16"),
        };
        Ok(Tensor {
            name: name.clone(),
            shape: info.shape.clone(),
            precision,
            start: self.data_start + info.data_offsets.0 as u64,
        })
    }

    fn listing(&self) -> String {
        let tensors = self.metadata.tensors();
        let mut entries: Vec<String> = tensors
            .iter()
            .map(|(name, info)| format!("`{name}` {:?} {:?}", info.dtype, info.shape))
            .collect();
        if entries.is_empty() {
            return "none".to_owned();
        }
        entries.sort();
        entries.join(", ")
    }

    /// Reads `len` values of `tensor` from value `start` on; exact in every precision.
    pub(crate) fn read(&mut self, tensor: &Tensor, start: usize, len: usize) -> Result<Vec<f32>> {
        let (precision, name) = (tensor.precision, &tensor.name);
        let size = precision.bytes();
        let read = |file: &mut File| -> std::io::Result<Vec<u8>> {
            let mut bytes = vec![0; len * size];
            file.seek(SeekFrom::Start(tensor.start + (start * size) as u64))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read(&mut self.file)
            .with_context(|| format!("can't read tensor `{name}` of {}", self.path.display()))?;
        Ok(precision.widen(&bytes))
    }
}

impl Precision {
    const fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 | Precision::Bf16 => 2,
        }
    }

    /// How far a row may sum from 1: what rounding each value to this precision
    /// can add up to, with room for a softmax made in that precision.
    pub(crate) const fn row_sum_tolerance(self) -> f64 {
        match self {
            Precision::F32 => 1e-3,
            Precision::F16 | Precision::Bf16 => 1e-2,
        }
    }

    fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = || bytes.as_chunks::<2>().0.iter();
        match self {
            Precision::F32 => {
                let values = bytes.as_chunks::<4>().0.iter();
                values.map(|value| f32::from_le_bytes(*value)).collect()
            }
            Precision::F16 => {
                let values: Vec<f16> = pairs().map(|value| f16::from_le_bytes(*value)).collect();
                widen_half(&values)
            }
            Precision::Bf16 => {
                let values: Vec<bf16> = pairs().map(|value| bf16::from_le_bytes(*value)).collect();
                widen_half(&values)
            }
        }
    }
}

fn widen_half<T>(values: &[T]) -> Vec<f32>
where
    [T]: HalfFloatSliceExt,
{
    let mut wide = vec![0.0; values.len()];
    values.convert_to_f32_slice(&mut wide);
    wide
}
