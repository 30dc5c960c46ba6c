//! The scripts of a launch's jobs.

use std::fmt::Write;
use std::path::Path;

use super::Resources;
use crate::folder::LaunchFolder;
use crate::manifest::Manifest;

/// The script of a task. The program replaces the shell, so that it receives Slurm's warning.
pub fn task_script(folder: &LaunchFolder, manifest: &Manifest) -> String {
    let resources = &manifest.resources;
    let mut script = String::from("#!/bin/sh\n");
    let mut add = |line: String| {
        // Writing to a string can't fail.
        let _ = writeln!(script, "#SBATCH {line}");
    };
    add(format!("--job-name={}", resources.name));
    add("--nodes=1".to_owned());
    add("--ntasks=1".to_owned());
    if let Some(cpus) = resources.cpus_per_task {
        add(format!("--cpus-per-task={cpus}"));
    }
    if let Some(gpus) = resources.gpus_per_task {
        add(format!("--gpus-per-task={gpus}"));
    }
    shared(resources).into_iter().for_each(&mut add);
    add("--requeue".to_owned());
    add("--open-mode=append".to_owned());
    add(format!("--signal=B:USR1@{}", resources.warn_seconds));
    let _ = writeln!(
        script,
        "# Each task runs {} of the study, resumes what it did before, and stops before its \
         time limit.\n\
         exec {} launch task {} --task \"$SLURM_ARRAY_TASK_ID\"",
        match manifest.procs_per_task {
            1 => "one shard".to_owned(),
            several => format!("{several} shards side by side"),
        },
        quoted(&manifest.program),
        quoted(folder.path()),
    );
    script
}

/// The script of the job that merges and reports after all tasks.
pub fn finish_script(folder: &LaunchFolder, manifest: &Manifest) -> String {
    let resources = &manifest.resources;
    let mut script = String::from("#!/bin/sh\n");
    let mut add = |line: String| {
        let _ = writeln!(script, "#SBATCH {line}");
    };
    add(format!("--job-name={}-merge", resources.name));
    add("--nodes=1".to_owned());
    add("--ntasks=1".to_owned());
    shared(resources).into_iter().for_each(&mut add);
    let _ = writeln!(
        script,
        "exec {} launch finish {}",
        quoted(&manifest.program),
        quoted(folder.path()),
    );
    script
}

/// Options that both kinds of jobs have in common.
fn shared(resources: &Resources) -> Vec<String> {
    [
        ("--partition", &resources.partition),
        ("--account", &resources.account),
        ("--constraint", &resources.constraint),
        ("--time", &resources.time),
        ("--mem", &resources.mem),
    ]
    .iter()
    .filter_map(|(flag, value)| Some(format!("{flag}={}", value.as_ref()?)))
    .collect()
}

/// A path quoted for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_asks_for_what_was_given_and_no_more() {
        let resources = Resources {
            name: "pope".to_owned(),
            partition: Some("gpu".to_owned()),
            gpus_per_task: Some(1),
            warn_seconds: 90,
            ..Resources::default()
        };
        let manifest = Manifest::new("/opt/finepruner".into(), "/home".into(), resources);
        let folder = LaunchFolder::new("/data/it's here");
        let expected = "#!/bin/sh\n\
            #SBATCH --job-name=pope\n\
            #SBATCH --nodes=1\n\
            #SBATCH --ntasks=1\n\
            #SBATCH --gpus-per-task=1\n\
            #SBATCH --partition=gpu\n\
            #SBATCH --requeue\n\
            #SBATCH --open-mode=append\n\
            #SBATCH --signal=B:USR1@90\n\
            # Each task runs one shard of the study, resumes what it did before, and stops before \
            its time limit.\n\
            exec '/opt/finepruner' launch task '/data/it'\\''s here' --task \
            \"$SLURM_ARRAY_TASK_ID\"\n";
        assert_eq!(task_script(&folder, &manifest), expected);
        let finish = finish_script(&folder, &manifest);
        assert!(
            finish.contains("--partition=gpu") && !finish.contains("gpus"),
            "{finish}"
        );
    }
}
