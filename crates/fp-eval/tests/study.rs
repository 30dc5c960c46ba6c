//! Studies from configuration to records, on a tiny model.

use std::path::Path;
use std::sync::atomic::Ordering;

use fp_eval::study::{
    CellResult, Counted, Engine, FORMAT, Invocation, Method, OLDEST_FORMAT, RunOptions,
    SampleRecord, Shard, StudyConfig, StudyError, VisualInputRecord, cell_results, count_records,
    merge, read_records, read_spec, read_timings,
};
use fp_scoring::QueryStrategy;
use serde_json::{Value, json};

use crate::study_support::{World, blocks, records, run, set_lines};

#[test]
fn a_record_holds_what_the_grid_asks_for() {
    let world = World::new();
    let folder = world.path("run");
    run(&world.study_a(), &RunOptions::new(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    // 5 strategies × 2 h, FastV, 3 seeds, grid, oracle: with 2 budgets each; and 3 cells without
    // one.
    assert_eq!(spec.grid.cells.len(), (10 + 1 + 3 + 1 + 1) * 2 + 3);
    assert!(spec.grid.position("variance+last_token/h4/R6").is_some());
    let kept: Vec<_> = spec.grid.budgets.iter().map(|budget| budget.kept).collect();
    assert_eq!(kept, [Some(6), Some(2)]);

    let records = read_records(&folder).unwrap();
    // Image by image, in the order of their first questions.
    let order: Vec<usize> = records.iter().map(|record| record.index).collect();
    assert_eq!(order, [0, 2, 8, 1, 5, 11, 3, 10, 4, 9, 6, 7]);
    for record in &records {
        assert_eq!(record.error, None);
        assert_eq!(record.cells.len(), spec.grid.cells.len());
        assert_eq!(record.looks.len(), 1);
        assert_eq!(record.layout.unwrap().num_image, 16);
        for (index, cell) in spec.grid.cells.iter().enumerate() {
            check_cell(
                record,
                index,
                &cell.method,
                cell.budget.and_then(|b| kept[b]),
            );
        }
        let distinct: std::collections::HashSet<_> = record
            .runs
            .iter()
            .map(|run| format!("{:?}", run.seen))
            .collect();
        assert_eq!(distinct.len(), record.runs.len());
    }
    let timings = read_timings(&folder).unwrap();
    let timed: usize = timings.iter().map(|timing| timing.samples.len()).sum();
    assert_eq!(timed, 12);
}

fn check_cell(record: &SampleRecord, index: usize, method: &Method, kept: Option<usize>) {
    let cell = &record.cells[index];
    assert_eq!(cell.error, None);
    if method.is("oracle") && record.boxes.is_empty() {
        assert_eq!(cell.skipped.as_deref(), Some("no boxes"));
        assert!(record.run_of(index).is_none());
        return;
    }
    let run = record.run_of(index).unwrap();
    match (&run.seen, method.name()) {
        (VisualInputRecord::All, Some("vanilla"))
        | (VisualInputRecord::NoImage, Some("no_image")) => {}
        (VisualInputRecord::Kept(tokens), Some("drop_all")) => assert!(tokens.is_empty()),
        (VisualInputRecord::Kept(tokens), _) => {
            assert_eq!(Some(tokens.len()), kept);
            assert!(tokens.is_sorted_by(|a, b| a < b));
        }
        (seen, _) => panic!("{seen:?} under {method:?}"),
    }
    assert!(run.min_margin.unwrap() > 0.0);
    assert_eq!(cell.heads.is_empty(), method.query_strategy().is_none());
    assert_eq!(cell.token_cut.is_some(), method.query_strategy().is_some());
    if let Method::Strategy {
        num_selected_heads, ..
    } = method
    {
        assert_eq!(cell.heads.len(), *num_selected_heads);
        assert!(cell.head_cut.is_some());
    }
}

/// Copies a run's folder with its records truncated to `len` bytes.
fn killed(from: &Path, to: &Path, len: usize) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join("run.json"), to.join("run.json")).unwrap();
    set_lines(to, &records(from)[..len]);
    std::fs::write(to.join("timings.jsonl"), b"{\"samples\":[0").unwrap();
}

