//! Every family against what Hugging Face transformers gives on tiny checkpoints, pruned and not:
//! see benches/peers/family_goldens.py.

mod common;

use candle_core::{DType, Device, Tensor};
use fp_model::{LoadOptions, OpenedCheckpoint, inspect};

use common::family::{CHECKPOINTS, Checkpoint, check_pruned, check_whole};
use common::golden;

fn check_family(family: &str) {
    for name in CHECKPOINTS {
        let checkpoint = Checkpoint::open(family, name);
        let inspection = inspect(&checkpoint.folder, None).unwrap();
        assert!(inspection.is_complete(), "{family}/{name}: {inspection}");
        let model = checkpoint.load(&LoadOptions::default());
        check_whole(&checkpoint, &model, true);
        check_pruned(&checkpoint, &model);
    }
    let checkpoint = Checkpoint::open(family, "b2");
    let by_tensors = LoadOptions {
        kernels: false,
        ..LoadOptions::default()
    };
    check_whole(&checkpoint, &checkpoint.load(&by_tensors), false);
}

#[test]
fn llava_onevision() {
    check_family("llava_onevision");
}

#[test]
fn qwen2_vl() {
    check_family("qwen2_vl");
}

#[test]
fn qwen2_5_vl() {
    check_family("qwen2_5_vl");
}

#[test]
fn what_families_refuse() {
    for family in ["qwen2_vl", "qwen2_5_vl"] {
        let checkpoint = Checkpoint::open(family, "b2");
        let model = checkpoint.load(&LoadOptions::default());
        let odd = Tensor::zeros((1, 3, 8, 12), DType::F32, &Device::Cpu).unwrap();
        let refused = model.encode_image(&odd).unwrap_err().to_string();
        assert!(refused.contains("multiples of 8"), "{refused}");
        let width = model.config().text.hidden_size;
        let rows = Tensor::zeros((4, width), DType::F32, &Device::Cpu).unwrap();
        let refused = model.image_features(&rows).unwrap_err().to_string();
        assert!(refused.contains("grid"), "{refused}");
    }
}

/// transformers 5 saves processors whole, in one file.
#[test]
fn image_processors_inside_a_processor() {
    let from = golden("families/qwen2_5_vl/b2");
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
    ] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    assert_eq!(
        inspect(folder.path(), None).unwrap().missing_files,
        ["preprocessor_config.json"]
    );
    let part = std::fs::read_to_string(from.join("preprocessor_config.json")).unwrap();
    let whole =
        format!(r#"{{"image_processor": {part}, "processor_class": "Qwen2_5_VLProcessor"}}"#);
    std::fs::write(folder.path().join("processor_config.json"), whole).unwrap();
    let inspection = inspect(folder.path(), None).unwrap();
    assert!(inspection.is_complete(), "{inspection}");
    let processor = |folder: &std::path::Path| {
        let opened = OpenedCheckpoint::open(folder, None).unwrap();
        opened.image_processor().unwrap()
    };
    assert_eq!(processor(folder.path()), processor(&from));
}
