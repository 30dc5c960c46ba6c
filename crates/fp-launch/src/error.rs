//! Errors of launching studies and reading launches.

use std::path::PathBuf;

use fp_eval::study::StudyError;

/// A study can't be launched, or a launch can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A file or folder can't be read or written.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// The action that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of a launch isn't the expected JSON.
    #[error("{} isn't a file that `finepruner launch` writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The folder has no manifest.
    #[error("{} isn't the folder of a launch: it has no launch.json", path.display())]
    NotALaunch {
        /// The folder.
        path: PathBuf,
    },
    /// The launch was made by another version of the program.
    #[error("{}: format {found}, this program reads format {expected}", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The supported format.
        expected: u32,
    },
    /// The folder isn't empty.
    #[error(
        "{} isn't empty; name a new folder, or continue its launch with `finepruner launch resume`",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another program is changing the launch.
    #[error(
        "another program is changing {}; if none is, delete {} and start again",
        path.display(), lock.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// An invalid setting.
    #[error("{what}: `{found}`; expected {expected}")]
    Setting {
        /// The flag or variable.
        what: String,
        /// What was given.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// A program of the scheduler is missing.
    #[error("`{program}` can't be started; {hint}")]
    Missing {
        /// The program.
        program: String,
        /// How to fix it.
        hint: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The scheduler refused a command.
    #[error("`{command}` was refused: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// The scheduler's message.
        reason: String,
    },
    /// Shards whose samples are incomplete.
    #[error("{}: {}; `finepruner launch resume` submits them again", path.display(), shards.join(", "))]
    Unfinished {
        /// The folder of the launch.
        path: PathBuf,
        /// Each unfinished shard, in words.
        shards: Vec<String>,
    },
    /// An error of a run's folder.
    #[error(transparent)]
    Study(#[from] StudyError),
}

impl LaunchError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> LaunchError {
        let path = path.into();
        move |source| LaunchError::Io {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> LaunchError {
        let path = path.into();
        move |source| LaunchError::Json { path, source }
    }

    pub(crate) fn setting(
        what: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> LaunchError {
        LaunchError::Setting {
            what: what.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}
