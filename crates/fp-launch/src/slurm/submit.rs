//! Calls of Slurm's programs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::manifest::Manifest;

/// The commands that submit a launch; the second one still lacks the array's job number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Submits the array; `None` if only merging remains.
    pub array: Option<Vec<String>>,
    /// Submits the job that merges and reports.
    pub finish: Vec<String>,
}

impl Commands {
    /// The commands that submit `tasks`, counted from 1, and then the merge.
    pub fn new(folder: &LaunchFolder, manifest: &Manifest, tasks: &[usize]) -> Commands {
        let resources = &manifest.resources;
        let fixed = |log: &str| {
            vec![
                "sbatch".to_owned(),
                "--parsable".to_owned(),
                format!("--chdir={}", manifest.working_dir.display()),
                format!("--output={}/{log}", pattern(&folder.logs())),
            ]
        };
        let array = (!tasks.is_empty()).then(|| {
            let mut command = fixed("task-%A_%a.out");
            let limit = resources
                .max_parallel
                .map_or(String::new(), |n| format!("%{n}"));
            command.push(format!("--array={}{limit}", ranges(tasks)));
            command.extend(resources.sbatch_args.iter().cloned());
            command.push(folder.task_script().display().to_string());
            command
        });
        let mut finish = fixed("finish-%j.out");
        finish.extend(resources.finish_args.iter().cloned());
        finish.push(folder.finish_script().display().to_string());
        Commands { array, finish }
    }
}

/// Submits a command of [`Commands`], to run after the jobs `after` if there are any; returns the
/// job's number.
///
/// # Errors
/// Slurm isn't installed, or its error.
pub fn submit(command: &[String], after: &[String]) -> Result<String, LaunchError> {
    let mut command = command.to_vec();
    if !after.is_empty() {
        // After they end in any way: merging reports what is missing.
        command.insert(2, format!("--dependency=afterany:{}", after.join(":")));
    }
    let output = run(&command)?;
    let id = output.trim().split(';').next().unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(LaunchError::Refused {
            command: command.join(" "),
            reason: format!("it printed {output:?}, which is not a job id"),
        });
    }
    Ok(id.to_owned())
}

/// Asks Slurm whether it would accept a command, without queuing it.
///
/// # Errors
/// Slurm isn't installed, or its error.
pub fn test_only(command: &[String]) -> Result<(), LaunchError> {
    let mut command = command.to_vec();
    command.insert(1, "--test-only".to_owned());
    run(&command)?;
    Ok(())
}

/// Requeues the job with this number; the job calls it as its last action.
///
/// # Errors
/// Slurm isn't installed, or its error.
pub fn requeue(job: &str) -> Result<(), LaunchError> {
    run(&["scontrol", "requeue", job].map(str::to_owned))?;
    Ok(())
}

/// A queued or running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveTask {
    /// Number of the task's own job.
    pub job: String,
    /// Number of its array job.
    pub array: String,
    /// Index in the array.
    pub task: usize,
}

/// The queued and running tasks of these arrays.
///
/// # Errors
/// Slurm isn't installed, or its error.
pub fn active(arrays: &[String]) -> Result<Vec<ActiveTask>, LaunchError> {
    let command = ["squeue", "--noheader", "--array", "--format=%A %F %K"].map(str::to_owned);
    let listed = run(&command)?;
    let tasks = listed.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (job, array, task) = (fields.next()?, fields.next()?, fields.next()?);
        Some(ActiveTask {
            job: job.to_owned(),
            array: array.to_owned(),
            task: task.parse().ok()?,
        })
    });
    Ok(tasks.filter(|task| arrays.contains(&task.array)).collect())
}

/// Runs a command and returns its output.
fn run(command: &[String]) -> Result<String, LaunchError> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| LaunchError::setting("command", "", "the name of a program"))?;
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| LaunchError::Missing {
            program: program.clone(),
            hint: "run this where Slurm's commands are installed, such as a login node, or see \
                   what would be submitted with --dry-run",
            source,
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix(&format!("{program}: "))
            .unwrap_or(line)
            .to_owned()
    });
    let reason: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    Err(LaunchError::Refused {
        command: command.join(" "),
        reason: if reason.is_empty() {
            format!("it ended with {}", output.status)
        } else {
            format!("{}{}", reason.join("; "), hint(&reason))
        },
    })
}

/// What to do if Slurm's programs find no cluster.
fn hint(reason: &[String]) -> &'static str {
    const NO_CLUSTER: [&str; 3] = [
        "Could not establish a configuration source",
        "Unable to process configuration file",
        "Unable to contact slurm controller",
    ];
    let found = reason
        .iter()
        .any(|line| NO_CLUSTER.iter().any(|sign| line.contains(sign)));
    match found {
        true => {
            "; no cluster was found: run this where Slurm is configured, such as a login node, or \
             see what would be submitted with --dry-run"
        }
        false => "",
    }
}

/// A path for use in a file name pattern, in which `%` begins a placeholder.
fn pattern(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

/// Ascending numbers in Slurm's notation, such as `1-4,7`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let part = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::Resources;
    use super::*;

    #[test]
    fn tasks_as_slurm_lists_them() {
        assert_eq!(ranges(&[1, 2, 3, 4]), "1-4");
        assert_eq!(ranges(&[2, 5, 6, 9]), "2,5-6,9");
    }

    #[test]
    fn commands_name_array_limit_and_logs() {
        let resources = Resources {
            max_parallel: Some(2),
            sbatch_args: vec!["--qos=long".to_owned()],
            ..Resources::default()
        };
        let manifest = Manifest::new("f".into(), "/home/me".into(), resources);
        let folder = LaunchFolder::new("/d/50%");
        let commands = Commands::new(&folder, &manifest, &[1, 2, 4]);
        assert_eq!(
            commands.array.unwrap().join(" "),
            "sbatch --parsable --chdir=/home/me --output=/d/50%%/logs/task-%A_%a.out \
             --array=1-2,4%2 --qos=long /d/50%/task.sh"
        );
        assert_eq!(Commands::new(&folder, &manifest, &[]).array, None);
    }

    #[test]
    fn what_a_program_says_is_told() {
        let command = ["sh", "-c", "echo 'sh: invalid partition' >&2; exit 1"].map(str::to_owned);
        let message = run(&command).unwrap_err().to_string();
        assert!(
            message.ends_with("was refused: invalid partition"),
            "{message}"
        );
        let script = "echo 'sh: fatal: Could not establish a configuration source' >&2; exit 1";
        let lost = run(&["sh", "-c", script].map(str::to_owned)).unwrap_err();
        let lost = lost.to_string();
        assert!(
            lost.contains("no cluster was found") && lost.contains("--dry-run"),
            "{lost}"
        );
        let missing = run(&["no-such-program".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(missing.contains("--dry-run"), "{missing}");
    }
}