#[test]
fn a_run_cut_off_anywhere_goes_on_to_the_same_end() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("whole");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let whole = records(&folder);
    let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
    let mut points = vec![
        0,
        1,
        whole.len() - 1,
        whole.len(),
        ends[0],
        ends[0] + 1,
        ends[5] + 1,
    ];
    // Scattered over the file; the stride is coprime to any likely length.
    points.extend((1..14).map(|i| i * 7919 * 13 % whole.len()));
    for (number, point) in points.into_iter().enumerate() {
        let again = world.path(&format!("killed_{number}"));
        killed(&folder, &again, point);
        let summary = run(&config, &RunOptions::new(&again)).unwrap();
        let expected = ends.iter().filter(|&&end| end < point).count();
        assert_eq!(summary.num_resumed, expected, "cut off at {point}");
        assert!(records(&again) == whole, "cut off at {point}");
        assert!(blocks(&again) == blocks(&folder), "cut off at {point}");
        // The wall-clock time of recording is stored for every job, over all starts.
        let timings = read_timings(&again).unwrap();
        let wall: Option<f64> = timings.iter().map(|timing| timing.wall).sum();
        assert!(wall.is_some_and(|wall| wall <= summary.seconds));
    }
}

#[test]
fn a_run_that_is_asked_to_stop_is_resumed_to_the_same_end() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("whole");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let whole = records(&folder);
    for engine in Engine::ALL {
        // Before the first answer, and at various points of progress.
        for stop_at in [0, 1, 5] {
            let again = world.path(&format!("stopped_{}_{stop_at}", engine.name()));
            let options = RunOptions {
                engine,
                batch_size: 2,
                ..RunOptions::new(&again)
            };
            let stop = &options.stop;
            let stopped = fp_eval::study::run(&config, &options, &mut |progress| {
                stop.store(progress.done >= stop_at, Ordering::Relaxed);
            });
            let recorded = records(&again);
            let num_lines = recorded.iter().filter(|byte| **byte == b'\n').count();
            match stopped {
                Err(StudyError::Stopped { done, total, .. }) => {
                    assert_eq!((done, total), (num_lines, 12));
                    assert!(done >= stop_at, "{done}");
                    assert!(stop_at > 0 || done == 0, "{done}");
                }
                // A stop requested after all samples were answered has no effect.
                other => assert_eq!((other.unwrap().num_samples, num_lines), (12, 12)),
            }
            assert!(whole.starts_with(&recorded));
            run(&config, &RunOptions::new(&again)).unwrap();
            assert!(records(&again) == whole, "{engine:?} stopped at {stop_at}");
            assert!(
                blocks(&again) == blocks(&folder),
                "{engine:?} stopped at {stop_at}"
            );
        }
    }
}

#[test]
fn a_damaged_line_is_named_and_nothing_is_lost() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let mut bytes = records(&folder);
    let third = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1)
        .unwrap()
        .0
        + 1;
    bytes[third + 200] ^= 1;
    set_lines(&folder, &bytes);
    for error in [
        run(&config, &RunOptions::new(&folder)).unwrap_err(),
        read_records(&folder).unwrap_err(),
    ] {
        assert!(matches!(error, StudyError::Line { line: 3, .. }), "{error}");
        assert!(
            fp_scoring::error_text(&error).contains("its checksum is"),
            "{error}"
        );
    }
    assert!(std::fs::read(folder.join("records.jsonl")).unwrap() == bytes);
}

#[test]
fn lines_in_another_order_are_refused() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let bytes = records(&folder);
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    lines.swap(1, 2);
    set_lines(&folder, lines.concat());
    let error = run(&config, &RunOptions::new(&folder)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("record 2: it is sample 8; expected sample 2"),
        "{error}"
    );
}

#[test]
fn a_run_started_otherwise_is_refused() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let refused = |config: &StudyConfig| {
        run(config, &RunOptions::new(&folder))
            .unwrap_err()
            .to_string()
    };

    let longer = StudyConfig {
        max_new_tokens: 4,
        ..config.clone()
    };
    let message = refused(&longer);
    assert!(
        message.contains("another configuration (max_new_tokens)"),
        "{message}"
    );

    let image = world.data().join("images/2.png");
    let before = std::fs::read(&image).unwrap();
    std::fs::copy(world.data().join("images/0.png"), &image).unwrap();
    let message = refused(&config);
    assert!(message.contains("other data (waves test)"), "{message}");
    std::fs::write(&image, before).unwrap();

    let file = world.model().join("generation_config.json");
    let before = std::fs::read(&file).unwrap();
    std::fs::write(&file, [before.as_slice(), b"\n"].concat()).unwrap();
    let message = refused(&config);
    assert!(
        message.contains("another model (generation_config.json)"),
        "{message}"
    );

    // Accepted and recorded.
    let accepting = RunOptions {
        accept_changes: true,
        ..RunOptions::new(&folder)
    };
    run(&config, &accepting).unwrap();
    let accepted = read_spec(&folder).unwrap().accepted_changes;
    assert_eq!(accepted, ["another model (generation_config.json)"]);
    std::fs::write(&file, before).unwrap();
    run(&config, &accepting).unwrap();

    // Records with other cells can't be added to the same run.
    let mut other = config;
    other.controls.set("oracle", false).unwrap();
    let message = fp_scoring::error_text(&run(&other, &accepting).unwrap_err());
    assert!(message.contains("it has different cells"), "{message}");
}

