//! Slurm: resources of a job, its script, and calls of the scheduler.

mod amounts;
mod script;
mod submit;

pub use amounts::{check_memory, parse_time};
pub use script::{finish_script, task_script};
pub use submit::{ActiveTask, Commands, active, requeue, submit, test_only};

use serde::{Deserialize, Serialize};

use crate::error::LaunchError;

/// Default number of seconds between a task's warning and the end of its time.
pub const WARN_SECONDS: u64 = 120;

/// Exit code of a task that stopped on request and should be started again: `EX_TEMPFAIL`. Clusters
/// that list it in `RequeueExit` requeue the task by themselves.
pub const REQUEUE_EXIT: u8 = 75;

/// Resources that a task requests; the cluster's defaults apply to the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// The job's name.
    pub name: String,
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--constraint`.
    pub constraint: Option<String>,
    /// `--gpus-per-task`.
    pub gpus_per_task: Option<usize>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<usize>,
    /// `--time`.
    pub time: Option<String>,
    /// `--mem`.
    pub mem: Option<String>,
    /// Largest number of tasks that run at the same time.
    pub max_parallel: Option<usize>,
    /// Seconds before the end of a task's time at which it is told to finish.
    pub warn_seconds: u64,
    /// Further arguments of `sbatch`, for the array.
    pub sbatch_args: Vec<String>,
    /// Further arguments of `sbatch`, for the job that merges.
    pub finish_args: Vec<String>,
}

impl Resources {
    /// Refuses values that are invalid for Slurm, before it is called.
    ///
    /// # Errors
    /// The first invalid flag.
    pub fn check(&self) -> Result<(), LaunchError> {
        for (flag, value) in [
            ("--partition", &self.partition),
            ("--account", &self.account),
            ("--constraint", &self.constraint),
        ] {
            let Some(value) = value else { continue };
            let is_odd = |c: char| c.is_whitespace() || c.is_control();
            if value.is_empty() || value.contains(is_odd) {
                let expected = "a name without spaces, as listed by `sinfo` and `sacctmgr`";
                return Err(LaunchError::setting(flag, value, expected));
            }
        }
        if let Some(memory) = &self.mem {
            check_memory(memory)?;
        }
        if let Some(time) = &self.time {
            let seconds = parse_time(time)?;
            if seconds != 0 && seconds <= self.warn_seconds {
                let expected = format!(
                    "more than the {} s of --warn-seconds, in which a task finishes its questions",
                    self.warn_seconds
                );
                return Err(LaunchError::setting("--time", time, expected));
            }
        }
        let args = self.sbatch_args.iter().map(|arg| ("--sbatch-arg", arg));
        let finish = self
            .finish_args
            .iter()
            .map(|arg| ("--finish-sbatch-arg", arg));
        for (flag, arg) in args.chain(finish) {
            check_argument(flag, arg)?;
        }
        Ok(())
    }
}

/// Refuses arguments that the launcher sets itself.
fn check_argument(flag: &str, arg: &str) -> Result<(), LaunchError> {
    const OWN: [&str; 9] = [
        "--array",
        "-a",
        "--dependency",
        "-d",
        "--output",
        "--chdir",
        "--signal",
        "--parsable",
        "--wrap",
    ];
    let name = arg.split('=').next().unwrap_or(arg);
    if !arg.starts_with('-') || arg.contains('\n') {
        let expected = "an argument of sbatch with its value, such as --qos=long";
        return Err(LaunchError::setting(flag, arg, expected));
    }
    if OWN.contains(&name) {
        let expected = "another argument: this one is set by the launcher";
        return Err(LaunchError::setting(flag, arg, expected));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_cant_mean_is_refused_with_what_would_be_right() {
        let check = |change: fn(&mut Resources)| {
            let mut resources = Resources {
                warn_seconds: WARN_SECONDS,
                ..Resources::default()
            };
            change(&mut resources);
            resources.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(check(|r| r.time = Some("1-12:00:00".to_owned())), Ok(()));
        assert_eq!(
            check(|r| r.sbatch_args = vec!["--qos=long".to_owned()]),
            Ok(())
        );
        for (change, part) in [
            (
                (|r| r.time = Some("00:02:00".to_owned())) as fn(&mut Resources),
                "more than the 120 s",
            ),
            (|r| r.time = Some("soon".to_owned()), "HH:MM:SS"),
            (|r| r.mem = Some("4 GB".to_owned()), "64G"),
            (|r| r.partition = Some("a b".to_owned()), "without spaces"),
            (|r| r.sbatch_args = vec!["qos".to_owned()], "--qos=long"),
            (
                |r| r.finish_args = vec!["--array=1".to_owned()],
                "set by the launcher",
            ),
        ] {
            let message = check(change).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
