//! Reads parts of files of tensors: allocations are bounded by the file's own size, and only the
//! requested part of a tensor is read.

mod foreign;
mod header;
mod npy;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use self::header::Header;

/// Number types of stored attention, in words.
pub(crate) const PRECISIONS: &str = "F64, F32, F16 or BF16";

/// A file of tensors whose header has been checked.
#[derive(Debug)]
pub(crate) struct Dump {
    path: PathBuf,
    file: File,
    contents: Contents,
}

/// Contents of a header.
#[derive(Debug)]
enum Contents {
    /// Tensors by name.
    Safetensors(Header),
    /// One array without a name.
    Npy(Entry),
}

/// A tensor as its header describes it, entirely inside the file.
#[derive(Debug)]
struct Entry {
    /// The number type, as the format names it.
    dtype: String,
    /// `None` for a number type that is not supported for attention.
    precision: Option<Precision>,
    shape: Vec<usize>,
    /// Offset of its first byte in the file.
    start: u64,
}

/// Number types that are supported for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    F64,
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
    start: u64,
}

/// Values in the precision in which they are stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Values of [`Precision::F64`].
    F64(Vec<f64>),
    /// Values of all other precisions.
    F32(Vec<f32>),
}

impl Tensor {
    /// Description of an array in memory.
    pub(crate) fn in_memory(name: &str, shape: &[usize], precision: Precision) -> Tensor {
        Tensor {
            name: name.to_owned(),
            shape: shape.to_owned(),
            precision,
            start: 0,
        }
    }
}

impl Dump {
    /// Opens `path` and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read_header(path).with_context(|| format!("can't read {}", path.display()))
    }

    fn read_header(path: &Path) -> Result<Self> {
        // Checked before opening, since opening a pipe would wait.
        let about = std::fs::metadata(path)?;
        ensure!(
            about.is_file(),
            "it is not a regular file; an attention dump is a .safetensors or .npy file"
        );
        let mut file = File::open(path)?;
        let mut first = Vec::new();
        Read::by_ref(&mut file).take(64).read_to_end(&mut first)?;
        file.rewind()?;
        if let Some(advice) = foreign::advice(path, &first) {
            bail!(advice);
        }
        let contents = if npy::is_npy(&first) {
            Contents::Npy(npy::read(&mut file, about.len())?)
        } else {
            Contents::Safetensors(header::read(&mut file, about.len())?)
        };
        Ok(Dump {
            path: path.to_owned(),
            file,
            contents,
        })
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its tensors have names.
    pub(crate) fn has_names(&self) -> bool {
        matches!(self.contents, Contents::Safetensors(_))
    }

    /// The position of the image as written in the file's metadata.
    pub(crate) fn image_range(&self) -> Option<&str> {
        match &self.contents {
            Contents::Safetensors(header) => header.image_range.as_deref(),
            Contents::Npy(_) => None,
        }
    }

    /// The positions of the tensor's rows as written in the file's metadata.
    pub(crate) fn query_rows(&self) -> Option<&str> {
        match &self.contents {
            Contents::Safetensors(header) => header.query_rows.as_deref(),
            Contents::Npy(_) => None,
        }
    }

    /// The tensor called `name`, or the only one in the file.
    pub(crate) fn tensor(&self, name: Option<&str>) -> Result<Tensor> {
        let (name, entry) = match (&self.contents, name) {
            (Contents::Npy(_), Some(name)) => bail!(
                "--tensor {name}: {} holds one array without a name; omit the flag",
                self.path.display()
            ),
            (Contents::Npy(entry), None) => (self.file_stem(), entry),
            (Contents::Safetensors(header), name) => self.named(&header.tensors, name)?,
        };
        let precision = entry.precision.with_context(|| {
            format!(
                "tensor `{name}` is {}; attention is read as {PRECISIONS}",
                entry.dtype
            )
        })?;
        Ok(Tensor {
            name,
            shape: entry.shape.clone(),
            precision,
            start: entry.start,
        })
    }

    /// Name for an array without a name.
    fn file_stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    fn named<'a>(
        &self,
        tensors: &'a BTreeMap<String, Entry>,
        name: Option<&str>,
    ) -> Result<(String, &'a Entry)> {
        let mut entries = tensors.iter();
        let (name, entry) = match (name, entries.next(), entries.next()) {
            (Some(name), ..) => tensors.get_key_value(name).with_context(|| {
                format!(
                    "{} has no tensor `{name}`; it has {}",
                    self.path.display(),
                    listing(tensors)
                )
            })?,
            (None, Some(only), None) => only,
            (None, None, _) => bail!("{} has no tensors", self.path.display()),
            _ => bail!(
                "{} has several tensors; name one with --tensor: {}",
                self.path.display(),
                listing(tensors)
            ),
        };
        Ok((name.clone(), entry))
    }

    /// Reads `len` values of `tensor`, starting at value `start`; exact in every precision.
    pub(crate) fn read(&mut self, tensor: &Tensor, start: usize, len: usize) -> Result<Values> {
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

fn listing(tensors: &BTreeMap<String, Entry>) -> String {
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, entry)| format!("`{name}` {} {:?}", entry.dtype, entry.shape))
        .collect();
    if entries.is_empty() {
        "none".to_owned()
    } else {
        entries.join(", ")
    }
}

/// Refuses a file whose end differs from that of its tensors.
fn check_len(announced: u64, present: u64) -> Result<()> {
    ensure!(
        announced <= present,
        "truncated: its header announces {announced} bytes of tensors, {present} follow"
    );
    ensure!(
        announced == present,
        "damaged: its header announces {announced} bytes of tensors, but {present} follow"
    );
    Ok(())
}

impl Precision {
    const fn bytes(self) -> usize {
        match self {
            Precision::F64 => 8,
            Precision::F32 => 4,
            Precision::F16 | Precision::Bf16 => 2,
        }
    }

    /// Largest distance of a row's sum from 1: the accumulated rounding of the values in this
    /// precision, with a margin for a softmax computed in that precision. An array of F64 may have
    /// been computed in F32.
    pub(crate) const fn row_sum_tolerance(self) -> f64 {
        match self {
            Precision::F64 | Precision::F32 => 1e-3,
            Precision::F16 | Precision::Bf16 => 1e-2,
        }
    }

    /// An empty list for values of this precision.
    pub(crate) fn empty(self, capacity: usize) -> Values {
        match self {
            Precision::F64 => Values::F64(Vec::with_capacity(capacity)),
            _ => Values::F32(Vec::with_capacity(capacity)),
        }
    }

    fn widen(self, bytes: &[u8]) -> Values {
        let pairs = || bytes.as_chunks::<2>().0.iter();
        match self {
            Precision::F64 => {
                let values = bytes.as_chunks::<8>().0.iter();
                Values::F64(values.map(|value| f64::from_le_bytes(*value)).collect())
            }
            Precision::F32 => {
                let values = bytes.as_chunks::<4>().0.iter();
                Values::F32(values.map(|value| f32::from_le_bytes(*value)).collect())
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

fn widen_half<T>(values: &[T]) -> Values
where
    [T]: HalfFloatSliceExt,
{
    let mut wide = vec![0.0; values.len()];
    values.convert_to_f32_slice(&mut wide);
    Values::F32(wide)
}
