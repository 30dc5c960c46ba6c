//! `finepruner generate`: each kind of bad input is one clear error, reported before weights are
//! read, and unusual images are answered.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::serialize_to_file;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{self, fail, finepruner, succeed};

const MODEL_TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fp-model/tests");
const IMAGES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../fp-image/tests/golden_images"
);

fn golden(path: &str) -> PathBuf {
    Path::new(MODEL_TESTS).join("golden").join(path)
}

fn image_case(name: &str) -> PathBuf {
    Path::new(IMAGES).join(name)
}

/// A copy of the files of a folder.
fn copy_of(source: &Path) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), root.path().join(entry.file_name())).unwrap();
    }
    root
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

fn args(model: &Path, image: &Path, flags: &[&str]) -> Vec<String> {
    let mut args = vec![
        "generate".to_owned(),
        format!("--model={}", model.display()),
        format!("--image={}", image.display()),
    ];
    for (given, usual) in [
        ("prompt=", "--prompt=How many?"),
        ("--max-new-tokens=", "--max-new-tokens=2"),
    ] {
        if !flags.iter().any(|flag| flag.contains(given)) {
            args.push(usual.to_owned());
        }
    }
    args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    args
}

#[track_caller]
fn refuse(model: &Path, image: &Path, flags: &[&str], parts: &[&str]) {
    let args = args(model, image, flags);
    fail(&args.iter().map(String::as_str).collect::<Vec<_>>(), parts);
}

#[track_caller]
fn answer(model: &Path, image: &Path, flags: &[&str]) -> Value {
    let args = args(model, image, &[flags, &["--json"]].concat());
    let text = succeed(&args.iter().map(String::as_str).collect::<Vec<_>>());
    serde_json::from_str(&text).unwrap()
}

/// An uncompressed image of one colour.
fn bmp(width: u32, height: u32) -> Vec<u8> {
    let row = (3 * width as usize).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    bytes.extend((54 + (row * height as usize) as u32).to_le_bytes());
    for word in [0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.resize(54 + row * height as usize, 90);
    bytes
}

/// A checkpoint of the golden model with one NaN in it: reading its weights fails.
fn poisoned() -> TempDir {
    let root = copy_of(&golden("model"));
    let path = root.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut damaged = bytes.clone();
    let name = "language_model.model.layers.5.mlp.down_proj.weight";
    let start = tensors.tensor(name).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    damaged[start + 40..start + 44].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, damaged).unwrap();
    root
}

/// A tiny any-resolution checkpoint with a tokenizer of a few words.
fn any_resolution() -> TempDir {
    let root = copy_of(&golden("variants/next"));
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>"), special(60, "<image>")],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<unk>",
            "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "USER": 7, "How": 8, "many": 9, "<image>": 60}},
    });
    write_json(&root.path().join("tokenizer.json"), &tokenizer);
    let preprocessor = json!({
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28},
        "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]],
    });
    write_json(&root.path().join("preprocessor_config.json"), &preprocessor);
    root
}

#[test]
fn files_that_are_no_whole_image() {
    let (model, dir) = (poisoned(), tempfile::tempdir().unwrap());
    let whole = fs::read(golden("image0.png")).unwrap();
    for (name, bytes, part) in [
        ("empty.png", &b""[..], "the image is empty (0 bytes)"),
        ("half.png", &whole[..whole.len() / 2], "damaged PNG image"),
        ("head.png", &whole[..20], "damaged PNG image"),
        (
            "text.png",
            b"no image at all",
            "not an image in a known format",
        ),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        refuse(model.path(), &path, &[], &[name, part]);
    }
    refuse(
        model.path(),
        &dir.path().join("none.png"),
        &[],
        &["none.png"],
    );
    refuse(
        model.path(),
        dir.path(),
        &[],
        &[dir.path().to_str().unwrap()],
    );
    refuse(
        model.path(),
        &golden("image0.png"),
        &["--aspect=stretch"],
        &[
            "unknown image aspect `stretch`",
            "expected one of: pad, crop",
        ],
    );
}

