//! Quantised checkpoints, recognised by their config and by what is stored.

use std::fs;

use fp_model::CheckpointError;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

use super::folder::Folder;
use crate::common::checkpoint::golden_config;

/// What is stored in place of one weight: name suffixes, formats, shapes.
type Stored = &'static [(&'static str, Dtype, &'static [usize])];

const BNB4: Stored = &[
    ("weight", Dtype::U8, &[512, 1]),
    ("weight.absmax", Dtype::U8, &[16]),
    ("weight.quant_map", Dtype::F32, &[16]),
    ("weight.nested_absmax", Dtype::F32, &[1]),
    ("weight.nested_quant_map", Dtype::F32, &[256]),
    ("weight.quant_state.bitsandbytes__nf4", Dtype::U8, &[80]),
];
const BNB8: Stored = &[("weight", Dtype::I8, &[32, 32]), ("SCB", Dtype::F32, &[32])];
const AWQ: Stored = &[
    ("qweight", Dtype::I32, &[32, 4]),
    ("qzeros", Dtype::I32, &[1, 4]),
    ("scales", Dtype::F16, &[1, 32]),
];
const GPTQ: Stored = &[
    ("qweight", Dtype::I32, &[4, 32]),
    ("qzeros", Dtype::I32, &[1, 4]),
    ("scales", Dtype::F16, &[1, 32]),
    ("g_idx", Dtype::I32, &[32]),
];
const FP8: Stored = &[
    ("weight", Dtype::F8_E4M3, &[32, 32]),
    ("weight_scale", Dtype::F32, &[1]),
];
const FP8_BLOCKS: Stored = &[
    ("weight", Dtype::F8_E4M3, &[32, 32]),
    ("weight_scale_inv", Dtype::F32, &[1, 1]),
];
const PACKED: Stored = &[
    ("weight_packed", Dtype::I32, &[32, 4]),
    ("weight_scale", Dtype::F16, &[32, 1]),
];
const INT8_ALONE: Stored = &[("weight", Dtype::I8, &[32, 32])];

/// The golden checkpoint with the decoder's matrices stored in this form.
fn quantised(stored: Stored, config: Option<Value>) -> Folder {
    let folder = Folder::whole();
    let file = folder.file("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let zeros = vec![0; 4096];
    let mut views = Vec::new();
    for (name, view) in tensors.tensors() {
        let is_matrix = name.starts_with("language_model.model.layers.") && name.contains("_proj.");
        let Some(module) = name.strip_suffix("weight").filter(|_| is_matrix) else {
            views.push((name, view));
            continue;
        };
        for (ending, dtype, shape) in stored {
            let len = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            let view = TensorView::new(*dtype, shape.to_vec(), &zeros[..len]).unwrap();
            views.push((format!("{module}{ending}"), view));
        }
    }
    serialize_to_file(views, None, &file).unwrap();
    if let Some(quantisation) = config {
        let mut config = golden_config();
        config["quantization_config"] = quantisation;
        folder.write_json("config.json", &config);
    }
    folder
}

#[test]
fn formats_that_the_config_names() {
    for (stored, config, method) in [
        (
            BNB4,
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
            "bitsandbytes, 4 bit (nf4)",
        ),
        (
            BNB8,
            json!({"quant_method": "bitsandbytes", "load_in_8bit": true}),
            "bitsandbytes, 8 bit",
        ),
        (AWQ, json!({"quant_method": "awq", "bits": 4}), "AWQ, 4 bit"),
        (
            GPTQ,
            json!({"quant_method": "gptq", "bits": 4}),
            "GPTQ, 4 bit",
        ),
        (
            FP8,
            json!({"quant_method": "compressed-tensors", "format": "float-quantized"}),
            "compressed-tensors (float-quantized)",
        ),
        (FP8_BLOCKS, json!({"quant_method": "fp8"}), "FP8"),
    ] {
        let parts = [method, "unquantised checkpoint", "F32, F16 or BF16"];
        quantised(stored, Some(config)).refused_with(&parts);
    }
}

#[test]
fn formats_that_only_tensors_show() {
    for (stored, method) in [
        (BNB4, "bitsandbytes, 4 bit (nf4)"),
        (BNB8, "bitsandbytes, 8 bit"),
        (AWQ, "AWQ or GPTQ"),
        (GPTQ, "(GPTQ, as shown by"),
        (FP8, "a scale per row"),
        (FP8_BLOCKS, "a scale per block"),
        (PACKED, "compressed-tensors"),
        (INT8_ALONE, "values in I8"),
    ] {
        let folder = quantised(stored, None);
        folder.refused_with(&[method, "tensors such as `language_model.", "unquantised"]);
        assert!(matches!(
            folder.refusal(),
            CheckpointError::Quantised { .. }
        ));
    }
}

/// A config that states quantisation of plain weights: another loader would quantise them.
#[test]
fn a_config_alone_that_speaks_of_quantisation() {
    let four = json!({"quant_method": "bitsandbytes", "load_in_4bit": true});
    for place in ["", "text_config"] {
        for field in ["quantization_config", "compression_config"] {
            let folder = Folder::with(|_, config| {
                let place = match place {
                    "" => config,
                    part => &mut config[part],
                };
                place[field] = four.clone();
            });
            folder.refused_with(&["config.json", field, "bitsandbytes, 4 bit", "take it out"]);
        }
    }
    // Neither of these states quantisation.
    for nothing in [Value::Null, json!({})] {
        let folder = Folder::with(|_, config| config["quantization_config"] = nothing);
        assert!(folder.inspect().is_complete());
    }
}

/// Weights in a format that can't even be opened are reported as the config describes them.
#[test]
fn a_format_that_cannot_be_opened() {
    let folder = Folder::whole();
    folder.write("model.safetensors", vec![0xff; 100]);
    let mut config = golden_config();
    config["quantization_config"] = json!({"quant_method": "hqq"});
    folder.write_json("config.json", &config);
    folder.refused_with(&["hqq", "quantization_config", "unquantised"]);
    // The weights needn't exist for that.
    folder.remove("model.safetensors");
    folder.refused_with(&["hqq", "quantization_config", "unquantised"]);

    let folder = Folder::empty();
    folder
        .write("ggml-model-q4_k.gguf", b"GGUF")
        .write_json("config.json", &golden_config());
    folder.refused_with(&["ggml-model-q4_k.gguf", "GGUF", "safetensors"]);
}
