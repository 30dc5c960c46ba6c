//! A study gives the same whatever computes it: kept sets, tokens, metrics, the result.

mod study_support;

use fp_eval::report::{self, NoiseFloor, Run};
use fp_eval::study::{Engine, RunOptions, StudyConfig, read_records, read_timings};
use std::path::Path;
use study_support::{World, first_difference, records, run};

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

/// What differs between two runs; each exception has to be a near-tie.
fn floor(first: &Path, second: &Path) -> NoiseFloor {
    let [first, second] = [first, second].map(|folder| Run::read(folder).unwrap());
    let analysis = report::analyse(&first, Some(&second)).unwrap();
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
            // On these kernels there is no exception at all: not a byte differs.
            let (a, b) = (records(&base), records(&other));
            assert!(
                a == b,
                "study {name}, {way:?}: {}",
                first_difference(&a, &b)
            );
        }
        // Batches that memory cuts down to single runs.
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
        report::write(&folder).unwrap();
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
    // One image that can't be decoded fails in its place, and takes no other with it.
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
    let error = fp_eval::error_text(&run(&config, &none).unwrap_err());
    assert_eq!(error, "loaders: 0; at least 1");
}