#[test]
fn odd_images_have_answers() {
    let (model, dir) = (golden("model"), tempfile::tempdir().unwrap());
    let mut images: Vec<PathBuf> = [
        "gif_animated.gif",
        "png_animated.png",
        "webp_animated.webp",
        "jpeg_cmyk.jpg",
        "tiff_cmyk.tif",
        "png_1x1.png",
        "png_palette_transparent.png",
    ]
    .map(image_case)
    .into();
    for (width, height) in [(1, 1), (20_000, 10), (10, 20_000)] {
        let path = dir.path().join(format!("{width}x{height}.bmp"));
        fs::write(&path, bmp(width, height)).unwrap();
        images.push(path);
    }
    for image in images {
        for aspect in ["--aspect=pad", "--aspect=crop"] {
            let answer = answer(&model, &image, &[aspect, "--keep=30"]);
            assert_eq!(answer["kept_tokens"].as_array().unwrap().len(), 30);
            assert_eq!(answer["layout"]["num_image"], 576, "{}", image.display());
        }
    }
    // The first frame is the whole image.
    let first = fs::read(image_case("gif_animated.gif")).unwrap();
    let cut = dir.path().join("cut.gif");
    fs::write(&cut, &first[..first.len() - 8]).unwrap();
    let ids = |path: &Path| answer(&model, path, &[])["token_ids"].clone();
    assert_eq!(ids(&cut), ids(&image_case("gif_animated.gif")));
}

#[test]
fn any_resolution_images() {
    let (model, dir) = (any_resolution(), tempfile::tempdir().unwrap());
    let image = |width, height| {
        let path = dir.path().join(format!("{width}x{height}.bmp"));
        fs::write(&path, bmp(width, height)).unwrap();
        path
    };
    // Four patches of the whole image, and the grid of 2 by 4 with two end-of-row tokens.
    let wide = answer(model.path(), &image(60, 30), &[]);
    assert_eq!(wide["layout"]["num_image"], 4 + 2 * (4 + 1));
    let single = answer(model.path(), &image(1, 1), &["--keep=1"]);
    assert_eq!(single["kept_tokens"].as_array().unwrap().len(), 1);
    refuse(
        model.path(),
        &image(20_000, 10),
        &[],
        &["too elongated", "20000"],
    );
    // The whole image and its tiles are drawn, and what has no place there is counted.
    let overlay = dir.path().join("kept.svg");
    let flag = format!("--overlay={}", overlay.display());
    let kept = answer(model.path(), &image(60, 30), &["--keep=8", &flag]);
    let kept = kept["kept_tokens"].as_array().unwrap();
    let kept: Vec<u64> = kept.iter().filter_map(|token| token.as_u64()).collect();
    let whole = kept.iter().filter(|token| **token < 4).count();
    let ends = [8, 13].iter().filter(|end| kept.contains(end)).count();
    let svg = fs::read_to_string(overlay).unwrap();
    for counts in [
        format!(">kept {whole} of 4</text>"),
        format!(">kept {} of 8</text>", 8 - whole - ends),
        ">kept 8 of 14 image tokens; the 2 that end rows are not drawn</text>".to_owned(),
    ] {
        assert!(svg.contains(&counts), "{counts} is not in: {svg}");
    }
    // On request, any image is reduced to one square.
    let square = answer(model.path(), &image(20_000, 10), &["--aspect=pad"]);
    assert_eq!(square["layout"]["num_image"], 4);
    refuse(
        model.path(),
        &image(60, 30),
        &["--keep=15"],
        &["R = 15 of 14"],
    );

    let path = model.path().join("preprocessor_config.json");
    let mut preprocessor = read_json(&path);
    preprocessor["image_grid_pinpoints"] = json!([[28, 56]]);
    write_json(&path, &preprocessor);
    refuse(
        model.path(),
        &image(60, 30),
        &[],
        &["image_grid_pinpoints", "[(28, 56)]", "config.json"],
    );
}

