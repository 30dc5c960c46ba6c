//! Location of a sample's image: a file of its own, a position inside another file, or none.

use std::fmt;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_image::guarded;
use fp_scoring::{open_file, read_file};

use super::tsv::read_row;

/// An image that is only read when it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ImageRef {
    /// No image: a text-only question.
    #[default]
    None,
    /// A file.
    File(PathBuf),
    /// A cell of a tab-separated table, in Base64.
    Cell {
        /// The table.
        table: Arc<Path>,
        /// Byte offset of the row.
        row_start: u64,
        /// Column, counted from 0.
        column: usize,
    },
    /// A row of a Parquet file's column `image`.
    #[cfg(feature = "parquet")]
    Parquet {
        /// The file, opened.
        file: Arc<super::parquet::ImageColumn>,
        /// Row, counted from 0.
        row: usize,
    },
}

impl From<PathBuf> for ImageRef {
    fn from(path: PathBuf) -> Self {
        ImageRef::File(path)
    }
}

impl ImageRef {
    /// Reads the image's encoded bytes.
    ///
    /// # Errors
    /// The file can't be read, or holds no image at that position.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            ImageRef::None => Err(io::Error::other("the question has no image")),
            ImageRef::File(path) => read_file(path),
            ImageRef::Cell {
                table,
                row_start,
                column,
            } => read_cell(table, *row_start, *column),
            #[cfg(feature = "parquet")]
            ImageRef::Parquet { file, row } => file.read(*row),
        }
    }

    /// Width and height in pixels, from the image's header.
    ///
    /// # Errors
    /// As [`ImageRef::read`], or bytes that are no image.
    pub fn size(&self) -> io::Result<[usize; 2]> {
        let bytes = self.read()?;
        let reader = image::ImageReader::new(io::Cursor::new(&bytes)).with_guessed_format()?;
        let dimensions = guarded("image decoder", || reader.into_dimensions());
        let dimensions = dimensions.map_err(io::Error::other)?;
        let (width, height) = dimensions.map_err(io::Error::other)?;
        Ok([width as usize, height as usize])
    }

    /// The file that holds the image, alone or with others; an empty path for no image.
    pub fn container(&self) -> &Path {
        match self {
            ImageRef::None => Path::new(""),
            ImageRef::File(path) => path,
            ImageRef::Cell { table, .. } => table,
            #[cfg(feature = "parquet")]
            ImageRef::Parquet { file, .. } => file.path(),
        }
    }

    /// Its path, if it is a file of its own.
    pub fn as_file(&self) -> Option<&Path> {
        match self {
            ImageRef::File(path) => Some(path),
            _ => None,
        }
    }

    /// Its name relative to `folder`: a path, or a path and a position such as `table.tsv#byte=7`;
    /// empty for no image.
    pub fn name(&self, folder: &Path) -> String {
        let container = self.container();
        let path = container.strip_prefix(folder).unwrap_or(container);
        match self {
            ImageRef::None => String::new(),
            ImageRef::File(_) => path.display().to_string(),
            ImageRef::Cell { row_start, .. } => format!("{}#byte={row_start}", path.display()),
            #[cfg(feature = "parquet")]
            ImageRef::Parquet { row, .. } => format!("{}#row={row}", path.display()),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name(Path::new("")))
    }
}

fn read_cell(table: &Path, row_start: u64, column: usize) -> io::Result<Vec<u8>> {
    let mut file = io::BufReader::with_capacity(1 << 16, open_file(table)?);
    file.seek(SeekFrom::Start(row_start))?;
    let mut cells = Vec::new();
    read_row(&mut file, &mut cells)?;
    let cell = cells
        .get(column)
        .ok_or_else(|| io::Error::other(format!("the row has no column {column}")))?;
    STANDARD.decode(cell.trim_ascii()).map_err(io::Error::other)
}

/// The usual file extension for these bytes; `bin` for an unknown format.
pub(super) fn extension(bytes: &[u8]) -> &'static str {
    match image::guess_format(bytes) {
        Ok(image::ImageFormat::Jpeg) => "jpg",
        Ok(format) => format.extensions_str().first().copied().unwrap_or("bin"),
        Err(_) => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_its_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tsv");
        let first = "index\timage\n";
        let second = "1\t\"a\nb\"\n";
        std::fs::write(&path, format!("{first}{second}2\taGk=\n")).unwrap();
        let cell = |row_start: usize| ImageRef::Cell {
            table: path.clone().into(),
            row_start: row_start as u64,
            column: 1,
        };
        let found = cell(first.len() + second.len());
        assert_eq!(found.read().unwrap(), b"hi");
        assert_eq!(found.name(dir.path()), "t.tsv#byte=20");
        assert!(cell(first.len()).read().is_err());
    }

    #[test]
    fn files_have_their_own_name() {
        let image = ImageRef::from(PathBuf::from("/data/images/a.png"));
        assert_eq!(image.name(Path::new("/data")), "images/a.png");
        assert_eq!(image.to_string(), "/data/images/a.png");
        assert_eq!(image.as_file(), Some(Path::new("/data/images/a.png")));
    }

    #[test]
    fn endings_come_from_content() {
        assert_eq!(extension(b"\x89PNG\r\n\x1a\n0000"), "png");
        assert_eq!(extension(&[0xff, 0xd8, 0xff, 0xe0]), "jpg");
        assert_eq!(extension(b"?"), "bin");
    }
}
