//! The order of inputs, and the sound file that each is made from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fp_fuzz::mutate::{Format, mutate};
use fp_fuzz::random::Random;

use crate::fault::{Fault, Kind};
use crate::parsers::{self, Parser};
use crate::seeds;

/// A sound file.
pub(crate) struct Target {
    /// The folder that the parser is given, relative to the root of all sets.
    pub(crate) folder: PathBuf,
    /// The file to damage, relative to the same root.
    pub(crate) file: PathBuf,
    pub(crate) bytes: Vec<u8>,
    format: Format,
}

/// A parser with its sound files.
pub(crate) struct Loaded {
    pub(crate) parser: Parser,
    pub(crate) targets: Vec<Target>,
}

/// All parsers, and the round in which they get inputs.
pub(crate) struct Corpus {
    pub(crate) loaded: Vec<Loaded>,
    /// For each position in a round: index of the parser, and its number of earlier inputs in the
    /// round.
    turn: Vec<(usize, usize)>,
}

/// An input by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputPosition {
    /// Index of the parser.
    pub(crate) parser: usize,
    /// Number of earlier inputs of this parser.
    pub(crate) number: u64,
}

impl Corpus {
    /// Reads the sets below `root`, for all parsers or for those in `only`.
    ///
    /// # Errors
    /// An unknown parser name, or a parser without a sound file.
    pub(crate) fn load(root: &Path, only: &[String]) -> Result<Corpus> {
        let mut all = parsers::all();
        if only.iter().any(|name| name == parsers::FAULTY) {
            all.push(parsers::faulty());
        }
        let names: Vec<&str> = all.iter().map(|parser| parser.name.as_str()).collect();
        for name in only {
            ensure!(
                names.contains(&name.as_str()),
                "no parser is called `{name}`; expected one of: {}",
                names.join(", ")
            );
        }
        let mut loaded = Vec::new();
        for parser in all {
            if only.is_empty() || only.contains(&parser.name) {
                loaded.push(Loaded::read(root, parser)?);
            }
        }
        let mut turn = Vec::new();
        for (index, loaded) in loaded.iter().enumerate() {
            turn.extend((0..loaded.parser.weight).map(|before| (index, before)));
        }
        Ok(Corpus { loaded, turn })
    }

    /// Parser and number of the input with index `input` over all parsers.
    pub(crate) fn place(&self, input: u64) -> InputPosition {
        let length = self.turn.len().max(1) as u64;
        let (parser, before) = self.turn[(input % length) as usize];
        let weight = self.loaded[parser].parser.weight as u64;
        InputPosition {
            parser,
            number: input / length * weight + before as u64,
        }
    }

    /// Makes an input; it depends only on the seed, the parser and the number.
    pub(crate) fn make(&self, seed: u64, place: InputPosition) -> (&Target, Vec<u8>) {
        let Loaded { parser, targets } = &self.loaded[place.parser];
        let mut random = Random::of_input(seed, &parser.name, place.number);
        let target = &targets[random.below(targets.len())];
        let other = &targets[random.below(targets.len())];
        let bytes = mutate(target.format, &target.bytes, &other.bytes, &mut random);
        (target, bytes)
    }
}

impl Corpus {
    /// Describes an input that failed.
    pub(crate) fn fault(
        &self,
        seed: u64,
        place: InputPosition,
        kind: Kind,
        message: String,
    ) -> Fault {
        let (target, _) = self.make(seed, place);
        Fault {
            parser: self.loaded[place.parser].parser.name.clone(),
            kind,
            message,
            seed,
            number: place.number,
            target: target.file.clone(),
            saved: None,
        }
    }
}

impl Loaded {
    fn read(root: &Path, parser: Parser) -> Result<Loaded> {
        let set = root.join(&parser.set);
        let mut targets = Vec::new();
        for folder in seeds::entries(&set)? {
            for path in seeds::files(&folder)? {
                let name = path.strip_prefix(&set)?.display().to_string();
                let (start, end) = parser.files;
                if !(name.starts_with(start) && name.ends_with(end)) {
                    continue;
                }
                let bytes = fs::read(&path);
                targets.push(Target {
                    folder: folder.strip_prefix(root)?.to_owned(),
                    file: path.strip_prefix(root)?.to_owned(),
                    bytes: bytes.with_context(|| format!("can't read {}", path.display()))?,
                    format: Format::of_name(&name),
                });
            }
        }
        ensure!(
            !targets.is_empty(),
            "no file for the parser {}",
            parser.name
        );
        Ok(Loaded { parser, targets })
    }
}