#[test]
fn a_preprocessor_that_does_not_fit_the_tower() {
    let root = poisoned();
    let path = root.path().join("preprocessor_config.json");
    let image = golden("image0.png");
    let parts = |size: &str| [size.to_owned(), "takes 336x336".to_owned()];
    let mut config = read_json(&path);
    config["crop_size"] = json!({"height": 224, "width": 224});
    write_json(&path, &config);
    let expected = parts("224x224");
    refuse(
        root.path(),
        &image,
        &[],
        &[&expected[0], &expected[1], "preprocessor_config.json"],
    );
    config["image_std"] = json!([0.2, 0.0, 0.2]);
    write_json(&path, &config);
    refuse(
        root.path(),
        &image,
        &[],
        &["preprocessor_config.json", "image_std"],
    );
    // Without the file: the class defaults, which belong to another tower.
    fs::remove_file(&path).unwrap();
    refuse(root.path(), &image, &[], &["class defaults", "224x224"]);
}

#[test]
fn prompts() {
    let (model, image) = (poisoned(), golden("image0.png"));
    let (model, image) = (model.path(), image.as_path());
    for flag in ["--raw-prompt=no place for it", "--raw-prompt="] {
        refuse(
            model,
            image,
            &[flag],
            &["--raw-prompt has no <image>", "image0.png"],
        );
    }
    for (flag, count) in [
        ("--raw-prompt=<image> and <image>", 2),
        ("--prompt=<image>\nWhat?", 2),
    ] {
        let part = format!("holds {count} `<image>` placeholders, expected exactly 1");
        refuse(model, image, &[flag], &[&part]);
    }
    refuse(
        model,
        image,
        &["--prompt=a", "--raw-prompt=<image>"],
        &["cannot be used with"],
    );
    let flag = format!("--model={}", model.display());
    // A text-only question is valid: it gets as far as reading the weights.
    fail(&["generate", &flag, "--prompt=Hi"], &["NaN at index"]);
    let image_flag = format!("--image={}", image.display());
    fail(&["generate", &flag, &image_flag], &["--prompt TEXT"]);
    fail(&["generate"], &["--model <DIR>"]);

    // An image alone is an unusual prompt, but a valid one.
    let model = golden("model");
    for flag in ["--raw-prompt=<image>", "--prompt="] {
        assert!(answer(&model, image, &[flag])["token_ids"].is_array());
    }
    let bare = answer(&model, image, &["--raw-prompt=<image>", "--keep=10"]);
    assert_eq!(bare["layout"]["num_text"], 0);
}

#[test]
fn tokenizers() {
    let image = golden("image0.png");
    let root = copy_of(&golden("model"));
    let path = root.path().join("tokenizer.json");
    let expected = answer(root.path(), &image, &[])["token_ids"].clone();
    let mut tokenizer = read_json(&path);
    let whole = tokenizer.clone();
    // The tokenizer needn't know the image token: the configuration has its id.
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.retain(|token| token["content"] != "<image>");
    if let Some(vocab) = tokenizer["model"]["vocab"].as_object_mut() {
        vocab.remove("<image>");
    }
    write_json(&path, &tokenizer);
    assert_eq!(answer(root.path(), &image, &[])["token_ids"], expected);

    write_json(&path, &whole);
    let config_path = root.path().join("config.json");
    let mut config = read_json(&config_path);
    config["image_token_index"] = json!(499);
    write_json(&config_path, &config);
    refuse(
        root.path(),
        &image,
        &[],
        &["`<image>` has id 500", "says 499", "image_token_index"],
    );

    fs::write(&path, b"{\"model\": ").unwrap();
    refuse(
        root.path(),
        &image,
        &[],
        &["tokenizer.json", "not a usable"],
    );
    fs::remove_file(&path).unwrap();
    refuse(root.path(), &image, &[], &["tokenizer.json"]);
    let inspect = finepruner(&["inspect", root.path().to_str().unwrap()]);
    assert_eq!(inspect.code, Some(2));
    assert!(inspect.stdout.contains("missing    tokenizer.json"));
}

