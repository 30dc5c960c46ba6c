//! The file that `--logits` names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, TensorView, serialize};
use tempfile::NamedTempFile;

/// A file that will appear whole or not at all.
pub(super) struct LogitsFile {
    path: PathBuf,
}

impl LogitsFile {
    /// Finds out, before the work whose result it shall hold, whether `path` can
    /// be written. Leaves nothing behind.
    pub(super) fn at(path: &Path) -> Result<LogitsFile> {
        let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file());
        ensure!(
            !is_other,
            "--logits {}: that is no regular file",
            path.display()
        );
        let file = LogitsFile {
            path: path.to_owned(),
        };
        file.beside().map(|_| file)
    }

    /// Writes one tensor `logits` `[vocabulary]`, f32.
    pub(super) fn write(&self, logits: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = logits
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let view = TensorView::new(Dtype::F32, vec![logits.len()], &bytes)?;
        let whole = serialize([("logits", view)], None)?;
        let file = self.beside()?;
        fs::write(file.path(), whole).with_context(|| self.refused())?;
        file.persist(&self.path).with_context(|| self.refused())?;
        Ok(())
    }

    /// A new file in the same folder, gone when dropped.
    fn beside(&self) -> Result<NamedTempFile> {
        let parent = self.path.parent().filter(|path| *path != Path::new(""));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".logits-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a file that is written in place would have, less the umask.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder
            .tempfile_in(parent.unwrap_or(Path::new(".")))
            .with_context(|| self.refused())
    }

    fn refused(&self) -> String {
        format!("can't write {}", self.path.display())
    }
}