#[test]
fn a_limited_run_keeps_its_samples() {
    let world = World::new();
    let mut config = world.study_a();
    config.limit = Some(5);
    let folder = world.path("run");
    let summary = run(&config, &RunOptions::new(&folder)).unwrap();
    assert_eq!(summary.num_samples, 5);
    let records = read_records(&folder).unwrap();
    let images: std::collections::BTreeSet<_> = records.iter().map(|r| &r.image_id).collect();
    assert_eq!(images.len(), 5, "one question an image");
    // The same command resumes it, and nothing remains to be done.
    assert_eq!(
        run(&config, &RunOptions::new(&folder)).unwrap().num_resumed,
        5
    );
    let accepting = RunOptions {
        accept_changes: true,
        ..RunOptions::new(&folder)
    };
    let refused =
        |config: &StudyConfig, options: &RunOptions| run(config, options).unwrap_err().to_string();

    // Another seed chooses other samples, which can't be added to the same records.
    let mut other = config.clone();
    other.seed = 1;
    let message = refused(&other, &RunOptions::new(&folder));
    for part in [
        "(seed)",
        "5 of 12 spread over its images with seed 0",
        "seed 1",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    let message = refused(&other, &accepting);
    assert!(
        message.contains("its samples were chosen differently"),
        "{message}"
    );

    // A run of an earlier version, on the first lines, has no record of a subset.
    let path = folder.join("run.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        spec["datasets"][0]["subset"],
        json!({"rule": "spread_over_images", "seed": 0, "of": 12})
    );
    spec["datasets"][0]
        .as_object_mut()
        .unwrap()
        .remove("subset");
    std::fs::write(&path, spec.to_string()).unwrap();
    let message = refused(&config, &RunOptions::new(&folder));
    for part in ["other samples of", "its first 5, now 5 of 12 spread"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert!(!message.contains("other data"), "{message}");
    let message = refused(&config, &accepting);
    assert!(
        message.contains("its samples were chosen differently"),
        "{message}"
    );

    // A limit that excludes nothing is no limit.
    config.limit = Some(12);
    let whole = world.path("whole");
    run(&config, &RunOptions::new(&whole)).unwrap();
    assert_eq!(read_spec(&whole).unwrap().datasets[0].subset, None);
}

#[test]
fn how_a_run_was_started_is_noted_and_never_compared() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("run");
    let started = |word: &str| RunOptions {
        invocation: Invocation {
            command: vec!["finepruner".to_owned(), word.to_owned()],
            commit: Some(word.repeat(4)),
            ..Invocation::default()
        },
        ..RunOptions::new(&folder)
    };
    run(&config, &started("first")).unwrap();
    let (records, stored) = (records(&folder), blocks(&folder));
    // Interrupted, and resumed by another program from another folder.
    let half = records.len() / 2;
    set_lines(&folder, &records[..half]);
    run(&config, &started("second")).unwrap();
    assert!(blocks(&folder) == stored);
    let environment = read_spec(&folder).unwrap().environment;
    assert_eq!(environment.invocation.command, ["finepruner", "first"]);
    assert_eq!(environment.invocation.commit.unwrap(), "first".repeat(4));
    #[cfg(target_os = "linux")]
    assert!(environment.memory_bytes.unwrap() > 1 << 20);
}

#[test]
fn places_may_change() {
    let world = World::new();
    let mut config = world.study_a();
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    std::fs::rename(world.data(), world.path("moved")).unwrap();
    config.datasets = vec![world.path("moved").display().to_string()];
    run(&config, &RunOptions::new(&folder)).unwrap();
}

#[test]
fn folders_that_cant_be_written_to_are_named() {
    let world = World::new();
    let config = world.study_a();
    let foreign = world.path("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.tex"), "").unwrap();
    let error = run(&config, &RunOptions::new(&foreign)).unwrap_err();
    assert!(matches!(error, StudyError::NotARun { .. }), "{error}");

    let file = world.path("file");
    std::fs::write(&file, "").unwrap();
    let error = run(&config, &RunOptions::new(file.join("run"))).unwrap_err();
    assert!(error.to_string().starts_with("can't create"), "{error}");

    let busy = world.path("busy");
    let mut second = None;
    let first = fp_eval::study::run(&config, &RunOptions::new(&busy), &mut |_| {
        second.get_or_insert_with(|| run(&config, &RunOptions::new(&busy)));
    });
    assert_eq!(first.unwrap().num_resumed, 0);
    let error = second.unwrap().unwrap_err();
    assert!(matches!(error, StudyError::Busy { .. }), "{error}");
    assert!(!busy.join("run.lock").exists());
}

