//! A study's kept sets, tokens, metrics and results don't depend on how it is computed.

use std::path::Path;

use fp_eval::efficiency::{self, EfficiencySettings};
use fp_eval::study::{Engine, RunOptions, StudyConfig, read_records, read_timings};
use fp_report::{NoiseFloor, Run};

use crate::study_support::{World, first_difference, records, run};

/// Threads, batch size and engine.
type Way = (usize, usize, Engine);

const BASE: Way = (1, 16, Engine::Shared);

const OTHERS: [Way; 6] = [
    (2, 16, Engine::Shared),
    (1, 1, Engine::Shared),
    (2, 3, Engine::Shared),
    (2, 16, Engine::Distinct),
    (2, 1, Engine::Prefix),
    (2, 16, Engine::Sequential),
];

fn run_in(folder: &Path, config: &StudyConfig, (threads, batch_size, engine): Way) {
    let options = RunOptions {
        threads,
        batch_size,
        engine,
        ..RunOptions::new(folder)
    };
    let summary = run(config, &options).unwrap();
    assert_eq!((summary.num_samples, summary.num_failed), (12, 0));
}

/// Differences between two runs; each exception must be a near-tie.
fn floor(first: &Path, second: &Path) -> NoiseFloor {
    let [first, second] = [first, second].map(|folder| Run::read(folder).unwrap());
    let analysis = fp_report::analyse(&first, Some(&second)).unwrap();
    analysis.noise_floor.unwrap()
}

#[test]
fn threads_batches_and_engines_change_nothing() {
    let world = World::new();
    for (name, config) in [("a", world.study_a()), ("b", world.study_b())] {
        let base = world.path(&format!("{name}_base"));
        run_in(&base, &config, BASE);
        for (number, way) in OTHERS.into_iter().enumerate() {
            let other = world.path(&format!("{name}_{number}"));
            run_in(&other, &config, way);
            let floor = floor(&base, &other);
            assert_eq!(floor.unexplained, 0, "study {name}, {way:?}: {floor:?}");
            // On these kernels there is no exception: not a byte differs.
            let (a, b) = (records(&base), records(&other));
            assert!(
                a == b,
                "study {name}, {way:?}: {}",
                first_difference(&a, &b)
            );
        }
        // Batches reduced to single runs by a memory limit.
        let little = world.path(&format!("{name}_little"));
        let options = RunOptions {
            threads: 2,
            memory_limit: Some(1),
            ..RunOptions::new(&little)
        };
        run(&config, &options).unwrap();
        assert!(
            records(&little) == records(&base),
            "study {name} in little memory"
        );
    }
}

#[test]
fn two_runs_give_the_same_result_byte_by_byte() {
    let world = World::new();
    let config = world.study_a();
    let result = |name: &str, way: Way| {
        let folder = world.path(name);
        run_in(&folder, &config, way);
        fp_report::write(&folder).unwrap();
        let files = ["results.json", "cells.csv", "summary.md", "table.tex"];
        files.map(|file| std::fs::read(folder.join(file)).unwrap())
    };
    let base = result("base", BASE);
    for (name, way) in [
        ("again", BASE),
        ("threads", (2, 5, Engine::Shared)),
        ("sequential", (2, 16, Engine::Sequential)),
    ] {
        for (a, b) in base.iter().zip(&result(name, way)) {
            assert!(a == b, "{name}: {}", first_difference(a, b));
        }
    }
}

#[test]
fn loaders_change_nothing() {
    let world = World::new();
    let config = world.study_a();
    // An image that can't be decoded fails at its own position and affects no other.
    std::fs::write(world.data().join("images/2.png"), b"no image").unwrap();
    let folder = |loaders: Option<usize>, threads: usize, batch_size: usize| {
        let folder = world.path(&format!("{loaders:?}-{threads}-{batch_size}"));
        let options = RunOptions {
            threads,
            loaders,
            batch_size,
            ..RunOptions::new(&folder)
        };
        let summary = run(&config, &options).unwrap();
        assert_eq!((summary.num_samples, summary.num_failed), (12, 2));
        let timings = read_timings(&folder).unwrap();
        assert!(timings.iter().all(|timing| timing.waiting.is_some()));
        let sum: f64 = timings.iter().filter_map(|timing| timing.waiting).sum();
        assert!((summary.loading.waiting - sum).abs() < 1e-9);
        assert!(summary.loading.loading > 0.0);
        folder
    };
    let base = folder(Some(1), 1, 16);
    let failed: Vec<usize> = read_records(&base)
        .unwrap()
        .iter()
        .filter(|record| record.error.is_some())
        .map(|record| record.index)
        .collect();
    assert_eq!(failed, [3, 10]);
    for (loaders, threads, batch_size) in [
        (None, 2, 16),
        (Some(1), 3, 1),
        (Some(2), 1, 1),
        (Some(5), 2, 3),
        (Some(9), 1, 16),
    ] {
        let other = folder(loaders, threads, batch_size);
        let (a, b) = (records(&base), records(&other));
        assert!(a == b, "{loaders:?}: {}", first_difference(&a, &b));
    }
    let none = RunOptions {
        loaders: Some(0),
        ..RunOptions::new(world.path("none"))
    };
    let error = fp_scoring::error_text(&run(&config, &none).unwrap_err());
    assert_eq!(error, "loaders: 0; at least 1");
}