/// None of these gets as far as reading the weights, one of which is NaN.
#[test]
fn flags_that_cannot_be_met() {
    let (model, image) = (poisoned(), golden("image0.png"));
    let check = |flags: &[&str], parts: &[&str]| refuse(model.path(), &image, flags, parts);
    check(
        &["--keep=0"],
        &["R = 0 of 576", "must be between 1 and 576"],
    );
    check(&["--keep=577"], &["R = 577 of 576"]);
    check(&["--keep=-1"], &["invalid value"]);
    check(&["--keep=5", "--retention=0.5"], &["cannot be used with"]);
    check(&["--retention=0"], &["R = 0 of 576"]);
    check(&["--retention=1.5"], &["R = 864 of 576"]);
    check(&["--retention=nan"], &["R = NaN of 576"]);
    check(
        &["--average-visual-tokens=600"],
        &["can't be reached", "576"],
    );
    check(&["--average-visual-tokens=inf"], &["can't be reached"]);
    check(&["--keep=5", "--prune-layer=0"], &["after layer 0 of 32"]);
    check(&["--keep=5", "--num-selected-heads=0"], &["select 0 of 8"]);
    check(&["--keep=5", "--num-selected-heads=some"], &["some"]);
    for (flag, known) in [
        ("--head-selection-strategy=best", "gini_coefficient"),
        ("--query-selection-strategy=first", "adaptive_by_length"),
        ("--normalize=l2", "expected one of: l1, softmax"),
    ] {
        let name = flag.split('=').next_back().unwrap();
        check(&["--keep=5", flag], &[name, known]);
    }
    check(&["--dtype=f8"], &["expected one of: f32, f16, bf16"]);
    check(&["--temperature=0"], &["the temperature is 0"]);
    check(&["--temperature=nan"], &["the temperature is NaN"]);
    check(&["--temperature=1", "--top-p=1.5"], &["top_p is 1.5"]);
    check(&["--top-p=0.5"], &["--temperature"]);
    let endless = format!("--max-new-tokens={}", usize::MAX);
    check(&[&endless], &["tokens to decode", "at most 1048576"]);
    check(&["--device=cuda:x"], &["cpu, cuda or cuda:NUMBER"]);
    #[cfg(not(feature = "cuda"))]
    check(
        &["--device=cuda"],
        &["--device cuda", "on the CPU alone", "--features cuda"],
    );
    check(
        &[],
        &[
            "layers.5.mlp.down_proj.weight",
            "model.safetensors",
            "NaN at index 10",
        ],
    );
}

#[test]
fn logits_are_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let files = || fs::read_dir(dir.path()).unwrap().count();
    let file = dir.path().join("logits.safetensors");
    let flag = format!("--logits={}", file.display());
    let (broken, image) = (poisoned(), golden("image0.png"));

    // An unwritable path is reported before weights are read.
    let nowhere = format!("--logits={}/none/logits", dir.path().display());
    refuse(
        broken.path(),
        &image,
        &[&nowhere],
        &["can't write", "none/logits"],
    );
    let folder = format!("--logits={}", dir.path().display());
    refuse(broken.path(), &image, &[&folder], &["not a regular file"]);
    #[cfg(unix)]
    refuse(
        broken.path(),
        &image,
        &["--logits=/dev/null"],
        &["not a regular file"],
    );
    // A failed run writes nothing, and leaves existing files unchanged.
    refuse(broken.path(), &image, &[&flag], &["NaN"]);
    assert_eq!(files(), 0);
    fs::write(&file, b"older").unwrap();
    refuse(broken.path(), &image, &[&flag], &["NaN"]);
    assert_eq!((files(), fs::read(&file).unwrap()), (1, b"older".to_vec()));

    answer(&golden("model"), &image, &[&flag]);
    assert_eq!(files(), 1);
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.names(), ["logits"]);
    assert_eq!(tensors.tensor("logits").unwrap().shape(), [505]);
}

