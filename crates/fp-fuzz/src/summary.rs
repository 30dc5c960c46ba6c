//! The results of a run, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::corpus::Corpus;
use crate::fault::{Fault, Kind};
use crate::parent::Plan;
use crate::progress::Counts;

/// One parser's line of the table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) parser: String,
    pub(crate) seed_files: usize,
    pub(crate) inputs: u64,
    pub(crate) taken: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
}

/// Faults of the same cause.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) parser: String,
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) inputs: usize,
    /// Paths of the saved inputs.
    files: Vec<PathBuf>,
}

/// All results that are printed at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) processes: u64,
    /// Model and number of processors.
    pub(crate) machine: String,
    pub(crate) seconds: f64,
    pub(crate) inputs: u64,
    pub(crate) inputs_per_second: f64,
    pub(crate) failed: u64,
    pub(crate) parsers: Vec<Line>,
    pub(crate) causes: Vec<Cause>,
}

impl Summary {
    pub(crate) fn new(corpus: &Corpus, plan: &Plan, time: Duration) -> Summary {
        let lines = corpus.loaded.iter().map(|loaded| Line {
            parser: loaded.parser.name.clone(),
            seed_files: loaded.targets.len(),
            inputs: 0,
            taken: 0,
            refused: 0,
            failed: 0,
        });
        Summary {
            seed: plan.seed,
            processes: plan.children,
            machine: machine(),
            seconds: time.as_secs_f64(),
            inputs: 0,
            inputs_per_second: 0.0,
            failed: 0,
            parsers: lines.collect(),
            causes: Vec::new(),
        }
    }

    /// Adds the counts of a child process.
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

    /// Adds the faults of a child process.
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

/// The processor's model, if the system reports it, and the number of processors.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = info.lines();
    let line = lines.find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", name.unwrap_or("unknown processor"))
}
