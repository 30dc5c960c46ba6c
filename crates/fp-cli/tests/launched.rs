//! A small study of the embedded model, as a launch and without shards.

#![allow(dead_code)] // each program of tests uses its own part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Flags of the study, without those of its output.
pub(crate) fn study_flags(limit: usize) -> Vec<String> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/ablation_a_config.json");
    let config = config.canonicalize().unwrap();
    [
        format!("--config={}", config.display()),
        format!("--limit={limit}"),
        "--head-selection-strategy=sum,variance".to_owned(),
        "--num-selected-heads=1/2".to_owned(),
        "--keep=25".to_owned(),
        "--random-seeds=1".to_owned(),
        "--dataset=embedded:select".to_owned(),
        "--num-draws=1000".to_owned(),
        "--max-new-tokens=3".to_owned(),
        "--batch-size=1".to_owned(),
    ]
    .into()
}

/// Output of a program that succeeded.
#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A launch's folder, and the environment variables of its programs.
pub(crate) struct Launch {
    pub(crate) folder: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
}

impl Launch {
    /// `finepruner launch WORD …` on the folder.
    pub(crate) fn command(&self, word: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_finepruner"));
        command.args(["launch", word]).arg(&self.folder).args(more);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Submits the study in `shards` shards.
    pub(crate) fn start(&self, limit: usize, shards: usize, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_finepruner"));
        command
            .args(["launch", "slurm"])
            .arg(format!("--output={}", self.folder.display()))
            .arg(format!("--shards={shards}"))
            .args(study_flags(limit))
            .args(more)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    /// Its status, as JSON.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let output = self.command("status", &["--json"]).output().unwrap();
        serde_json::from_str(&text(&output)).unwrap()
    }

    /// Submits what is missing; returns the output as JSON.
    #[track_caller]
    pub(crate) fn resume(&self) -> Value {
        let output = self.command("resume", &["--json"]).output().unwrap();
        serde_json::from_str(&text(&output)).unwrap()
    }

    /// The phase of each shard.
    #[track_caller]
    pub(crate) fn phases(&self) -> Vec<String> {
        let status = self.status();
        let shards = status["shards"].as_array().unwrap().iter();
        shards
            .map(|shard| shard["phase"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn shard(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("shards/{shard:04}"))
    }

    /// Complete lines of a shard's records.
    pub(crate) fn lines(&self, shard: usize) -> Vec<Vec<u8>> {
        lines(&self.shard(shard))
    }
}

/// Complete lines of a run's records.
pub(crate) fn lines(run: &Path) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let records = fp_eval::study::Records::open(run).unwrap();
    let read = records.lines(|lines| {
        bytes.extend_from_slice(lines);
        Ok::<_, fp_eval::study::StudyError>(())
    });
    read.unwrap();
    let whole = bytes.split_inclusive(|byte| *byte == b'\n');
    whole
        .filter(|line| line.ends_with(b"\n"))
        .map(<[u8]>::to_vec)
        .collect()
}

/// The study without shards.
pub(crate) struct Whole {
    pub(crate) folder: PathBuf,
    lines: Vec<Vec<u8>>,
}

impl Whole {
    pub(crate) fn run(folder: PathBuf, limit: usize) -> Whole {
        let output = Command::new(env!("CARGO_BIN_EXE_finepruner"))
            .arg("study")
            .args(study_flags(limit))
            .arg(format!("--output={}", folder.display()))
            .output()
            .unwrap();
        text(&output);
        let lines = lines(&folder);
        assert_eq!(lines.len(), limit);
        Whole { folder, lines }
    }

    /// No record is repeated, and all equal those of the whole study.
    #[track_caller]
    pub(crate) fn check_part(&self, launch: &Launch, shards: usize) {
        let mut seen = std::collections::HashSet::new();
        for line in (1..=shards).flat_map(|shard| launch.lines(shard)) {
            assert!(self.lines.contains(&line), "a record is another");
            assert!(seen.insert(line), "a record is there twice");
        }
    }

    /// The merged run equals the whole study, byte for byte.
    #[track_caller]
    pub(crate) fn check(&self, launch: &Launch) {
        for file in ["records.blocks", "results.json", "cells.csv"] {
            let [merged, whole] = [launch.folder.join("run"), self.folder.clone()]
                .map(|folder| std::fs::read(folder.join(file)).unwrap());
            assert!(merged == whole, "{file} differs");
        }
    }
}
