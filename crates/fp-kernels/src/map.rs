//! Files as memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// A file whose bytes are read as memory, a page at a time when it is first
/// looked at.
///
/// The file must stay as it is for as long as this value lives. One that is cut
/// short meanwhile ends the process with a bus error at the first look past its new
/// end, which no check can turn into an error; one that is overwritten gives old or
/// new bytes.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
    /// 0 for an empty file, of which a page is mapped that nobody reads.
    len: usize,
}

impl MappedFile {
    /// Maps the whole of the file at `path`, as long as it is now.
    ///
    /// # Errors
    /// A file that can't be opened or mapped, or is none, such as a folder.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        // Looked at before it is opened: opening a pipe waits.
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
        // SAFETY: the mapping is read-only and covers what the file holds. That
        // nobody shortens or rewrites the file meanwhile is asked of the user, as
        // the type says: the system offers no way to forbid it.
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

    /// Some of the bytes; `None` where the file doesn't reach.
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.get(..self.len)?.get(range)
    }

    /// Says that some bytes will be read soon, all of them and in order.
    pub fn prefetch(&self, range: Range<usize>) {
        #[cfg(unix)]
        if self
            .bytes(range.clone())
            .is_some_and(|bytes| !bytes.is_empty())
        {
            // Advice that isn't taken costs time alone.
            let _ = self
                .map
                .advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Says that some bytes won't be read soon: their pages stop counting as this
    /// process's memory. They can still be read.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if self
            .bytes(range.clone())
            .is_some_and(|bytes| !bytes.is_empty())
        {
            // SAFETY: pages of a read-only mapping of a file come back with the
            // file's bytes when they are looked at again.
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

    /// A file of the test's own, gone with it.
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
