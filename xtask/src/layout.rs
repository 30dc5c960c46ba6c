//! Checks that no test file is omitted: with `autotests = false` Cargo builds only what
//! `tests/main.rs` or the manifest names.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules and programs in a folder of tests: `name.rs`, and folders with a `mod.rs` or
/// `main.rs`.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_code = |path: &PathBuf| {
        let is_file = path.extension().is_some_and(|ending| ending == "rs");
        is_file
            || ["mod.rs", "main.rs"]
                .iter()
                .any(|file| path.join(file).is_file())
    };
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.filter(is_code).map(stem).collect()
}

#[test]
fn every_file_of_tests_belongs_to_a_program() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut left_out = Vec::new();
    let mut num_programs = 0;
    for entry in fs::read_dir(crates).unwrap() {
        let package = entry.unwrap().path();
        let Ok(modules) = fs::read_to_string(package.join("tests/main.rs")) else {
            continue;
        };
        num_programs += 1;
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        for name in names(&package.join("tests")) {
            let is_module = modules.contains(&format!("mod {name};\n"));
            let is_program = [
                format!("tests/{name}.rs\""),
                format!("tests/{name}/main.rs\""),
            ]
            .iter()
            .any(|path| manifest.contains(path));
            if !is_module && !is_program {
                left_out.push(package.join("tests").join(name).display().to_string());
            }
        }
    }
    assert!(num_programs >= 10, "{num_programs}");
    assert!(
        left_out.is_empty(),
        "neither a module of tests/main.rs nor named in Cargo.toml: {}",
        left_out.join(", ")
    );
}