#[test]
fn a_sample_that_fails_is_a_counted_record() {
    let world = World::new();
    std::fs::write(world.data().join("images/1.png"), b"no image").unwrap();
    let folder = world.path("run");
    let summary = run(&world.study_a(), &RunOptions::new(&folder)).unwrap();
    assert_eq!((summary.num_samples, summary.num_failed), (12, 3));
    let failed: Vec<_> = read_records(&folder)
        .unwrap()
        .into_iter()
        .filter(|record| record.error.is_some())
        .collect();
    assert_eq!(failed.len(), 3);
    assert!(failed.iter().all(|record| record.image == "images/1.png"));
    // The whole cause is given, with the file named once.
    let error = failed[0].error.as_ref().unwrap();
    assert!(error.contains("not an image in a known format"), "{error}");
    assert_eq!(error.matches("images/1.png").count(), 1, "{error}");
}

#[test]
fn pieces_merged_in_any_order_are_the_whole() {
    let world = World::new();
    let config = world.study_a();
    let folder = world.path("whole");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let mut shards = Vec::new();
    for index in 1..=3 {
        let shard = world.path(&format!("shard_{index}"));
        let options = RunOptions {
            shard: Some(Shard { index, count: 3 }),
            ..RunOptions::new(&shard)
        };
        run(&config, &options).unwrap();
        // A shard can be resumed only as that shard.
        let message = run(&config, &RunOptions::new(&shard))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&format!("shard {index}/3 instead of the whole")),
            "{message}"
        );
        shards.push(shard);
    }
    for (name, order) in [
        ("forth", [0, 1, 2]),
        ("back", [2, 1, 0]),
        ("mixed", [1, 2, 0]),
    ] {
        let merged = world.path(name);
        let shards = order.map(|index| shards[index].clone());
        assert_eq!(merge(&merged, &shards).unwrap(), 12);
        assert!(records(&merged) == records(&folder), "{name}");
        assert!(blocks(&merged) == blocks(&folder), "{name}");
        // The merged run is like any other.
        let summary = run(&config, &RunOptions::new(&merged)).unwrap();
        assert_eq!(summary.num_resumed, 12);
    }
    // Merging the whole run with one of its shards changes nothing.
    let twice = world.path("twice");
    merge(&twice, &[shards[1].clone(), folder.clone()]).unwrap();
    assert!(records(&twice) == records(&folder));
    assert!(matches!(
        merge(&twice, std::slice::from_ref(&folder)),
        Err(StudyError::NotARun { .. })
    ));

    let message = merge(&world.path("short"), &shards[..2])
        .unwrap_err()
        .to_string();
    let missing = lines(&shards[2]);
    assert!(
        message.contains(&format!(
            "{missing} of 12 samples are in none of the folders"
        )),
        "{message}"
    );
    assert!(
        message.ends_with(": shard 3/3 is not among them"),
        "{message}"
    );
    let cut = world.path("cut");
    copy_run(&shards[2], &cut, 1);
    let unfinished = [shards[0].clone(), shards[1].clone(), cut.clone()];
    let message = merge(&world.path("short"), &unfinished)
        .unwrap_err()
        .to_string();
    let hole = format!("shard 3/3 has 1 of {missing} in {}", cut.display());
    assert!(message.ends_with(&hole), "{message}");
    let other = world.path("other");
    let mut changed = config;
    changed.max_new_tokens = 2;
    run(&changed, &RunOptions::new(&other)).unwrap();
    let message = merge(&world.path("no"), &[folder, other])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("another configuration (max_new_tokens)"),
        "{message}"
    );
}

