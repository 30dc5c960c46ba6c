//! Why a study can't be launched, or a launch can't be read.

use std::path::PathBuf;

use fp_eval::study::StudyError;

/// Why a study can't be launched, or a launch can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A file or folder that can't be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a launch that isn't the JSON that it has to be.
    #[error("{} isn't a file that `finepruner launch` writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A folder without a manifest.
    #[error("{} isn't the folder of a launch: it has no launch.json", path.display())]
    NotALaunch {
        /// The folder.
        path: PathBuf,
    },
    /// A launch of another version of the program.
    #[error("{}: format {found}, this program reads format {expected}", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The one that is read.
        expected: u32,
    },
    /// A folder that something lies in already.
    #[error(
        "{} isn't empty; name a new folder, or continue its launch with `finepruner launch resume`",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another program changes the launch.
    #[error(
        "another program is changing {}; if none is, delete {} and start again",
        path.display(), lock.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The lock.
        lock: PathBuf,
    },
    /// A setting that can't be.
    #[error("{what}: `{found}`; expected {expected}")]
    Setting {
        /// The flag or variable.
        what: String,
        /// What was given.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A program of the scheduler that isn't there.
    #[error("`{program}` can't be started; {hint}")]
    Missing {
        /// The program.
        program: String,
        /// What to do.
        hint: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Something that the scheduler refused.
    #[error("`{command}` was refused: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// Shards that lack samples.
    #[error("{}: {}; `finepruner launch resume` submits them again", path.display(), shards.join(", "))]
    Unfinished {
        /// The folder of the launch.
        path: PathBuf,
        /// Each unfinished shard, in words.
        shards: Vec<String>,
    },
    /// A run's folder.
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
