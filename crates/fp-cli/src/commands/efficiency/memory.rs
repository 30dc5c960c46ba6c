//! Peak memory of schedules: the command starts itself once for each.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use fp_eval::efficiency::{EfficiencySettings, PeakMemory};

/// Runs schedules in separate processes.
pub(crate) struct ChildMeter {
    /// Arguments for this program; the schedule's index is appended.
    arguments: Vec<OsString>,
}

impl ChildMeter {
    /// Uses the arguments of the current command.
    pub(super) fn of_this_command() -> ChildMeter {
        ChildMeter {
            arguments: std::env::args_os().skip(1).collect(),
        }
    }

    /// For a study's run.
    pub(crate) fn of_run(
        folder: &Path,
        settings: &EfficiencySettings,
        threads: usize,
    ) -> ChildMeter {
        let mut arguments: Vec<OsString> = vec!["efficiency".into(), "--run".into(), folder.into()];
        for (flag, value) in [
            ("--new-tokens", settings.new_tokens),
            ("--repeats", settings.repeats),
            ("--warmup", settings.warmup),
            ("--max-batch", settings.max_batch),
            ("--threads", threads),
        ] {
            arguments.extend([flag.into(), value.to_string().into()]);
        }
        ChildMeter { arguments }
    }

    /// Peak memory of a process that runs this schedule once.
    pub(crate) fn measure(&mut self, schedule: usize) -> Result<PeakMemory, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let output = Command::new(program)
            .args(&self.arguments)
            .arg("--peak-of")
            .arg(schedule.to_string())
            .output()
            .map_err(|error| {
                format!("this program can't start another process of itself: {error}")
            })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(message.trim().trim_start_matches("error: ").to_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }
}
