//! Memory-mapped files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// A memory-mapped file, whose pages are read when they are first accessed.
///
/// The file must not change while this value exists. If the file is truncated, the first access
/// past its new end ends the process with a bus error, which no check can turn into an error; if
/// it is overwritten, reads give old or new bytes.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
    /// 0 for an empty file, for which one unused page is mapped.
    len: usize,
}

impl MappedFile {
    /// Maps the whole file at `path`, with its current length.
    ///
    /// # Errors
    /// A path that can't be opened or mapped, or that isn't a file, such as a folder.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        // Checked before opening: opening a pipe blocks.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: the mapping is read-only and covers the file's contents. The type's
        // documentation requires that nobody truncates or rewrites the file meanwhile, which the
        // system can't enforce.
        let map = unsafe { MmapOptions::new().len(len.max(1)).map(&file)? };
        Ok(MappedFile { map, len })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A range of the bytes; `None` if it exceeds the file.
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.get(..self.len)?.get(range)
    }

    /// Announces that these bytes will soon be read, completely and in order.
    pub fn prefetch(&self, range: Range<usize>) {
        #[cfg(unix)]
        if self
            .bytes(range.clone())
            .is_some_and(|bytes| !bytes.is_empty())
        {
            // Ignoring this advice only costs time.
            let _ = self
                .map
                .advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Announces that these bytes won't be read soon: their pages no longer count as this
    /// process's memory. They can still be read.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if self
            .bytes(range.clone())
            .is_some_and(|bytes| !bytes.is_empty())
        {
            // SAFETY: pages of a read-only file mapping are read again from the file at the next
            // access.
            let _ = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary file, removed when dropped.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Scratch {
            let name = format!("fp-kernels-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, bytes).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn bytes_are_the_files_before_and_after_a_release() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let file = Scratch::new("bytes", &bytes);
        let map = MappedFile::open(&file.0).unwrap();
        assert_eq!((map.len(), map.is_empty()), (100_000, false));
        map.prefetch(0..100_000);
        for range in [0..100_000, 5..5, 7..70_001, 99_999..100_000] {
            assert_eq!(map.bytes(range.clone()), Some(&bytes[range.clone()]));
            map.release(range.clone());
            assert_eq!(map.bytes(range.clone()), Some(&bytes[range]));
        }
        for range in [0..100_001, 100_000..100_001, 200_000..200_001] {
            assert_eq!(map.bytes(range.clone()), None);
            map.release(range);
        }
    }

    #[test]
    fn what_is_no_file_and_what_is_empty() {
        let file = Scratch::new("empty", b"");
        let map = MappedFile::open(&file.0).unwrap();
        assert!(map.is_empty());
        assert_eq!(map.bytes(0..0), Some(&[][..]));
        assert_eq!(map.bytes(0..1), None);
        assert!(MappedFile::open(&std::env::temp_dir()).is_err());
        assert!(MappedFile::open(Path::new("/there/is/no/such/file")).is_err());
    }
}
