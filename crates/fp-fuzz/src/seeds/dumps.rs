//! Attention dumps that `finepruner score` reads.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::write_file;

const HEADS: usize = 2;
const SEQUENCE: usize = 6;

/// Writes files of one tensor each, one per shape and number type.
pub(super) fn write(to: &Path) -> Result<()> {
    for (name, shape) in [
        ("heads", vec![HEADS, SEQUENCE]),
        ("square", vec![HEADS, SEQUENCE, SEQUENCE]),
        ("batch", vec![2, HEADS, SEQUENCE, SEQUENCE]),
    ] {
        for (dtype, npy) in [("F32", "<f4"), ("F16", "<f2"), ("F64", "<f8"), ("BF16", "")] {
            let values = values(&shape, dtype);
            let about = json!({
                "dtype": dtype, "shape": shape, "data_offsets": [0, values.len()],
            });
            let header = json!({"attention": about, "__metadata__": {"image_range": "1..5"}});
            let path = to.join(format!("{name}/{dtype}.safetensors"));
            write_file(&path, &safetensors(&header, &values))?;
            if !npy.is_empty() {
                let path = to.join(format!("{name}/{dtype}.npy"));
                write_file(&path, &array(npy, &shape, &values))?;
            }
        }
    }
    Ok(())
}

/// Rows that sum to 1, as a softmax gives them.
fn values(shape: &[usize], dtype: &str) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let value = 1.0 / SEQUENCE as f64;
    let bytes = match dtype {
        "F64" => value.to_le_bytes().to_vec(),
        "F32" => (value as f32).to_le_bytes().to_vec(),
        "F16" => half::f16::from_f64(value).to_le_bytes().to_vec(),
        _ => half::bf16::from_f64(value).to_le_bytes().to_vec(),
    };
    bytes.repeat(count)
}

fn safetensors(header: &Value, values: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), values].concat()
}

/// An array in NumPy's file format.
fn array(dtype: &str, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let shape = shape.join(", ");
    let mut header =
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Together with the ten bytes before it, its length is a multiple of 64.
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [
        &b"\x93NUMPY\x01\x00"[..],
        &length,
        header.as_bytes(),
        values,
    ]
    .concat()
}
