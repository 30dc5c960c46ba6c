//! The header of a safetensors file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::{Entry, Precision};

/// Number of bytes of the header's length, which is little-endian.
const LENGTH_BYTES: u64 = 8;

/// The format's own limit on the header, in bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Metadata key of the image's position.
pub(super) const IMAGE_RANGE: &str = "image_range";
/// Metadata key of the positions of the tensor's rows.
const QUERY_ROWS: &str = "query_rows";

/// Reads the tensors that a file of `file_bytes` bytes declares, checked against its size, and the
/// metadata on the image's position.
pub(super) fn read(file: &mut File, file_bytes: u64) -> Result<Header> {
    if file_bytes < LENGTH_BYTES {
        bail!(
            "not a safetensors file: it has only {file_bytes} bytes; the header's length field takes {LENGTH_BYTES}"
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
        .context("not a safetensors file: its header is not the JSON that the format requires")?;
    // The tensors are contiguous, from the end of the header to the end of the file.
    let data_start = LENGTH_BYTES + header_bytes;
    super::check_len(metadata.data_len() as u64, file_bytes - data_start)?;
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let entry = Entry {
            dtype: format!("{:?}", info.dtype),
            precision: precision(info.dtype),
            shape: info.shape.clone(),
            start: data_start + info.data_offsets.0 as u64,
        };
        (name, entry)
    });
    let said = metadata.metadata().as_ref();
    let said = |key: &str| said.and_then(|said| said.get(key).cloned());
    Ok(Header {
        tensors: tensors.collect(),
        image_range: said(IMAGE_RANGE),
        query_rows: said(QUERY_ROWS),
    })
}

/// Contents of a header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) tensors: BTreeMap<String, Entry>,
    pub(super) image_range: Option<String>,
    pub(super) query_rows: Option<String>,
}

fn precision(dtype: Dtype) -> Option<Precision> {
    match dtype {
        Dtype::F64 => Some(Precision::F64),
        Dtype::F32 => Some(Precision::F32),
        Dtype::F16 => Some(Precision::F16),
        Dtype::BF16 => Some(Precision::Bf16),
        _ => None,
    }
}
