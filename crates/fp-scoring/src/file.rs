//! Opens and reads files with checks: only regular files, up to a maximum size.
//!
//! Opening a pipe waits for a writer, reading a device may never end, and a sparse file of a few
//! blocks can have any length. Each of these is an error with an explanation instead.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Maximum size of a file that is read as a whole, in bytes.
const MOST_BYTES: u64 = 1 << 30;
/// Maximum length of a line, in bytes.
const MOST_OF_LINE: u64 = 1 << 28;

/// Opens a file for reading, unless it is a pipe, a device or a socket.
///
/// # Errors
/// Those of [`File::open`], and a path that isn't a file.
pub fn open_file(path: &Path) -> io::Result<File> {
    // Checked before opening: opening a pipe blocks.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() || metadata.is_dir() {
        return File::open(path);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is a pipe, a device or a socket, not a file",
    ))
}

/// Reads a whole file.
///
/// # Errors
/// As [`open_file`], and a file of more than one gibibyte.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_file(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length <= MOST_BYTES {
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    }
    let length = length.max(bytes.len() as u64);
    if length > MOST_BYTES {
        let message = format!("it has {length} bytes; at most {MOST_BYTES} are read at once");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads a whole UTF-8 text file.
///
/// # Errors
/// As [`read_file`], and bytes that aren't UTF-8.
pub fn read_text_file(path: &Path) -> io::Result<String> {
    String::from_utf8(read_file(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Appends a line with its line end to `line`, and returns its number of bytes, 0 at the end of
/// the file.
///
/// # Errors
/// A read error, and a line of more than 256 MiB.
pub fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let read = file.take(MOST_OF_LINE + 1).read_until(b'\n', line)?;
    if read as u64 > MOST_OF_LINE {
        let message = format!("a line has more than {MOST_OF_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A temporary folder, removed when dropped.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("fp-file-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_read_and_nothing_else_is() {
        let folder = Folder::new("kinds");
        let path = folder.0.join("a.txt");
        std::fs::write(&path, "größe").unwrap();
        assert_eq!(read_text_file(&path).unwrap(), "größe");
        std::fs::write(&path, b"gr\xf6sse").unwrap();
        let error = read_text_file(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read_file(&folder.0.join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(read_file(&folder.0).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_sockets_are_no_files() {
        let folder = Folder::new("devices");
        let socket = folder.0.join("socket");
        let listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [Path::new("/dev/zero"), Path::new("/dev/null"), &socket] {
            let error = read_file(path).unwrap_err().to_string();
            assert!(error.contains("not a file"), "{}: {error}", path.display());
        }
        drop(listening);
        let pipe = folder.0.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|status| status.success()) {
            let error = read_file(&pipe).unwrap_err().to_string();
            assert!(error.contains("not a file"), "{error}");
        }
    }

    #[test]
    fn sparse_files_are_too_large() {
        let folder = Folder::new("sparse");
        let path = folder.0.join("large");
        let file = File::create(&path).unwrap();
        for length in [MOST_BYTES + 1, 10_000_000_000] {
            file.set_len(length).unwrap();
            let error = read_file(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(error.to_string().contains(&length.to_string()), "{error}");
        }
    }

    #[test]
    fn lines_have_an_end() {
        let mut lines = Cursor::new(b"one\ntwo".to_vec());
        let mut line = Vec::new();
        assert_eq!(read_line(&mut lines, &mut line).unwrap(), 4);
        assert_eq!(read_line(&mut lines, &mut line).unwrap(), 3);
        assert_eq!(line, b"one\ntwo");
        assert_eq!(read_line(&mut lines, &mut line).unwrap(), 0);
        let mut zeros = io::BufReader::with_capacity(1 << 20, io::repeat(0));
        let error = read_line(&mut zeros, &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("a line has more than"),
            "{error}"
        );
    }
}
