//! Damage inside files that have checksums and lengths. These are recomputed, so that the file is
//! not refused at once.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{bytes, json, text};
use crate::random::Random;

/// A chunk of a PNG file: its type and its content.
type Chunk = ([u8; 4], Vec<u8>);

const PNG_HEAD: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The chunks of a PNG file, as far as they can be separated; `None` if it is no PNG file.
fn png_chunks(file: &[u8]) -> Option<Vec<Chunk>> {
    let mut rest = file.strip_prefix(PNG_HEAD)?;
    let mut chunks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let Some((name, after)) = after.split_first_chunk::<4>() else {
            break;
        };
        let content = &after[..length.min(after.len())];
        chunks.push((*name, content.to_vec()));
        rest = after.get(length.saturating_add(4)..).unwrap_or_default();
    }
    (!chunks.is_empty()).then_some(chunks)
}

fn png_file(chunks: &[Chunk]) -> Vec<u8> {
    let mut file = PNG_HEAD.to_vec();
    for (name, content) in chunks {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        file.extend(length.to_be_bytes());
        let start = file.len();
        file.extend(name);
        file.extend(content);
        let sum = crc32fast::hash(&file[start..]);
        file.extend(sum.to_be_bytes());
    }
    file
}

/// Changes the content, order or number of chunks, with valid checksums.
pub(super) fn png(seed: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut chunks = png_chunks(seed)?;
    let at = random.below(chunks.len());
    match random.below(11) {
        0 => drop(chunks.remove(at)),
        1 => chunks.insert(at, chunks[at].clone()),
        2 => {
            let to = random.below(chunks.len());
            chunks.swap(at, to);
        }
        3 => chunks[at].0 = chunks[random.below(chunks.len())].0,
        4 => pixels(&mut chunks, random)?,
        // The header has the most effect on decoding.
        5 | 6 => chunks[0].1 = bytes::damage(&chunks[0].1, b"", random),
        _ => chunks[at].1 = bytes::damage(&chunks[at].1, b"", random),
    }
    Some(png_file(&chunks))
}

/// Size of an occasional chunk that is small when compressed.
const UNPACKED: usize = 8 << 20;

/// Decompresses the pixel data of all chunks, changes it and compresses it again.
fn pixels(chunks: &mut Vec<Chunk>, random: &mut Random) -> Option<()> {
    const PIXELS: [u8; 4] = *b"IDAT";
    let first = chunks.iter().position(|(name, _)| *name == PIXELS)?;
    let packed: Vec<u8> = chunks
        .iter()
        .filter(|(name, _)| *name == PIXELS)
        .flat_map(|(_, content)| content.clone())
        .collect();
    let most = super::MOST_BYTES;
    let rows = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&packed, most).ok()?;
    let mut rows = bytes::damage(&rows, b"", random);
    if random.one_in(16) {
        rows.resize(UNPACKED, 0);
    }
    chunks[first].1 = miniz_oxide::deflate::compress_to_vec_zlib(&rows, 1);
    let mut place = 0;
    chunks.retain(|(name, _)| {
        place += 1;
        *name != PIXELS || place == first + 1
    });
    Some(())
}

/// Changes the content of entries of an archive and compresses them again.
pub(super) fn zip(seed: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(seed)).ok()?;
    let chosen = random.below(archive.len());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).ok()?;
        let name = entry.name().ok()?.into_owned();
        let method = entry.compression();
        let mut content = Vec::new();
        entry
            .by_ref()
            .take(super::MOST_BYTES as u64)
            .read_to_end(&mut content)
            .ok()?;
        let mut times = 1;
        let mut written = name.clone();
        if index == chosen {
            match random.below(16) {
                0 => times = 0,
                1 => times = 2,
                2 => written = text::word(random).chars().take(300).collect(),
                _ => content = entry_content(&name, &content, random),
            }
        }
        let method = match method {
            CompressionMethod::Stored => method,
            _ => CompressionMethod::Deflated,
        };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(zip::DateTime::default());
        for time in 0..times {
            let name = if time == 0 { &written } else { &name };
            // A name that is already in the archive can't be written again.
            if writer.start_file(name.as_str(), options).is_ok() {
                writer.write_all(&content).ok()?;
            }
        }
    }
    Some(writer.finish().ok()?.into_inner())
}

/// Changes an entry's content: markup, or a pickle and other bytes.
fn entry_content(name: &str, content: &[u8], random: &mut Random) -> Vec<u8> {
    if random.one_in(64) && !content.is_empty() {
        let at = random.below(content.len());
        let times = UNPACKED / (content.len() - at);
        return [&content[..at], &content[at..].repeat(times)].concat();
    }
    let is_markup = [".xml", ".rels"].iter().any(|end| name.ends_with(end));
    if is_markup && !random.one_in(4) {
        return markup(content, random);
    }
    bytes::damage(content, content, random)
}