#[test]
fn checkpoints() {
    let image = golden("image0.png");
    let root = copy_of(&golden("model"));
    let path = root.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let parts = ["model.safetensors", "states", "not copied completely"];
    refuse(root.path(), &image, &[], &parts);
    fail(&["inspect", root.path().to_str().unwrap()], &parts);

    // A tensor of another shape: the error has its name, the file and both shapes.
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let name = "multi_modal_projector.linear_1.weight";
    let mut views: Vec<_> = tensors.tensors();
    let at = views.iter().position(|(found, _)| found == name).unwrap();
    let data = views[at].1.data().to_vec();
    views[at].1 =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![48, 32], &data).unwrap();
    serialize_to_file(views.clone(), None, &path).unwrap();
    let parts = [name, "model.safetensors", "[48, 32]", "[32, 48]"];
    refuse(root.path(), &image, &[], &parts);
    views.remove(at);
    serialize_to_file(views, None, &path).unwrap();
    let parts = [name, "[32, 48]", "missing", "model.safetensors"];
    refuse(root.path(), &image, &[], &parts);
    let inspected = finepruner(&["inspect", root.path().to_str().unwrap(), "--json"]);
    assert_eq!(inspected.code, Some(2));
    let found: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(found["is_complete"], false);
    assert!(found["problems"][0].as_str().unwrap().contains(name));

    fs::write(&path, &whole).unwrap();
    let config_path = root.path().join("config.json");
    let mut config = read_json(&config_path);
    config["text_config"]["num_hidden_layers"] = json!(33);
    write_json(&config_path, &config);
    let parts = ["layers.32.", "missing", "config.json"];
    refuse(root.path(), &image, &[], &parts);
    fs::write(&config_path, b"{").unwrap();
    refuse(root.path(), &image, &[], &["config.json", "not valid JSON"]);
    fs::remove_file(&path).unwrap();
    refuse(
        &root.path().join("none"),
        &image,
        &[],
        &["no folder", "none`", "expected the folder of a checkpoint"],
    );
}

/// Refused with the same message and code 2 by every command that would run the model.
#[track_caller]
fn refuse_everywhere(model: &Path, parts: &[&str]) {
    fail(&["inspect", model.to_str().unwrap()], parts);
    refuse(model, &golden("image0.png"), &[], parts);
    let study = study(model);
    assert_eq!(study.code, Some(2), "{}", study.stderr);
    // Error lines of a study are wrapped to the terminal's width.
    let words: Vec<&str> = study.stderr.split_whitespace().collect();
    let told = words.join(" ");
    for part in parts {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
}

/// A study of one question.
fn study(model: &Path) -> common::Output {
    let output = tempfile::tempdir().unwrap();
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/ablation_a_config.json"
    );
    finepruner(&[
        "study",
        &format!("--config={config}"),
        &format!("--model={}", model.display()),
        "--dataset=embedded:confirm",
        "--limit=1",
        "--head-selection-strategy=variance",
        "--num-selected-heads=4",
        "--average-visual-tokens=48",
        "--controls=vanilla",
        "--no-report",
        &format!("--output={}", output.path().join("run").display()),
    ])
}

