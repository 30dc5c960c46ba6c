//! Recognises files by their first bytes: a supported image, an image in another format, or what
//! failed downloads leave in an image's place.

use image::ImageFormat;

use super::ImageError;

/// Supported formats, in words.
const KNOWN: &str = "PNG, JPEG, GIF, WebP, BMP, TIFF";
/// Number of bytes of a text that are examined.
const MOST_TEXT: usize = 512;

/// An unsupported format: its name, the offset of its signature, and the signature.
type Signature = (&'static str, usize, &'static [u8]);

/// Unsupported image formats.
const OTHER_IMAGES: [Signature; 18] = [
    ("AVIF", 4, b"ftypavif"),
    ("AVIF", 4, b"ftypavis"),
    ("HEIC", 4, b"ftyphei"),
    ("HEIC", 4, b"ftyphev"),
    ("HEIF", 4, b"ftypmif1"),
    ("HEIF", 4, b"ftypmsf1"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("BigTIFF", 0, b"II\x2b\0"),
    ("BigTIFF", 0, b"MM\0\x2b"),
    ("Photoshop", 0, b"8BPS"),
    ("OpenEXR", 0, b"\x76\x2f\x31\x01"),
    ("Radiance HDR", 0, b"#?RADIANCE"),
    ("DDS", 0, b"DDS "),
    ("QOI", 0, b"qoif"),
    ("ICO", 0, b"\0\0\x01\0"),
];

/// Files that are not images.
const OTHER_FILES: [Signature; 15] = [
    ("a PDF document", 0, b"%PDF-"),
    ("data compressed with gzip", 0, b"\x1f\x8b"),
    ("a ZIP archive", 0, b"PK\x03\x04"),
    ("a ZIP archive", 0, b"PK\x05\x06"),
    ("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c"),
    ("a RAR archive", 0, b"Rar!\x1a\x07"),
    ("data compressed with bzip2", 0, b"BZh"),
    ("data compressed with xz", 0, b"\xfd7zXZ\0"),
    ("data compressed with Zstandard", 0, b"\x28\xb5\x2f\xfd"),
    ("a tar archive", 257, b"ustar"),
    ("a video (Matroska or WebM)", 0, b"\x1a\x45\xdf\xa3"),
    ("a video (MP4 or QuickTime)", 4, b"ftyp"),
    ("an array of NumPy", 0, b"\x93NUMPY"),
    ("a Parquet file", 0, b"PAR1"),
    ("a program (ELF)", 0, b"\x7fELF"),
];

/// The format of a supported image.
///
/// # Errors
/// [`ImageError::Empty`], [`ImageError::Unsupported`] for images of other formats and
/// [`ImageError::UnknownFormat`] for all else, each by name.
pub(super) fn recognised(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let is = |(_, at, signature): &&Signature| {
        bytes
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(signature))
    };
    if let Some((format, ..)) = OTHER_IMAGES.iter().find(is) {
        return Err(not_read(format));
    }
    if is_map(bytes) {
        return Err(not_read("PNM"));
    }
    if let Ok(format @ (Png | Jpeg | Gif | WebP | Bmp | Tiff)) = image::guess_format(bytes) {
        return Ok(format);
    }
    let unknown = |what: String| ImageError::UnknownFormat { what, known: KNOWN };
    if let Some((what, ..)) = OTHER_FILES.iter().find(is) {
        return Err(unknown((*what).to_owned()));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(unknown("nothing but zero bytes".to_owned()));
    }
    Err(match text_of(bytes) {
        Some(text) => of_text(&text, unknown),
        None => {
            let head: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
            unknown(format!("it begins with the bytes {}", head.join(" ")))
        }
    })
}

/// Whether this is a portable pixmap format: `P6`, then a number or a comment.
fn is_map(bytes: &[u8]) -> bool {
    match bytes {
        [b'P', b'7', b'\n', ..] => true,
        [b'P', b'1'..=b'6', space, next, ..] => {
            space.is_ascii_whitespace() && (next.is_ascii_digit() || *next == b'#')
        }
        _ => false,
    }
}

fn not_read(format: &'static str) -> ImageError {
    ImageError::unsupported(format, "this format isn't read")
}