/// Changes elements and quoted values of XML.
fn markup(content: &[u8], random: &mut Random) -> Vec<u8> {
    let (open, close) = if random.one_in(2) {
        (b'"', b'"')
    } else {
        (b'>', b'<')
    };
    let places: Vec<usize> = (0..content.len())
        .filter(|at| content[*at] == open)
        .collect();
    let Some(&start) = random.pick(&places) else {
        return text::words(content, random);
    };
    let rest = &content[start + 1..];
    let length = rest.iter().position(|byte| *byte == close);
    let range = start + 1..start + 1 + length.unwrap_or(0);
    let mut damaged = content.to_vec();
    if random.one_in(6) {
        // Repeats a cell or another element many times.
        let copied = damaged[range.start..]
            .iter()
            .take(random.length(400))
            .copied();
        let copied: Vec<u8> = copied.collect();
        damaged.splice(range.start..range.start, copied.repeat(random.length(40)));
    } else {
        damaged.splice(range, text::word(random).into_bytes());
    }
    damaged
}

/// Changes the footer of a Parquet file, with a valid length, or its pages.
pub(super) fn parquet(seed: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    const MAGIC: &[u8] = b"PAR1";
    let rest = seed.strip_suffix(MAGIC)?;
    let (rest, length) = rest.split_last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (pages, footer) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let (pages, footer) = if random.one_in(2) {
        (pages.to_vec(), bytes::damage(footer, pages, random))
    } else {
        // Mostly keeps the length, since the footer has the pages' offsets.
        let mut damaged = bytes::damage(pages, footer, random);
        if !random.one_in(4) {
            damaged.resize(pages.len(), 0);
        }
        (damaged, footer.to_vec())
    };
    let length = u32::try_from(footer.len()).ok()?;
    Some([&pages[..], &footer, &length.to_le_bytes(), MAGIC].concat())
}

/// Changes the JSON header of a safetensors file, with a valid length, or the values.
pub(super) fn safetensors(seed: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (length, rest) = seed.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, values) = rest.split_at_checked(length)?;
    let (header, values) = match random.below(8) {
        0 => (header.to_vec(), bytes::damage(values, header, random)),
        1 => (text::words(header, random), values.to_vec()),
        _ => (json::document(header, header, random)?, values.to_vec()),
    };
    let length = header.len() as u64;
    Some([&length.to_le_bytes(), &header[..], &values].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel() -> Vec<u8> {
        let chunk = |name: &[u8; 4], content: &[u8]| (*name, content.to_vec());
        png_file(&[
            chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
            chunk(b"IDAT", b"\x78\x9c\x63\x60\x00\x00\x00\x02\x00\x01"),
            chunk(b"IEND", b""),
        ])
    }

    #[test]
    fn chunks_keep_their_checksums() {
        let file = pixel();
        assert_eq!(png_file(&png_chunks(&file).unwrap()), file);
        for number in 0..500 {
            let mut random = Random::of_input(1, "png", number);
            let damaged = png(&file, &mut random).unwrap();
            let mut rest = &damaged[8..];
            while !rest.is_empty() {
                let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
                let sum = crc32fast::hash(&rest[4..8 + length]);
                assert_eq!(rest[8 + length..12 + length], sum.to_be_bytes());
                rest = &rest[12 + length..];
            }
        }
        assert_eq!(png(b"GIF89a", &mut Random::of_input(1, "", 0)), None);
    }

    #[test]
    fn archives_can_be_opened_again() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in [("a.xml", "<a b=\"1\">2</a>"), ("data.pkl", "bytes")] {
            writer
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        let file = writer.finish().unwrap().into_inner();
        let mut different = 0;
        for number in 0..300 {
            let make = || zip(&file, &mut Random::of_input(1, "zip", number)).unwrap();
            let damaged = make();
            assert_eq!(damaged, make());
            let mut archive = ZipArchive::new(Cursor::new(&damaged)).unwrap();
            let mut all = String::new();
            for index in 0..archive.len() {
                let mut content = Vec::new();
                archive
                    .by_index(index)
                    .unwrap()
                    .read_to_end(&mut content)
                    .unwrap();
                all.push_str(&String::from_utf8_lossy(&content));
            }
            different += usize::from(all != "<a b=\"1\">2</a>bytes");
        }
        assert!(different > 200, "{different} of 300");
    }

    #[test]
    fn lengths_of_headers_and_footers_fit() {
        let header = br#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#;
        let length = (header.len() as u64).to_le_bytes();
        let file = [&length[..], header, &[1, 2, 3]].concat();
        let parquet_file = b"PAR1pagespages{footer}\x08\0\0\0PAR1";
        for number in 0..300 {
            let mut random = Random::of_input(1, "headers", number);
            let damaged = safetensors(&file, &mut random).unwrap();
            let length = u64::from_le_bytes(damaged[..8].try_into().unwrap()) as usize;
            assert!(length <= damaged.len() - 8);
            let damaged = parquet(parquet_file, &mut random).unwrap();
            let end = damaged.len() - 8;
            let length = u32::from_le_bytes(damaged[end..end + 4].try_into().unwrap());
            assert!(damaged.ends_with(b"PAR1") && length as usize <= end);
        }
    }
}