#[test]
fn a_plan_of_efficiency_and_what_it_runs_do_not_vary() {
    let world = World::new();
    let config = StudyConfig {
        efficiency: Some(EfficiencySettings {
            new_tokens: 5,
            warmup: 0,
            repeats: 2,
            max_batch: 2,
        }),
        ..world.study_a()
    };
    let folder = world.path("measured");
    run_in(&folder, &config, BASE);
    let before = records(&folder);
    let settings = config.efficiency.unwrap();
    let measured = |threads: usize| {
        let prepared = efficiency::prepare_run(&folder, settings, threads).unwrap();
        efficiency::measure(prepared, None, None, &mut |_| {}).unwrap()
    };
    let [one, two] = [1, 2].map(measured);
    assert_eq!(one.plan.schedules, two.plan.schedules);
    assert_eq!(one.plan.methods, two.plan.methods);
    // Six kept of 16, two, and none after K; five strategies and all heads.
    let labels: Vec<&str> = one.schedules.iter().map(|s| s.label.as_str()).collect();
    assert_eq!(labels, ["dense", "R6", "R2", "drop_all"]);
    assert_eq!(one.scoring.len(), 6);
    assert_eq!(one.plan.methods[5].num_selected_heads, 8);
    for ((schedule, a), b) in one.schedules().zip(&two.schedules) {
        assert_eq!(a.token_ids.len(), 5, "{}", a.label);
        assert_eq!(
            (&a.token_ids, &a.kept_tokens),
            (&b.token_ids, &b.kept_tokens)
        );
        assert_eq!(
            a.kept_tokens.as_ref().map(Vec::len),
            schedule.is_pruned.then_some(schedule.kept)
        );
        // The counted bytes are the allocated ones.
        assert_eq!(a.kv_bytes, schedule.predicted.kv_bytes, "{}", a.label);
        let batches: Vec<usize> = a.batches.iter().map(|rate| rate.batch).collect();
        assert_eq!(batches, [1, 2]);
        assert_eq!(
            (a.first_token_ms.n, a.scoring_ms.is_some()),
            (2, schedule.is_scored)
        );
    }
    assert!(one.is_repeatable && one.schedules[0].prefill_speed_up.median == 1.0);
    // The run's own tokens: the longer answer of the dense model begins with them.
    let first = &read_records(&folder).unwrap()[0];
    let vanilla = &first.runs[first.cells[0].run.unwrap()];
    let answered = vanilla.token_ids.len();
    assert_eq!(one.schedules[0].token_ids[..answered], vanilla.token_ids);
    // It stays in the folder, is found again, and is in the report; the records are unchanged.
    let path = folder.join(efficiency::EFFICIENCY_FILE);
    efficiency::write(&path, &one).unwrap();
    let read_back = efficiency::read(&path).unwrap().unwrap();
    assert_eq!(read_back.plan_sha256, one.plan.sha256().unwrap());
    assert_eq!(read_back.schedules.len(), one.schedules.len());
    let stored = |threads| {
        let prepared = efficiency::prepare_run(&folder, settings, threads).unwrap();
        efficiency::stored_for(&folder, prepared.plan()).unwrap()
    };
    assert!(stored(1).is_some() && stored(2).is_none());
    run_in(&folder, &world.study_a(), BASE);
    assert!(records(&folder) == before);
    fp_report::write(&folder).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(read("summary.md").contains("## Efficiency, measured"));
    let page = read("report.html");
    assert!(page.contains("id=\"efficiency\"") && page.contains("class=\"front\""));
    assert!(!read("results.json").contains("first_token_ms"));
}

#[test]
fn whole_methods_are_measured_beside_what_they_save() {
    let world = World::new();
    let settings = EfficiencySettings {
        new_tokens: 2,
        warmup: 0,
        repeats: 2,
        max_batch: 1,
    };
    let config = StudyConfig {
        methods: vec!["pool".to_owned(), "downsample".to_owned()],
        schedules: vec!["2:8,4:4".parse().unwrap()],
        efficiency: Some(settings),
        ..world.study_a()
    };
    let folder = world.path("methods");
    run_in(&folder, &config, BASE);
    let prepared = efficiency::prepare_run(&folder, settings, 1).unwrap();
    let measured = efficiency::measure(prepared, None, None, &mut |_| {}).unwrap();
    assert!(measured.is_repeatable && measured.failed_methods.is_empty());
    let cells: Vec<&str> = measured.methods.iter().map(|m| m.cell.as_str()).collect();
    assert_eq!(
        cells,
        [
            "pool/R6",
            "downsample/R6",
            "pool/R2",
            "downsample/R2",
            "all_heads+last_token/2:8_4:4",
            "pool/2:8_4:4",
            "downsample/2:8_4:4",
        ]
    );
    let staged = measured.method("all_heads+last_token/2:8_4:4").unwrap();
    assert_eq!(staged.kept, 4);
    // The run's own answer to its first question begins in the same way.
    let first = &read_records(&folder).unwrap()[0];
    let spec = fp_eval::study::read_spec(&folder).unwrap();
    for method in &measured.methods {
        let cell = spec.grid.position(&method.cell).unwrap();
        let answered = &first.run_of(cell).unwrap().token_ids;
        let both = answered.len().min(method.token_ids.len());
        assert_eq!(
            method.token_ids[..both],
            answered[..both],
            "{}",
            method.cell
        );
    }
    efficiency::write(&folder.join(efficiency::EFFICIENCY_FILE), &measured).unwrap();
    fp_report::write(&folder).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let summary = read("summary.md");
    assert!(
        summary.contains("| choosing, ms | prefill saved, ms |"),
        "{summary}"
    );
    assert!(summary.contains("16→8@2→4@4"), "{summary}");
    assert!(read("report.html").contains("prefill saved, ms"));
    let results = read("results.json");
    assert!(!results.contains("saved_ms") && results.contains("\"methods\""));
}
