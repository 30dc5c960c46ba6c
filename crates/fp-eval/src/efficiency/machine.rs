//! The machine of a measurement, and its load.

use serde::{Deserialize, Serialize};

use crate::study::Environment;

/// A machine and its load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Program, system, processor, and start time.
    pub environment: Environment,
    /// Vector instruction sets that it has, among those that the kernels use.
    pub instruction_sets: Vec<String>,
    /// Build profile of the program: `release` or `debug`.
    pub build: String,
    /// Load average over the last minute before the start, if the system states it.
    pub load_before: Option<f64>,
    /// Load average at the end, which includes this measurement.
    pub load_after: Option<f64>,
}

impl Machine {
    /// This machine with its current load.
    pub(super) fn now() -> Machine {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags"));
        let has = |flag: &&str| flags.is_some_and(|line| line.split(' ').any(|f| f == *flag));
        Machine {
            environment: Environment::now(),
            instruction_sets: ["avx2", "fma", "avx512f"]
                .iter()
                .filter(|flag| has(flag))
                .map(|flag| (*flag).to_owned())
                .collect(),
            build: if cfg!(debug_assertions) {
                "debug".to_owned()
            } else {
                "release".to_owned()
            },
            load_before: load_average(),
            load_after: None,
        }
    }

    /// Records the load at the end.
    pub(super) fn finish(mut self) -> Machine {
        self.load_after = load_average();
        self
    }

    /// The machine in one line.
    pub fn describe(&self) -> String {
        let environment = &self.environment;
        let cpu = environment.cpu.as_deref();
        let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |l| format!("{l:.2}"));
        format!(
            "{}, {} CPUs ({}), {} {}, finepruner {} ({} build); load average {} before, {} after",
            cpu.unwrap_or("unknown processor"),
            environment.num_cpus,
            if self.instruction_sets.is_empty() {
                "no known vector instructions".to_owned()
            } else {
                self.instruction_sets.join(", ")
            },
            environment.os,
            environment.arch,
            environment.version,
            self.build,
            load(self.load_before),
            load(self.load_after),
        )
    }
}

fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}