/// The start of a text from its first letter on; `None` if the bytes are not text.
fn text_of(bytes: &[u8]) -> Option<String> {
    let start = bytes.get(..MOST_TEXT).unwrap_or(bytes);
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The cut may fall within a character.
        Err(error) if bytes.len() > MOST_TEXT && error.valid_up_to() + 4 > MOST_TEXT => {
            std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_odd = |letter: char| letter.is_control() && !letter.is_whitespace();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    (!text.contains(is_odd)).then(|| text.to_owned())
}

/// Classifies a text: server error pages and version-control pointers are named.
fn of_text(text: &str, unknown: impl Fn(String) -> ImageError) -> ImageError {
    let lower = text.to_lowercase();
    let starts = |beginning: &str| lower.starts_with(beginning);
    if text.is_empty() {
        return unknown("nothing but white space".to_owned());
    }
    if starts("version https://git-lfs") {
        let what = "a pointer of Git LFS, not the image: `git lfs pull` fetches it";
        return unknown(what.to_owned());
    }
    if lower.contains("/annex/objects/") {
        let what = "a pointer of git-annex, not the image: `git annex get` fetches it";
        return unknown(what.to_owned());
    }
    if starts("<!doctype html") || starts("<html") {
        let what = "a web page (HTML), not an image: the download failed";
        return unknown(what.to_owned());
    }
    if starts("<svg") || (starts("<?xml") || starts("<!doctype svg")) && lower.contains("<svg") {
        return not_read("SVG");
    }
    if starts("<") {
        let what = "XML, such as a server's error message, not an image";
        return unknown(what.to_owned());
    }
    if starts("{") || starts("[") {
        return unknown("JSON, not an image".to_owned());
    }
    let line = text.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(32).collect();
    let more = if shown.len() < line.len() { "…" } else { "" };
    unknown(format!(
        "text, not an image: it begins with {:?}",
        shown + more
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_named() {
        let long = "x".repeat(20_000);
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let letters = format!("{}é", "a".repeat(511));
        let cases: [(&[u8], &str); 22] = [
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
                "Git LFS",
            ),
            (b"../.git/annex/objects/aa/bb/SHA256E-s1.png", "git-annex"),
            (b"\n<!DOCTYPE html><html>", "a web page (HTML)"),
            (b"\xef\xbb\xbf<HTML lang=en>", "a web page (HTML)"),
            (b"<?xml version=\"1.0\"?><Error>", "XML"),
            (b"{\"error\": 404}", "JSON"),
            (b"[1]", "JSON"),
            (b"\0\0\0\0", "zero bytes"),
            (b" \n ", "white space"),
            (
                b"Not Found",
                "text, not an image: it begins with \"Not Found\"",
            ),
            (
                long.as_bytes(),
                "it begins with \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\"",
            ),
            (letters.as_bytes(), "text"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"BZh9", "bzip2"),
            (&tar, "tar"),
            (b"\0\0\0\x20ftypisom", "MP4"),
            (b"\x1a\x45\xdf\xa3\x01", "WebM"),
            (b"\x93NUMPY\x01\0", "NumPy"),
            (b"\x01\x02\x03\xff", "the bytes 01 02 03 ff"),
            // Terminal escape sequences are not text.
            (b"\x1b[31mx", "the bytes 1b 5b"),
        ];
        for (bytes, said) in cases {
            match recognised(bytes) {
                Err(ImageError::UnknownFormat { what, known }) => {
                    assert!(what.contains(said), "{what}");
                    assert!(known.contains("PNG"));
                }
                other => panic!("{said}: {other:?}"),
            }
        }
        assert!(matches!(recognised(b""), Err(ImageError::Empty)));
    }

    #[test]
    fn images_of_other_formats_are_named_with_what_to_do() {
        let cases: [(&[u8], &str); 13] = [
            (b"\0\0\0\x20ftypavif", "AVIF"),
            (b"\0\0\0\x20ftypavis", "AVIF"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"\0\0\0\x18ftyphevc", "HEIC"),
            (b"\0\0\0\x18ftypmif1", "HEIF"),
            (b"\xff\x0a\0", "JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0", "JPEG 2000"),
            (b"II\x2b\0\x08\0\0\0", "BigTIFF"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"<svg xmlns=\"x\">", "SVG"),
            (b"<?xml version=\"1.0\"?>\n<!-- a -->\n<svg>", "SVG"),
            (b"P6 2 2 255\n\0\xff\x01", "PNM"),
            (b"qoif\0", "QOI"),
        ];
        for (bytes, name) in cases {
            let error = recognised(bytes).unwrap_err();
            assert!(matches!(error, ImageError::Unsupported { .. }), "{error:?}");
            let text = error.to_string();
            let expected =
                format!("unsupported {name} image: this format isn't read; convert it to PNG");
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn images_are_known_by_their_content() {
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\n"[..], ImageFormat::Png),
            (b"\xff\xd8\xff\xe0", ImageFormat::Jpeg),
            (b"GIF89a", ImageFormat::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", ImageFormat::WebP),
            (b"BM\0\0", ImageFormat::Bmp),
            (b"MM\0*", ImageFormat::Tiff),
        ] {
            assert_eq!(recognised(bytes).ok(), Some(format));
        }
    }
}
