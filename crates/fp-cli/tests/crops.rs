//! `finepruner generate` on crops and on padded images, and overlays of what methods keep.

use serde_json::Value;

use crate::common::{self, fail, finepruner, succeed};

/// An any-resolution checkpoint with 12 × 12 patches per square, and a picture.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new(width: u32, height: u32) -> World {
        let folder = tempfile::tempdir().unwrap();
        common::any_resolution(folder.path());
        std::fs::write(
            folder.path().join("picture.bmp"),
            common::bitmap(width, height),
        )
        .unwrap();
        World { folder }
    }

    fn args(&self, flags: &[&str]) -> Vec<String> {
        let model = self.folder.path().display();
        [
            "generate".to_owned(),
            format!("--model={model}"),
            format!("--image={model}/picture.bmp"),
            "--prompt=star?".to_owned(),
            "--max-new-tokens=2".to_owned(),
        ]
        .into_iter()
        .chain(flags.iter().map(|flag| (*flag).to_owned()))
        .collect()
    }

    fn json(&self, flags: &[&str]) -> Value {
        let args = self.args(&[flags, &["--json"]].concat());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        serde_json::from_str(&succeed(&args)).unwrap()
    }

    fn text(&self, flags: &[&str]) -> String {
        let args = self.args(flags);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let text = succeed(&args);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn fail(&self, flags: &[&str], parts: &[&str]) {
        let args = self.args(flags);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        fail(&args, parts);
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|n| n.as_i64().unwrap()).collect()
}

/// The square, of the five, that contains a token in the fixed form.
fn square_of(token: i64) -> usize {
    match token - 144 {
        ..0 => 0,
        token => 1 + (token / 24 / 12 * 2 + token % 24 / 12) as usize,
    }
}

fn per_square(tokens: &[i64]) -> [usize; 5] {
    let mut counts = [0; 5];
    for &token in tokens {
        counts[square_of(token)] += 1;
    }
    counts
}

