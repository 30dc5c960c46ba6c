//! Location of the shipped model and benchmark.
//!
//! They are looked for in this order: the folder named by the environment variable [`VARIABLE`], if
//! it is set; the folder given to [`look_in`]; beside the running program (`assets/`, `../assets/`,
//! `../share/finepruner/`); in the workspace that the program was built from.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Environment variable that names the folder of shipped files.
pub const VARIABLE: &str = "FINEPRUNER_ASSETS";

/// Folder of the shipped model, inside the folder of shipped files.
const MODEL: &str = "finepruner-tiny";
/// Folder of the shipped benchmark's splits.
const BENCHMARK: &str = "benchmark";
/// A folder that is searched before those beside the program.
static FURTHER: OnceLock<PathBuf> = OnceLock::new();

/// Splits of the shipped benchmark.
pub const SPLITS: [&str; 2] = ["select", "confirm"];

/// Names of the shipped splits in configurations: `embedded:select`, `embedded:confirm`.
pub fn split_names() -> [String; 2] {
    SPLITS.map(|split| format!("embedded:{split}"))
}

/// A shipped file that is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// None of the searched folders has it.
    #[error(
        "the shipped {what} was not found; searched {}; name the folder that holds it with the environment variable {VARIABLE}",
        searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// What was looked for.
        what: String,
        /// Searched folders.
        searched: Vec<PathBuf>,
    },
    /// A split that the shipped benchmark doesn't have.
    #[error(
        "the shipped benchmark has no split `{name}`{}; expected one of: {}",
        fp_scoring::did_you_mean(name, SPLITS),
        SPLITS.join(", ")
    )]
    UnknownSplit {
        /// The name given.
        name: String,
    },
}

/// Also searches `folder`, for programs whose executable is elsewhere, such as an interpreter that
/// has loaded this library. Only the first call has an effect.
pub fn look_in(folder: PathBuf) {
    let _ = FURTHER.set(folder);
}

/// Folder of the shipped model, a Hugging Face LLaVA checkpoint.
///
/// # Errors
/// It is in none of the folders.
pub fn model_dir() -> Result<PathBuf, EmbeddedError> {
    find(Path::new(MODEL), "config.json", "model", &roots())
}

/// Folder of a split of the shipped benchmark, in the plain form.
///
/// # Errors
/// It is in none of the folders, or no such split is shipped.
pub fn benchmark_dir(split: &str) -> Result<PathBuf, EmbeddedError> {
    if !SPLITS.contains(&split) {
        return Err(EmbeddedError::UnknownSplit {
            name: split.to_owned(),
        });
    }
    let path = Path::new(BENCHMARK).join(split);
    let what = format!("benchmark's split {split}");
    find(
        &path,
        crate::dataset::plain::DESCRIPTION_FILE,
        &what,
        &roots(),
    )
}

fn find(
    path: &Path,
    marker: &str,
    what: &str,
    roots: &[PathBuf],
) -> Result<PathBuf, EmbeddedError> {
    let searched: Vec<PathBuf> = roots.iter().map(|root| root.join(path)).collect();
    match searched.iter().find(|path| path.join(marker).is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(EmbeddedError::Missing {
            what: what.to_owned(),
            searched,
        }),
    }
}

/// Folders that may hold the shipped files. If the variable names a folder, it is the only one.
fn roots() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return vec![PathBuf::from(named)];
    }
    let mut roots: Vec<PathBuf> = FURTHER.get().into_iter().cloned().collect();
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    if let Some(folder) = program.ok().as_deref().and_then(Path::parent) {
        roots.push(folder.join("assets"));
        if let Some(above) = folder.parent() {
            roots.push(above.join("assets"));
            roots.push(above.join("share").join("finepruner"));
        }
    }
    roots.push(workspace().join("assets"));
    roots
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_has_it_counts() {
        let [empty, full] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let folder = full.path().join(MODEL);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.json"), "{}").unwrap();
        let roots = [empty.path().to_owned(), full.path().to_owned()];
        let found = find(Path::new(MODEL), "config.json", "model", &roots);
        assert_eq!(found, Ok(folder));
        let missing = find(Path::new(MODEL), "config.json", "model", &roots[..1]);
        let message = missing.unwrap_err().to_string();
        assert!(
            message.contains(&empty.path().display().to_string()),
            "{message}"
        );
        assert!(message.contains(VARIABLE), "{message}");
    }

    #[test]
    fn only_shipped_splits() {
        let message = benchmark_dir("train").unwrap_err().to_string();
        assert!(
            message.contains("`train`; expected one of: select, confirm"),
            "{message}"
        );
    }

    #[test]
    fn the_workspace_is_the_one_of_this_source() {
        assert!(workspace().join("Cargo.lock").is_file());
    }
}
