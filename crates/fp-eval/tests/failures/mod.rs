//! Samples that can't be answered, and questions without an image, among ordinary ones.

mod bad_images;

use std::path::Path;

use fp_eval::study::{
    Engine, FailureKind, RunOptions, SampleRecord, Shard, StudyConfig, StudyError,
    VisualInputRecord, merge, read_records, read_spec,
};
use serde_json::{Value, json};

use crate::study_support::{World, blocks, first_difference, records, run, set_lines};

/// Appends lines to the questions file.
fn add(world: &World, lines: &[Value]) {
    let path = world.data().join("questions.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    std::fs::write(&path, text).unwrap();
}

fn question(id: &str, text: &str) -> Value {
    json!({"id": id, "question": text, "answers": ["red"], "family": "color"})
}

/// Adds a question on every kind of bad image, and one longer than the model's positions; returns
/// the expected failure kinds by id.
fn spoil(world: &World) -> Vec<(String, FailureKind)> {
    let mut expected = Vec::new();
    let mut lines = Vec::new();
    for (name, bytes, kind) in bad_images::all() {
        if let Some(bytes) = bytes {
            std::fs::write(world.data().join("images").join(name), bytes).unwrap();
        }
        let mut line = question(name, "Is it dark?");
        line["image"] = json!(format!("images/{name}"));
        lines.push(line);
        expected.push((name.to_owned(), kind));
    }
    let mut long = question("long", &"Is it dark? ".repeat(4000));
    long["image"] = json!("images/0.png");
    lines.push(long);
    expected.push(("long".to_owned(), FailureKind::PromptTooLong));
    add(world, &lines);
    expected
}

/// Adds text-only questions in each supported notation.
fn add_text_only(world: &World) {
    let mut lines = ["t0", "t1", "t2"].map(|id| question(id, "What color is the sky?"));
    lines[1]["image"] = json!("");
    lines[2]["image"] = Value::Null;
    lines[2]["question"] = json!("Is it dark?");
    add(world, &lines);
}

fn with_text_only(config: &StudyConfig) -> StudyConfig {
    StudyConfig {
        text_only: true,
        ..config.clone()
    }
}

/// Asserts that two runs' records are equal byte by byte.
fn assert_same(a: &Path, b: &Path) {
    let (lines_a, lines_b) = (records(a), records(b));
    assert!(
        lines_a == lines_b,
        "{}",
        first_difference(&lines_a, &lines_b)
    );
    assert!(blocks(a) == blocks(b));
}

#[test]
fn no_bad_sample_ends_a_study_and_each_is_recorded_with_its_kind() {
    let world = World::new();
    let expected = spoil(&world);
    add_text_only(&world);
    let config = with_text_only(&world.study_a());
    let folder = world.path("whole");
    let summary = run(&config, &RunOptions::new(&folder)).unwrap();
    assert_eq!(summary.num_samples, 12 + expected.len() + 3);
    let all = read_records(&folder).unwrap();
    let failed: Vec<(String, FailureKind)> = all
        .iter()
        .filter(|record| record.error.is_some())
        .map(|record| (record.id.clone(), record.failure.unwrap()))
        .collect();
    let mut sorted = expected.clone();
    sorted.sort_by_key(|(id, _)| all.iter().position(|record| record.id == *id));
    assert_eq!(failed, sorted);
    assert_eq!(summary.num_failed, expected.len());
    let spec = read_spec(&folder).unwrap();
    assert_eq!(
        (
            spec.datasets[0].num_missing_images,
            spec.datasets[0].num_text_only
        ),
        (1, 3)
    );

    // Running each cell separately gives the same, and so do a run that was interrupted and
    // resumed, and shards.
    let alone = world.path("alone");
    let options = RunOptions {
        engine: Engine::Sequential,
        batch_size: 3,
        ..RunOptions::new(&alone)
    };
    run(&config, &options).unwrap();
    assert_same(&alone, &folder);
    let whole = records(&folder);
    for (number, share) in [1, 3, 5, 7].into_iter().enumerate() {
        let again = world.path(&format!("again_{number}"));
        std::fs::create_dir(&again).unwrap();
        std::fs::copy(folder.join("run.json"), again.join("run.json")).unwrap();
        let cut = &whole[..whole.len() * share / 8];
        set_lines(&again, cut);
        let summary = run(&config, &RunOptions::new(&again)).unwrap();
        let num_whole = cut.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(summary.num_resumed, num_whole);
        assert_same(&again, &folder);
    }
    let shards: Vec<_> = (1..=3)
        .map(|index| {
            let shard = world.path(&format!("shard_{index}"));
            let options = RunOptions {
                shard: Some(Shard { index, count: 3 }),
                ..RunOptions::new(&shard)
            };
            run(&config, &options).unwrap();
            shard
        })
        .collect();
    let merged = world.path("merged");
    merge(&merged, &[2, 0, 1].map(|at| shards[at].clone())).unwrap();
    assert_same(&merged, &folder);
}

#[test]
fn the_good_samples_are_answered_as_without_the_bad_ones() {
    let world = World::new();
    let config = world.study_a();
    let good = world.path("good");
    run(&config, &RunOptions::new(&good)).unwrap();
    let good = read_records(&good).unwrap();
    spoil(&world);
    add_text_only(&world);
    for (name, config) in [
        ("without", config.clone()),
        ("with", with_text_only(&config)),
    ] {
        let folder = world.path(name);
        run(&config, &RunOptions::new(&folder)).unwrap();
        let all = read_records(&folder).unwrap();
        for record in &good {
            let same = all.iter().find(|other| other.id == record.id).unwrap();
            assert_eq!(same, record, "{name}");
        }
    }
}

#[test]
fn a_text_only_question_has_one_answer_for_every_cell() {
    let world = World::new();
    add_text_only(&world);
    let config = world.study_a();
    let without = world.path("without");
    run(&config, &RunOptions::new(&without)).unwrap();
    assert_eq!(read_records(&without).unwrap().len(), 12);
    let dataset = &read_spec(&without).unwrap().datasets[0];
    assert_eq!(
        (dataset.num_text_only, dataset.num_text_only_left_out),
        (0, 3)
    );

    let folder = world.path("with");
    let config = with_text_only(&config);
    run(&config, &RunOptions::new(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    let all = read_records(&folder).unwrap();
    let (texts, images): (Vec<_>, Vec<_>) = all.iter().partition(|record| record.text_only);
    assert_eq!((texts.len(), images.len()), (3, 12));
    // They come last, and don't change the order of the others.
    assert!(images.iter().all(|record| record.index < 12));
    let cells = spec.grid.cells.len();
    for record in &texts {
        assert!(
            record.image.is_empty() && record.image_size.is_none(),
            "{}",
            record.id
        );
        let [only] = record.runs.as_slice() else {
            panic!("{} has {} runs", record.id, record.runs.len())
        };
        assert_eq!(only.seen, VisualInputRecord::NoImage);
        assert_eq!(record.cells.len(), cells);
        assert!(record.cells.iter().all(|cell| cell.run == Some(0)));
    }
    // Their answers equal those of the control without an image to the same text about an image:
    // the prompts differ only in the image's place.
    let asked_alike = |record: &&&SampleRecord| record.question == texts[2].question;
    let control = spec.grid.position("no_image").unwrap();
    let same = images
        .iter()
        .find(asked_alike)
        .unwrap()
        .run_of(control)
        .unwrap();
    assert_eq!(same.token_ids, texts[2].runs[0].token_ids);
    // A different setting is a different run.
    let error = run(&world.study_a(), &RunOptions::new(&folder)).unwrap_err();
    assert!(error.to_string().contains("text_only"), "{error}");
}

#[test]
fn a_limit_and_static_heads_take_text_only_questions_into_account() {
    let world = World::new();
    add_text_only(&world);
    let mut config = with_text_only(&world.study_a());
    config.limit = Some(7);
    config.static_heads = true;
    let folder = world.path("limited");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let all = read_records(&folder).unwrap();
    assert_eq!(all.len(), 7);
    let spec = read_spec(&folder).unwrap();
    let texts = all.iter().filter(|record| record.text_only).count();
    assert_eq!(spec.datasets[0].num_text_only, texts);
    assert!(all.iter().all(|record| record.error.is_none()));
}

#[test]
fn a_dataset_without_any_image_is_refused_and_says_so() {
    let world = World::new();
    let path = world.data().join("questions.jsonl");
    std::fs::write(&path, format!("{}\n", question("t", "What?"))).unwrap();
    for config in [world.study_a(), with_text_only(&world.study_a())] {
        let error = run(&config, &RunOptions::new(world.path("none"))).unwrap_err();
        assert!(matches!(error, StudyError::Setting { .. }), "{error}");
        assert!(error.to_string().contains("has an image"), "{error}");
    }
    // If all images are missing, the folder is taken as not filled yet.
    let world = World::new();
    std::fs::remove_dir_all(world.data().join("images")).unwrap();
    let error = run(&world.study_a(), &RunOptions::new(world.path("none"))).unwrap_err();
    assert!(
        error.to_string().contains("12 with a missing image"),
        "{error}"
    );
}

#[test]
fn a_line_says_truthfully_what_can_be_done_about_it() {
    let world = World::new();
    let folder = world.path("run");
    run(&world.study_a(), &RunOptions::new(&folder)).unwrap();
    let whole = String::from_utf8(records(&folder)).unwrap();
    let first = whole.lines().next().unwrap();
    let resealed = |content: &str| {
        let sum = crc32fast::hash(content.as_bytes());
        format!("{{\"crc32\":\"{sum:08x}\",\"sample\":{content}}}")
    };
    let content = &first["{\"crc32\":\"00000000\",\"sample\":".len()..first.len() - 1];
    let told = |line: &str| {
        set_lines(&folder, whole.replacen(first, line, 1));
        let error = read_records(&folder).unwrap_err();
        fp_scoring::error_text(&error)
    };
    assert_eq!(resealed(content), first);
    let cutting = "the run can be resumed after truncating the file there";
    for damaged in [
        first.replacen("\"index\":0", "\"index\":1", 1),
        first.replacen("sample", "simple", 1),
        first[..first.len() - 9].to_owned(),
    ] {
        let text = told(&damaged);
        assert!(
            text.contains("damaged or changed") && text.contains(cutting),
            "{text}"
        );
    }
    for (edited, reason) in [
        (
            content.replacen("\"index\":0", "\"index\":99", 1),
            "index is 99",
        ),
        (
            content.replacen("\"image\":\"images/0.png\"", "\"image\":\"/etc/passwd\"", 1),
            "not a path inside",
        ),
        (
            content.replacen("\"image\":", "\"text_only\":true,\"image\":", 1),
            "text-only",
        ),
    ] {
        let text = told(&resealed(&edited));
        assert!(
            text.contains("doesn't match the run") && text.contains(reason),
            "{text}"
        );
        assert!(!text.contains(cutting), "{text}");
    }
    let text = told(&resealed("{\"index\":0}"));
    assert!(
        text.contains("isn't a record that this version reads"),
        "{text}"
    );
}
