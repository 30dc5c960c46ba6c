//! Output files named by flags, which are written last.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

/// A file that is written completely or not at all.
pub(super) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Checks whether `path`, named by `flag`, can be written, before the work whose result it will
    /// contain. Leaves nothing behind.
    pub(super) fn at(flag: &str, path: &Path) -> Result<OutputFile> {
        let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file());
        ensure!(!is_other, "{flag} {}: not a regular file", path.display());
        let file = OutputFile {
            path: path.to_owned(),
        };
        file.beside().map(|_| file)
    }

    /// The final path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole content.
    pub(super) fn write(&self, content: &[u8]) -> Result<()> {
        self.write_with(|file| file.write_all(content).with_context(|| self.refused()))
    }

    /// Writes the content that `write` produces incrementally.
    pub(super) fn write_with<T>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let mut writer = BufWriter::new(self.beside()?);
        let written = write(&mut writer)?;
        let file = writer.into_inner().map_err(|error| error.into_error());
        let file = file.with_context(|| self.refused())?;
        file.persist(&self.path).with_context(|| self.refused())?;
        Ok(written)
    }

    /// A new file in the same folder, deleted when dropped.
    fn beside(&self) -> Result<NamedTempFile> {
        let parent = self.path.parent().filter(|path| *path != Path::new(""));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".finepruner-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The permissions of an ordinary new file, before the umask.
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
