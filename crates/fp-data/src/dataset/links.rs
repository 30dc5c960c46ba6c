//! Images outside of their dataset's folder.
//!
//! A foreign dataset may contain a link to any of the user's files, and `data convert` would copy
//! that file into a folder that is passed on. Names can't lead out of the folder; links may, if the
//! user allows it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DatasetError, Reading};

static IS_FOLLOWED: AtomicBool = AtomicBool::new(false);

/// Allows links to lead out of datasets' folders, for the whole process: the user vouches for all
/// datasets that it opens.
pub fn follow_links() {
    IS_FOLLOWED.store(true, Ordering::Relaxed);
}

/// An error for the first image that is outside of the dataset's folder through a link, unless
/// links are followed.
pub(super) fn leading_out(reading: &Reading) -> Option<DatasetError> {
    if IS_FOLLOWED.load(Ordering::Relaxed) {
        return None;
    }
    find(reading)
}

fn find(reading: &Reading) -> Option<DatasetError> {
    let folder = reading.dataset.folder.canonicalize().ok()?;
    // Most folders hold many images: only the last path component is checked for each.
    let mut folders: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    let mut last: Option<&Path> = None;
    for sample in &reading.dataset.samples {
        let Some(path) = sample.image.as_file().filter(|path| last != Some(*path)) else {
            continue;
        };
        last = Some(path);
        let is_link = path.symlink_metadata().is_ok_and(|data| data.is_symlink());
        let found = if is_link {
            path.canonicalize().ok()
        } else {
            let holder = path.parent().unwrap_or(Path::new("")).to_owned();
            let known = folders.entry(holder);
            known
                .or_insert_with_key(|holder| holder.canonicalize().ok())
                .clone()
        };
        if let Some(found) = found.filter(|found| !found.starts_with(&folder)) {
            return Some(DatasetError::LeadsOut {
                path: path.to_owned(),
                found,
            });
        }
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::plain;
    use super::find;

    fn data_set(folder: &Path) {
        let description = r#"{"name": "n", "split": "s", "answer_rule": "exact"}"#;
        fs::write(folder.join("benchmark.json"), description).unwrap();
        let line = r#"{"id": "1", "image": "images/a.png", "question": "q", "answers": ["x"], "family": "f"}"#;
        fs::write(folder.join("questions.jsonl"), line).unwrap();
    }

    fn told(folder: &Path) -> Option<String> {
        find(&plain::read(folder).unwrap()).map(|error| error.to_string())
    }

    #[test]
    fn links_are_followed_inside_the_folder_alone() {
        let elsewhere = tempfile::tempdir().unwrap();
        let secret = elsewhere.path().join("a.png");
        fs::write(&secret, b"secret").unwrap();

        // A plain file, and a link inside the folder.
        let set = tempfile::tempdir().unwrap();
        data_set(set.path());
        fs::create_dir(set.path().join("images")).unwrap();
        fs::write(set.path().join("images/b.png"), b"x").unwrap();
        symlink("b.png", set.path().join("images/a.png")).unwrap();
        assert_eq!(told(set.path()), None);

        // A link to a file, by absolute path and by `..`; a link to a link; a folder.
        let image = set.path().join("images/a.png");
        fs::remove_file(&image).unwrap();
        symlink(&secret, &image).unwrap();
        let error = told(set.path()).unwrap();
        assert!(
            error.contains("a.png") && error.contains("--follow-links"),
            "{error}"
        );
        fs::remove_file(&image).unwrap();
        symlink("c.png", &image).unwrap();
        symlink(&secret, set.path().join("images/c.png")).unwrap();
        assert!(told(set.path()).is_some());
        fs::remove_dir_all(set.path().join("images")).unwrap();
        symlink(elsewhere.path(), set.path().join("images")).unwrap();
        assert!(told(set.path()).is_some());

        // The dataset's folder may be a link itself.
        let own = tempfile::tempdir().unwrap();
        data_set(own.path());
        fs::create_dir(own.path().join("images")).unwrap();
        fs::write(own.path().join("images/a.png"), b"x").unwrap();
        let link = elsewhere.path().join("set");
        symlink(own.path(), &link).unwrap();
        assert_eq!(told(&link), None);
    }
}
