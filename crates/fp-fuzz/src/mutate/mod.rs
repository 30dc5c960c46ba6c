//! Damages a sound file according to its format.

mod bytes;
mod containers;
mod json;
mod text;

use crate::random::Random;

/// Format of a file, as far as damage depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Bytes of a format without damage of its own.
    Binary,
    /// Chunks with checksums.
    Png,
    /// An archive: workbooks and PyTorch's checkpoints.
    Zip,
    /// A footer that is Thrift, and pages.
    Parquet,
    /// A JSON header behind its length.
    Safetensors,
    /// One value of JSON.
    Json,
    /// A value of JSON per line.
    JsonLines,
    /// Cells and lines.
    Text,
}

impl Format {
    /// Format of the file called `name`.
    pub fn of_name(name: &str) -> Format {
        match name.rsplit('.').next().unwrap_or_default() {
            "png" => Format::Png,
            "bin" | "xlsx" => Format::Zip,
            "parquet" => Format::Parquet,
            "safetensors" => Format::Safetensors,
            "json" => Format::Json,
            "jsonl" => Format::JsonLines,
            "tsv" | "csv" | "txt" => Format::Text,
            _ => Format::Binary,
        }
    }
}

/// Most bytes of a damaged file; longer ones are truncated.
const MOST_BYTES: usize = 1 << 20;

/// Damages `seed`; parts to insert come from `other`, another sound file of the same kind.
pub fn mutate(format: Format, seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = seed.to_vec();
    // Occasionally the file is left as it is. Damage is mostly slight: a file that is wrong
    // everywhere is refused at once.
    let rounds = match random.below(64) {
        0 => 0,
        1..=40 => 1,
        41..=55 => 2,
        _ => random.length(16),
    };
    for _ in 0..rounds {
        damaged = once(format, &damaged, other, random);
        damaged.truncate(MOST_BYTES);
    }
    damaged
}

/// Makes one change. Changes of bytes replace the format's own where the file is no longer of its
/// format, and also for every fifth change.
fn once(format: Format, seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    if !random.one_in(5) {
        let damaged = match format {
            Format::Binary => None,
            Format::Png => containers::png(seed, random),
            Format::Zip => containers::zip(seed, random),
            Format::Parquet => containers::parquet(seed, random),
            Format::Safetensors => containers::safetensors(seed, random),
            Format::Json => json::document(seed, other, random),
            Format::JsonLines => json::lines(seed, other, random),
            Format::Text => text::table(seed, other, random),
        };
        if let Some(damaged) = damaged {
            return damaged;
        }
    }
    let is_text = matches!(format, Format::Json | Format::JsonLines | Format::Text);
    if is_text && random.one_in(2) {
        return text::words(seed, random);
    }
    bytes::damage(seed, other, random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_file() {
        let seed = br#"{"a": [1, 2.5, "text"], "b": {"c": null}}"#;
        let other = br#"{"d": true}"#;
        let mut different = 0;
        for number in 0..500 {
            let make = || {
                let mut random = Random::of_input(3, "json", number);
                mutate(Format::Json, seed, other, &mut random)
            };
            assert_eq!(make(), make());
            different += usize::from(make() != seed);
        }
        assert!(different > 400, "{different} of 500 were damaged");
    }

    #[test]
    fn formats_by_ending() {
        assert_eq!(Format::of_name("a/b.tar.jsonl"), Format::JsonLines);
        assert_eq!(Format::of_name("pytorch_model.bin"), Format::Zip);
        assert_eq!(Format::of_name("a.gif"), Format::Binary);
        assert_eq!(Format::of_name("none"), Format::Binary);
    }
}
