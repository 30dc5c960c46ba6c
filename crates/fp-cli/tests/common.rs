//! Runs the command on dumps that tests write.

#![allow(dead_code)] // each program of tests uses its own part

use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::tensor::{Dtype, TensorView, serialize};

/// Output of a run of the command.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Folder of the examples, configurations and shipped files.
pub(crate) fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// Runs `finepruner` with `args`.
pub(crate) fn finepruner(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_finepruner"))
        .args(args)
        .output()
        .unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `finepruner` and expects success.
#[track_caller]
pub(crate) fn succeed(args: &[&str]) -> String {
    let output = finepruner(args);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.stdout
}

/// Runs it and expects code 2, `parts` in the message, and nothing on standard output, or with
/// `--json` the same message as JSON. No part of the message may be repeated.
#[track_caller]
pub(crate) fn fail(args: &[&str], parts: &[&str]) {
    let output = finepruner(args);
    assert_eq!(output.code, Some(2), "{}{}", output.stdout, output.stderr);
    if args.contains(&"--json") {
        let told = error_object(&output.stdout);
        assert_eq!(told["exit_code"], 2);
    } else {
        assert_eq!(output.stdout, "");
    }
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    let text = output.stderr.trim_end();
    for (at, _) in text.match_indices(": ") {
        let rest = &text[at + 2..];
        assert!(
            rest.len() < 8 || !text[..at].contains(rest),
            "told twice: {text}"
        );
    }
    for part in parts {
        assert!(
            output.stderr.contains(part),
            "{part} is not in: {}",
            output.stderr
        );
    }
}

/// The error object with `--json`, which is all of standard output.
#[track_caller]
pub(crate) fn error_object(stdout: &str) -> serde_json::Value {
    let told: serde_json::Value = serde_json::from_str(stdout).unwrap();
    let fields = told.as_object().unwrap();
    assert_eq!(fields.len(), 1, "{stdout}");
    fields["error"].clone()
}

/// Writes f32 tensors as safetensors.
pub(crate) fn write_dump(dir: &Path, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
    write_dump_with(dir, tensors, &[])
}

/// As [`write_dump`], with metadata.
pub(crate) fn write_dump_with(
    dir: &Path,
    tensors: &[(&str, &[usize], &[f32])],
    metadata: &[(&str, &str)],
) -> PathBuf {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap(),
        )
    });
    let path = dir.join("dump.safetensors");
    let metadata = (!metadata.is_empty()).then(|| {
        let entries = metadata.iter();
        entries
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<std::collections::HashMap<_, _>>()
    });
    std::fs::write(&path, serialize(views, metadata).unwrap()).unwrap();
    path
}

/// An `.npy` file made by hand: the version's preamble, the header's dictionary, the data.
pub(crate) fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let length = header.len() as u32;
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((length as u16).to_le_bytes()),
        _ => bytes.extend(length.to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// NumPy's header for an array in C order.
pub(crate) fn npy_header(descr: &str, shape: &[usize]) -> String {
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}\n")
}

/// A BMP of one colour with 24 bits per pixel.
pub(crate) fn bitmap(width: u32, height: u32) -> Vec<u8> {
    let row = (3 * width).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for number in [
        54 + row * height,
        0,
        54,
        40,
        width,
        height,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize((54 + row * height) as usize, 0x60);
    bytes
}

/// Causal attention `[slabs, heads, S, S]` whose rows sum to 1, different in every slab and head.
pub(crate) fn squares(slabs: usize, heads: usize, sequence: usize) -> Vec<f32> {
    let mut values = Vec::new();
    for slab in 0..slabs * heads {
        for row in 0..sequence {
            let weights: Vec<f64> = (0..sequence)
                .map(|column| {
                    let phase = (slab * 31 + row * 7 + column * 13) as f64;
                    if column > row {
                        0.0
                    } else {
                        (2.0 * phase.sin()).exp()
                    }
                })
                .collect();
            let sum: f64 = weights.iter().sum();
            values.extend(weights.iter().map(|weight| (weight / sum) as f32));
        }
    }
    values
}

/// Folder of the shipped model.
const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/finepruner-tiny");

/// The shipped model as an any-resolution one: with pinpoints, and an embedding that ends rows.
pub(crate) fn any_resolution(to: &Path) {
    let from = Path::new(EMBEDDED);
    for name in [
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let config = std::fs::read(from.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["model_type"] = "llava_next".into();
    config["architectures"] = serde_json::json!(["LlavaNextForConditionalGeneration"]);
    config["image_grid_pinpoints"] = serde_json::json!([[168, 336], [336, 168], [336, 336]]);
    std::fs::write(to.join("config.json"), config.to_string()).unwrap();
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let newline = [0_u8; 2 * 192];
    let mut tensors: Vec<_> = stored.iter().collect();
    let shape = vec![192];
    let dtype = safetensors::tensor::Dtype::F16;
    let newline = safetensors::tensor::TensorView::new(dtype, shape, &newline).unwrap();
    tensors.push(("image_newline", newline));
    let bytes = safetensors::tensor::serialize(tensors, None).unwrap();
    std::fs::write(to.join("model.safetensors"), bytes).unwrap();
}