#[test]
fn cells_are_what_their_records_say() {
    let world = World::new();
    let folder = world.path("run");
    run(&world.study_a(), &RunOptions::new(&folder)).unwrap();
    let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let results = cell_results(&spec, &records).unwrap();
    assert_eq!(results.len(), spec.grid.cells.len());
    for (index, result) in results.iter().enumerate() {
        let scores: Vec<f64> = records
            .iter()
            .filter_map(|record| Some(record.run_of(index)?.score))
            .collect();
        assert_eq!(result.accuracy.n, scores.len());
        assert_eq!(
            result.accuracy.n + result.num_skipped + result.num_failed,
            12
        );
        let by_family: usize = result.by_family.values().map(|mean| mean.n).sum();
        assert_eq!(by_family, result.accuracy.n);
    }
    let find = |id: &str| &results[spec.grid.position(id).unwrap()];
    assert_eq!(find("oracle/R6").num_skipped, 3);
    assert_eq!(find("vanilla").mean_kept, 16.0);
    assert_eq!(find("drop_all").mean_kept, 0.0);
    let vanilla = find("vanilla").costs[0];
    assert_eq!((vanilla.visual_ratio, vanilla.sequence_ratio), (1.0, 1.0));
    let pruned = find("variance+last_token/h4/R6").costs[0];
    // (2 · 16 + 4 · 6) / 6 tokens on average.
    assert!((pruned.average_visual_tokens - 56.0 / 6.0).abs() < 1e-12);
    assert!(pruned.sequence_ratio < 1.0 && pruned.scoring_macs > 0.0);
    assert_eq!(find("uniform_grid/R6").costs[0].scoring_macs, 0.0);
    // Dropping all image tokens after K, and using no image, have costs too.
    let dropped = find("drop_all").costs[0];
    assert!((dropped.average_visual_tokens - 2.0 * 16.0 / 6.0).abs() < 1e-12);
    assert_eq!(find("no_image").costs[0].visual_macs, 0.0);
}

#[test]
fn query_rows_before_the_image_are_not_scored_from() {
    let world = World::new();
    let folder = world.path("run");
    let config = StudyConfig {
        query_selection_strategies: vec![QueryStrategy::SystemAndText],
        ..world.study_a()
    };
    run(&config, &RunOptions::new(&folder)).unwrap();
    let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let results = cell_results(&spec, &records).unwrap();
    let of = |result: &&CellResult| result.cell.method.is_studied();
    let found = results.iter().find(of).unwrap().costs[0].scoring_macs;
    let layouts = records.iter().filter_map(|record| record.layout);
    let expected: Vec<f64> = layouts
        .map(|layout| {
            let decoder = &spec.model.shape.decoder;
            decoder.scoring_macs(layout.num_text, layout.sequence_len(), layout.num_image)
        })
        .collect();
    let mean = expected.iter().sum::<f64>() / expected.len() as f64;
    assert!((found - mean).abs() < 1e-6 * mean, "{found} {mean}");
}

fn lines(folder: &Path) -> usize {
    let records = records(folder);
    records.iter().filter(|byte| **byte == b'\n').count()
}

/// A copy of a run with only its first records.
fn copy_run(from: &Path, to: &Path, num_records: usize) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join("run.json"), to.join("run.json")).unwrap();
    let records = records(from);
    let lines = records.split_inclusive(|byte| *byte == b'\n');
    let kept: Vec<u8> = lines.take(num_records).flatten().copied().collect();
    set_lines(to, kept);
}

/// Shards started by an earlier version hold other images.
#[test]
fn pieces_by_another_rule_are_neither_resumed_nor_merged() {
    let world = World::new();
    let config = world.study_a();
    let mut options = Vec::new();
    for index in 1..=2 {
        let shard = RunOptions {
            shard: Some(Shard { index, count: 2 }),
            ..RunOptions::new(world.path(&format!("shard_{index}")))
        };
        run(&config, &shard).unwrap();
        options.push(shard);
    }
    let plan = read_spec(&options[0].output).unwrap().shard_plan.unwrap();
    assert_eq!(plan.num_samples, lines(&options[0].output));
    let path = options[0].output.join("run.json");
    let mut spec: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    spec.as_object_mut().unwrap().remove("shard_plan");
    std::fs::write(&path, spec.to_string()).unwrap();
    let folders = [options[0].output.clone(), options[1].output.clone()];
    let message = merge(&world.path("merged"), &folders)
        .unwrap_err()
        .to_string();
    assert!(message.contains("by different rules"), "{message}");
    let message = run(&config, &options[0]).unwrap_err().to_string();
    assert!(message.contains("by another rule"), "{message}");
    options[0].accept_changes = true;
    let message = run(&config, &options[0]).unwrap_err().to_string();
    assert!(message.contains("by another rule"), "{message}");
}

