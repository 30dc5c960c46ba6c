//! What a run came to, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::corpus::Corpus;
use crate::fault::{Fault, Kind};
use crate::progress::Counts;

/// A parser's line.
#[derive(Debug, Serialize)]
struct Line {
    parser: String,
    seed_files: usize,
    inputs: u64,
    taken: u64,
    refused: u64,
    failed: u64,
}

/// Faults that look alike.
#[derive(Debug, Serialize)]
struct Cause {
    parser: String,
    kind: Kind,
    message: String,
    inputs: usize,
    /// Inputs that were kept.
    files: Vec<PathBuf>,
}

/// Everything that is told at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    seed: u64,
    seconds: f64,
    inputs: u64,
    inputs_per_second: f64,
    failed: u64,
    parsers: Vec<Line>,
    causes: Vec<Cause>,
}

impl Summary {
    pub(crate) fn new(corpus: &Corpus, seed: u64, time: Duration) -> Summary {
        let lines = corpus.loaded.iter().map(|loaded| Line {
            parser: loaded.parser.name.clone(),
            seed_files: loaded.targets.len(),
            inputs: 0,
            taken: 0,
            refused: 0,
            failed: 0,
        });
        Summary {
            seed,
            seconds: time.as_secs_f64(),
            inputs: 0,
            inputs_per_second: 0.0,
            failed: 0,
            parsers: lines.collect(),
            causes: Vec::new(),
        }
    }

    /// Takes in what a child counted.
    pub(crate) fn add_counts(&mut self, counts: &[Counts]) {
        for (line, counts) in self.parsers.iter_mut().zip(counts) {
            line.inputs += counts.total();
            line.taken += counts.taken;
            line.refused += counts.refused;
            line.failed += counts.failed;
            self.inputs += counts.total();
            self.failed += counts.failed;
        }
        self.inputs_per_second = self.inputs as f64 / self.seconds.max(1e-9);
    }

    /// Takes in what failed.
    pub(crate) fn add_faults(&mut self, faults: &[Fault]) {
        let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
        for fault in faults {
            let cause = causes.entry(fault.signature()).or_insert_with(|| Cause {
                parser: fault.parser.clone(),
                kind: fault.kind,
                message: fault.message.clone(),
                inputs: 0,
                files: Vec::new(),
            });
            cause.inputs += 1;
            cause.files.extend(fault.saved.clone());
        }
        self.causes = causes.into_values().collect();
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.failed == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = [
            "parser",
            "seed files",
            "inputs",
            "taken",
            "refused",
            "failed",
        ];
        let [parser, seeds, inputs, taken, refused, failed] = heads;
        writeln!(
            f,
            "{parser:20} {seeds:>10} {inputs:>10} {taken:>10} {refused:>10} {failed:>8}"
        )?;
        for line in &self.parsers {
            writeln!(
                f,
                "{:20} {:>10} {:>10} {:>10} {:>10} {:>8}",
                line.parser, line.seed_files, line.inputs, line.taken, line.refused, line.failed
            )?;
        }
        writeln!(
            f,
            "\n{} inputs in {:.0} s, {:.0} a second, seed {}; {} failed",
            self.inputs, self.seconds, self.inputs_per_second, self.seed, self.failed
        )?;
        for cause in &self.causes {
            writeln!(
                f,
                "\n{}: {:?}, {} inputs\n  {}",
                cause.parser, cause.kind, cause.inputs, cause.message
            )?;
            for file in &cause.files {
                writeln!(f, "  cargo xtask fuzz --repeat {}", file.display())?;
            }
        }
        Ok(())
    }
}
