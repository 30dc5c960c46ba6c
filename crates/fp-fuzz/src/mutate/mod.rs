//! From a sound file to a damaged one, by what the file is.

mod bytes;
mod containers;
mod json;
mod text;

use crate::random::Random;

/// What a file is, as far as damage is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Bytes without a form that is known here.
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
    /// What the file called `name` is.
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

/// Most bytes of a damaged file: what is longer is cut.
const MOST_BYTES: usize = 1 << 20;

/// Damages `seed`; `other` is another sound file of the same kind, to take parts of.
pub fn mutate(format: Format, seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = seed.to_vec();
    // Now and then the file as it is, and mostly little damage: what is all wrong is
    // refused at the first look.
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

/// One change. A format's own damage gives way to that of bytes where the file isn't of
/// its format any more, and every fifth time besides.
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