#[test]
fn the_fixed_form_has_five_squares_whatever_the_image() {
    for (width, height) in [(336, 168), (60, 300), (20, 20)] {
        let world = World::new(width, height);
        let found = world.json(&["--anyres=fixed-2880"]);
        let sequence = &found["sequence"];
        assert_eq!(sequence["num_image_tokens"], 5 * 144);
        assert_eq!(sequence["tiles"]["num_newline_tokens"], 0);
        assert_eq!(sequence["tiles"]["form"], "fixed-2880");
        assert_eq!(sequence["tiles"]["patch_grid"], serde_json::json!([24, 24]));
    }
    let world = World::new(30, 30);
    let (unpad, own) = (world.json(&["--anyres=unpad"]), world.json(&[]));
    assert_eq!(unpad["sequence"], own["sequence"]);
    assert_eq!(unpad["token_ids"], own["token_ids"]);
    let embedded = ["generate", "--model=embedded", "--anyres=fixed-2880"];
    fail(&embedded, &["--anyres fixed-2880", "one square image"]);
    let args = world.args(&["--anyres=fixed-2880", "--aspect=pad"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(finepruner(&args).code, Some(2));
}

#[test]
fn methods_that_look_at_the_tower_choose_of_each_crop() {
    let world = World::new(200, 120);
    let fixed = "--anyres=fixed-2880";
    for (method, params, of_crop) in [
        ("fastervlm", ["keep=10"].as_slice(), 10),
        ("vispruner", &["keep=12"], 12),
        ("scope", &["keep=9"], 9),
        ("hiprune", &["keep=20", "object_layer=1"], 20),
    ] {
        let mut flags = vec![fixed, "--method", method];
        flags.extend(params.iter().flat_map(|param| ["--method-param", param]));
        let found = world.json(&flags);
        let kept = numbers(&found["kept_tokens"]);
        assert_eq!(per_square(&kept), [of_crop; 5], "{method}");
        assert!(kept.is_sorted(), "{method}");
        assert_eq!(found["crop_budget"], "per-crop");
        assert_eq!(numbers(&found["stages"][0]["kept_tokens"]), kept);
        let text = world.text(&flags);
        let said = format!("{method} selected from each of 5 crops separately");
        assert!(
            text.contains(&said) && text.contains("as its authors do"),
            "{text}"
        );
        flags.push("--crop-budget=per-crop");
        assert_eq!(world.json(&flags)["kept_tokens"], found["kept_tokens"]);
        flags.pop();
        flags.push("--crop-budget=whole");
        world.fail(
            &flags,
            &["crop budget `whole`", "expected `per-crop`", method],
        );
    }
    // Without whole crops the budget can't apply to each.
    let flags = ["--method=fastervlm", "--method-param=keep=10"];
    world.fail(&flags, &["fastervlm", "--anyres fixed-2880"]);
    let flags = [flags[0], flags[1], "--crop-budget=per-crop"];
    world.fail(&flags, &["--crop-budget per-crop", "--anyres fixed-2880"]);
}

#[test]
fn merged_tokens_come_crop_by_crop() {
    let world = World::new(200, 120);
    let flags = [
        "--anyres=fixed-2880",
        "--method=visionzip",
        "--method-param=dominant=6",
        "--method-param=contextual=3",
    ];
    let found = world.json(&flags);
    let codes = numbers(&found["stages"][0]["kept_tokens"]);
    assert_eq!(codes.len(), 5 * 9);
    for (square, codes) in codes.chunks(9).enumerate() {
        assert_eq!(codes[0], -2);
        assert!(codes[1..6].iter().all(|&token| square_of(token) == square));
        let merged: Vec<i64> = (0..3).map(|at| 720 + 3 * square as i64 + at).collect();
        assert_eq!(codes[6..], merged);
    }
    assert_eq!(found["kv_tokens_per_layer"][0].as_u64().unwrap() as i64, {
        let layout = &found["layout"];
        let count = |key: &str| layout[key].as_i64().unwrap();
        count("num_system") + 45 + count("num_text") + 1
    });
}

#[test]
fn methods_that_look_at_embeddings_take_crops_as_one_set() {
    let world = World::new(200, 120);
    let flags = [
        "--anyres=fixed-2880",
        "--method=divprune",
        "--method-param=ratio=0.1",
    ];
    let found = world.json(&flags);
    assert_eq!(numbers(&found["kept_tokens"]).len(), 72);
    assert_eq!(found["crop_budget"], "whole");
    let each = world.json(&[&flags[..], &["--crop-budget=per-crop"]].concat());
    assert_eq!(per_square(&numbers(&each["kept_tokens"])), [14; 5]);
    let text = world.text(&[&flags[..], &["--crop-budget=per-crop"]].concat());
    assert!(text.contains("unlike its authors"), "{text}");
    // In the decoder all crops form one sequence.
    let strategy = ["--anyres=fixed-2880", "--keep=50"];
    world.json(&[&strategy[..], &["--crop-budget=whole"]].concat());
    let flags = [&strategy[..], &["--crop-budget=per-crop"]].concat();
    world.fail(
        &flags,
        &["--crop-budget per-crop", "expected --crop-budget whole"],
    );
}

#[test]
fn padding_is_left_out_where_that_is_asked_for() {
    // 300 × 100 padded to a square of 300: rows 4 to 7 of 12 contain the image.
    let world = World::new(300, 100);
    let pad = "--aspect=pad";
    for (flags, count) in [
        (vec![pad, "--keep=30"], 30),
        (
            vec![pad, "--keep=60", "--head-selection-strategy=variance"],
            48,
        ),
        (
            vec![pad, "--method=fastervlm", "--method-param=keep=30"],
            30,
        ),
        (
            vec![pad, "--method=fastervlm", "--method-param=keep=60"],
            48,
        ),
        (
            vec![pad, "--method=divprune", "--method-param=ratio=0.25"],
            36,
        ),
        (
            vec![
                pad,
                "--method=visionzip",
                "--method-param=dominant=6",
                "--method-param=contextual=3",
            ],
            9,
        ),
    ] {
        let off = world.json(&flags);
        assert_eq!(off["mask_padding"], false);
        let on = world.json(&[&flags[..], &["--mask-padding"]].concat());
        assert_eq!(on["mask_padding"], true);
        assert_eq!(on["num_tokens_left_out"], 96);
        let kept = numbers(&on["kept_tokens"]);
        assert_eq!(kept.len(), count, "{flags:?}");
        assert!(
            kept.iter().all(|token| (48..96).contains(token)),
            "{kept:?}"
        );
    }
    let text = world.text(&[pad, "--keep=30", "--mask-padding"]);
    assert!(
        text.contains("96 of 144 image tokens show only padding"),
        "{text}"
    );
    let hiprune = [
        pad,
        "--mask-padding",
        "--method=hiprune",
        "--method-param=keep=20",
        "--method-param=object_layer=1",
    ];
    world.fail(
        &hiprune,
        &["--mask-padding: hiprune takes the whole grid", "96 of 144"],
    );
    world.fail(
        &[pad, "--mask-padding"],
        &["--mask-padding", "nothing is pruned"],
    );
    world.fail(
        &["--keep=9", "--mask-padding"],
        &["single squares", "--aspect pad"],
    );
    // A square image is answered as usual, with a note.
    let world = World::new(90, 90);
    let (off, on) = (
        world.json(&[pad, "--keep=30"]),
        world.json(&[pad, "--keep=30", "--mask-padding"]),
    );
    for key in ["kept_tokens", "token_ids", "audit", "selected_heads"] {
        assert_eq!(on[key], off[key], "{key}");
    }
    let note = on["notes"][0].as_str().unwrap();
    assert!(note.contains("--mask-padding has no effect"), "{note}");
}

#[test]
fn what_methods_keep_is_drawn() {
    let world = World::new(300, 200);
    let dir = world.folder.path();
    let svg = format!("--overlay={}/kept.svg", dir.display());
    let flags = [
        "--aspect=pad",
        "--method=visionzip",
        "--method-param=dominant=6",
        "--method-param=contextual=3",
        &svg,
    ];
    world.json(&flags);
    let drawn = std::fs::read_to_string(dir.join("kept.svg")).unwrap();
    for part in ["visionzip, vision", "9 = 5 unchanged + 3 merged + 1 class"] {
        assert!(drawn.contains(part), "{part}");
    }
    assert!(!drawn.contains("square-root scale"));
    let flags = [
        "--aspect=pad",
        "--method=pyramiddrop",
        "--schedule=1:60,2:20",
        &svg,
    ];
    let found = world.json(&flags);
    let drawn = std::fs::read_to_string(dir.join("kept.svg")).unwrap();
    assert!(drawn.contains("pyramiddrop, layer 2") && drawn.contains("kept 20 of 144"));
    assert_eq!(numbers(&found["kept_tokens"]).len(), 20);
    let flags = [
        "--anyres=fixed-2880",
        "--method=fastervlm",
        "--method-param=keep=10",
        &svg,
    ];
    world.json(&flags);
    let drawn = std::fs::read_to_string(dir.join("kept.svg")).unwrap();
    for part in [
        "kept 10 of 144",
        "kept 40 of 576",
        ">kept 50 of 720 image tokens</text>",
    ] {
        assert!(drawn.contains(part), "{part} is not in: {drawn}");
    }
}
