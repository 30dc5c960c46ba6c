//! All parsers of foreign files, one per line.

mod answers;
mod attention;
mod checkpoint;
mod dataset;
mod faulty;
mod list;
mod picture;
mod run;
mod study;

use std::path::Path;

use fp_data::dataset::Benchmark;

use crate::seeds;

/// A damaged file in its folder, with the files beside it.
pub(crate) struct Input<'a> {
    /// The folder of the set that the file belongs to.
    pub(crate) folder: &'a Path,
    /// Path of the file.
    pub(crate) file: &'a Path,
    /// Content of the file.
    pub(crate) bytes: &'a [u8],
    /// Number of earlier inputs of this parser.
    pub(crate) number: u64,
    /// Path for output files; no such folder exists yet.
    pub(crate) output: &'a Path,
}

/// Reads a file as the program does; returns whether it was accepted.
type Read = fn(&Input<'_>) -> bool;

/// A parser and the files it is given.
pub(crate) struct Parser {
    /// Name in results.
    pub(crate) name: String,
    /// Name of the set of sound files.
    pub(crate) set: String,
    /// Prefix and suffix of the paths, within the set, of the files that are damaged.
    pub(crate) files: (&'static str, &'static str),
    /// Number of inputs per round of all parsers.
    pub(crate) weight: usize,
    pub(crate) read: Read,
}

/// A parser that fails in every way, for tests of the parent process.
pub(crate) fn faulty() -> Parser {
    Parser {
        name: FAULTY.to_owned(),
        set: "lists".to_owned(),
        files: ("", ""),
        weight: 1,
        read: faulty::fail,
    }
}

/// Name of [`faulty`], which is not among [`all`].
pub(crate) const FAULTY: &str = "faulty";

/// Parsers, one per line: name, set, prefix and suffix of the paths within the set, inputs per
/// round, and the function that reads them.
macro_rules! parsers {
    ($($name:literal $set:literal $start:literal $end:literal $weight:literal $read:path;)*) => {
        vec![$(Parser {
            name: $name.to_owned(),
            set: $set.to_owned(),
            files: ($start, $end),
            weight: $weight,
            read: $read,
        }),*]
    };
}

/// All parsers.
pub(crate) fn all() -> Vec<Parser> {
    let mut parsers = parsers! {
        "png"                "images"      ""      ".png"                    6 picture::decode;
        "jpeg"               "images"      ""      ".jpg"                    6 picture::decode;
        "gif"                "images"      ""      ".gif"                    6 picture::decode;
        "bmp"                "images"      ""      ".bmp"                    3 picture::decode;
        "webp"               "images"      ""      ".webp"                   6 picture::decode;
        "tiff"               "images"      ""      ".tif"                    6 picture::decode;
        "pickle"             "checkpoints" ""      ".bin"                    6 checkpoint::inspect;
        "weights"            "checkpoints" ""      ".safetensors"            4 checkpoint::load;
        "weights-index"      "checkpoints" ""      "index.json"              2 checkpoint::inspect;
        "model-config"       "checkpoints" ""      "/config.json"            4 checkpoint::load;
        "adapter-config"     "checkpoints" ""      "adapter_config.json"     1 checkpoint::inspect;
        "preprocessor"       "checkpoints" ""      "preprocessor_config.json" 3 checkpoint::preprocess;
        "processor-config"   "checkpoints" ""      "/processor_config.json"  1 checkpoint::inspect;
        "generation-config"  "checkpoints" ""      "generation_config.json"  1 checkpoint::inspect;
        "tokenizer-config"   "checkpoints" ""      "tokenizer_config.json"   1 checkpoint::inspect;
        "tokenizer"          "checkpoints" ""      "tokenizer.json"          4 checkpoint::tokenize;
        "attention"          "dumps"       ""      ""                        6 attention::read;
        "study-config"       "configs"     "all/"  ".json"                   3 study::config;
        "fixed-heads"        "configs"     "heads/" ".json"                  1 study::fixed_heads;
        "selections"         "selections"  ""      ".jsonl"                  3 study::selections;
        "selections-parquet" "selections"  ""      ".parquet"                3 study::selections;
        "run-spec"           "runs"        ""      "run.json"                4 run::report;
        "run-records"        "runs"        ""      "records.jsonl"           4 run::report;
        "run-blocks"         "runs"        ""      "records.blocks"          4 run::report;
        "run-timings"        "runs"        ""      "timings.jsonl"           1 run::report;
        "run-merge"          "runs"        ""      ""                        1 run::merge;
        "static-heads"       "runs"        ""      "static_heads.json"       1 run::merge;
        "efficiency"         "runs"        ""      "efficiency.json"         2 run::efficiency;
        "command-line"       "lists"       ""      ""                        4 list::parse;
    };
    for benchmark in Benchmark::ALL {
        let mut add = |set: String, files, read: Read| {
            let name = set.clone();
            parsers.push(Parser {
                name,
                set,
                files,
                weight: 2,
                read,
            });
        };
        add(seeds::layout(benchmark), ("data/", ""), dataset::check);
        let set = seeds::answers(benchmark);
        add(set, ("all/answers/", ""), answers::score);
        if benchmark != Benchmark::Plain {
            let set = seeds::columns(benchmark);
            add(set, ("data/", ".parquet"), dataset::check);
        }
    }
    parsers
}