#[test]
fn folders_that_are_no_full_model() {
    // An adapter in the folder of full weights, then the adapter alone.
    let root = copy_of(&golden("model"));
    let adapter = json!({"base_model_name_or_path": "someone/base", "peft_type": "LORA"});
    write_json(&root.path().join("adapter_config.json"), &adapter);
    refuse_everywhere(root.path(), &["a LoRA adapter for someone/base beside"]);
    fs::remove_file(root.path().join("model.safetensors")).unwrap();
    refuse_everywhere(root.path(), &["not a full model", "merge_and_unload"]);
    // Only a projector.
    fs::remove_file(root.path().join("adapter_config.json")).unwrap();
    fs::write(root.path().join("mm_projector.bin"), b"").unwrap();
    refuse_everywhere(root.path(), &["only a projector (mm_projector.bin)"]);

    // Another family, and a quantised checkpoint.
    let root = copy_of(&golden("model"));
    let path = root.path().join("config.json");
    let whole = read_json(&path);
    let mut config = whole.clone();
    config["model_type"] = json!("qwen3_vl");
    write_json(&path, &config);
    refuse_everywhere(root.path(), &["qwen3_vl", "another family", "`llava_next`"]);
    let mut config = whole.clone();
    config["quantization_config"] = json!({"quant_method": "awq", "bits": 4});
    write_json(&path, &config);
    refuse_everywhere(root.path(), &["AWQ, 4 bit", "quantization_config"]);
}

/// Checkpoints that `inspect` calls incomplete are refused by all commands.
#[test]
fn inspecting_and_running_agree() {
    let check = |root: &TempDir, parts: &[&str]| {
        let inspect = finepruner(&["inspect", root.path().to_str().unwrap(), "--json"]);
        assert_eq!(inspect.code, Some(2));
        let found: Value = serde_json::from_str(&inspect.stdout).unwrap();
        assert_eq!(found["is_complete"], false);
        refuse(root.path(), &golden("image0.png"), &[], parts);
        assert_eq!(study(root.path()).code, Some(2));
    };
    // Fewer layers than are stored.
    let root = copy_of(&golden("model"));
    let mut config = read_json(&root.path().join("config.json"));
    config["text_config"]["num_hidden_layers"] = json!(31);
    write_json(&root.path().join("config.json"), &config);
    check(
        &root,
        &["9 stored tensors would change the answers", "layers.31."],
    );
    // Images of another size.
    let root = copy_of(&golden("model"));
    let path = root.path().join("preprocessor_config.json");
    let mut preprocessor = read_json(&path);
    preprocessor["crop_size"] = json!(224);
    write_json(&path, &preprocessor);
    check(&root, &["224x224", "takes 336x336"]);
    // Only the slow tokenizer.
    let root = copy_of(&golden("model"));
    fs::rename(
        root.path().join("tokenizer.json"),
        root.path().join("tokenizer.model"),
    )
    .unwrap();
    check(&root, &["tokenizer.model", "LlamaTokenizerFast"]);
}

/// Contradictions that don't affect the answer are reported with it.
#[test]
fn contradictions_that_are_not_followed() {
    let root = copy_of(&golden("model"));
    let path = root.path().join("config.json");
    let mut config = read_json(&path);
    config["image_seq_length"] = json!(575);
    write_json(&path, &config);
    let inspect = succeed(&["inspect", root.path().to_str().unwrap(), "--json"]);
    let found: Value = serde_json::from_str(&inspect).unwrap();
    assert_eq!(found["is_complete"], true);
    assert!(
        found["notes"][0]
            .as_str()
            .unwrap()
            .contains("gives 576 tokens")
    );
    let image = golden("image0.png");
    let args = args(root.path(), &image, &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = finepruner(&args);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        output.stderr.starts_with("warning: ") && output.stderr.contains("`image_seq_length` 575"),
        "{}",
        output.stderr
    );

    // The class token is among the features: one more token, which is no cell of the grid.
    config["image_seq_length"] = json!(577);
    config["vision_feature_select_strategy"] = json!("full");
    write_json(&path, &config);
    let kept = answer(root.path(), &image, &["--keep=577"]);
    assert_eq!(kept["layout"]["num_image"], 577);
    refuse(root.path(), &image, &["--keep=578"], &["R = 578 of 577"]);
    let overlay = root.path().join("kept.svg");
    let flag = format!("--overlay={}", overlay.display());
    answer(root.path(), &image, &["--keep=577", &flag]);
    let svg = fs::read_to_string(overlay).unwrap();
    let words = ">kept 577 of 577 image tokens; the one before the grid is not drawn</text>";
    assert!(svg.contains(words), "{svg}");
}