/// Current jobs are finished, no further ones are started, and the next start continues.
#[test]
fn a_run_that_winds_down_records_what_it_began() {
    let world = World::new();
    let config = world.study_a();
    let whole = world.path("whole");
    run(&config, &RunOptions::new(&whole)).unwrap();
    let folder = world.path("run");
    let options = RunOptions {
        threads: 1,
        batch_size: 1,
        ..RunOptions::new(&folder)
    };
    let flag = options.wind_down.clone();
    let stopped = fp_eval::study::run(&config, &options, &mut |progress| {
        if progress.done > 0 {
            flag.store(true, Ordering::SeqCst);
        }
    });
    let Err(StudyError::Stopped { done, total, .. }) = stopped else {
        panic!("{stopped:?}");
    };
    assert!((1..total).contains(&done), "{done}");
    assert_eq!(lines(&folder), done);
    let summary = run(&config, &RunOptions::new(&folder)).unwrap();
    assert_eq!(summary.num_resumed, done);
    assert!(records(&folder) == records(&whole));
}

/// Converts a run to the format in which all records are lines.
fn make_old(folder: &Path, num_records: usize) {
    let lines = records(folder);
    let lines = lines.split_inclusive(|byte| *byte == b'\n');
    let kept: Vec<u8> = lines.take(num_records).flatten().copied().collect();
    set_lines(folder, kept);
    let path = folder.join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let new = format!("\"format\": {FORMAT},");
    let old = format!("\"format\": {OLDEST_FORMAT},");
    assert!(text.contains(&new));
    std::fs::write(&path, text.replacen(&new, &old, 1)).unwrap();
}

#[test]
fn runs_of_the_format_with_lines_are_read_resumed_and_merged() {
    let world = World::new();
    let config = world.study_a();
    let whole = world.path("whole");
    run(&config, &RunOptions::new(&whole)).unwrap();
    for num_records in [12, 7, 0] {
        let old = world.path(&format!("old_{num_records}"));
        run(&config, &RunOptions::new(&old)).unwrap();
        make_old(&old, num_records);
        assert_eq!(read_spec(&old).unwrap().format, OLDEST_FORMAT);
        assert_eq!(
            read_records(&old).unwrap(),
            read_records(&whole).unwrap()[..num_records]
        );
        let counted = count_records(&old, Counted::default()).unwrap();
        assert_eq!(counted.lines, num_records as u64);
        let summary = run(&config, &RunOptions::new(&old)).unwrap();
        assert_eq!(summary.num_resumed, num_records);
        assert!(blocks(&old) == blocks(&whole));
        assert_eq!(read_spec(&old).unwrap().format, FORMAT);
    }
    // Shards in either format merge into one run of the current format.
    let mut shards = Vec::new();
    for index in 1..=2 {
        let shard = world.path(&format!("old_shard_{index}"));
        let options = RunOptions {
            shard: Some(Shard { index, count: 2 }),
            ..RunOptions::new(&shard)
        };
        run(&config, &options).unwrap();
        shards.push(shard);
    }
    make_old(&shards[1], 12);
    let merged = world.path("merged_formats");
    merge(&merged, &shards).unwrap();
    assert!(blocks(&merged) == blocks(&whole));
    assert_eq!(read_spec(&merged).unwrap().format, FORMAT);
    // A version that doesn't exist yet.
    let path = whole.join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let newer = format!("\"format\": {}", FORMAT + 1);
    std::fs::write(
        &path,
        text.replacen(&format!("\"format\": {FORMAT}"), &newer, 1),
    )
    .unwrap();
    let error = read_records(&whole).unwrap_err().to_string();
    assert!(
        error.ends_with("run.json: format 3, this program reads formats 1 to 2"),
        "{error}"
    );
}
