//! Everything that reads files of others, a line each.

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

/// A damaged file where it lies, and what lies beside it.
pub(crate) struct Input<'a> {
    /// The folder of the set that the file belongs to.
    pub(crate) folder: &'a Path,
    /// The file.
    pub(crate) file: &'a Path,
    /// What it holds.
    pub(crate) bytes: &'a [u8],
    /// How many inputs of this parser came before.
    pub(crate) number: u64,
    /// A folder that isn't there, for what is written.
    pub(crate) output: &'a Path,
}

/// Reads a file as the program does; says whether it was taken.
type Read = fn(&Input<'_>) -> bool;

/// A reader of files, and which files it is given.
pub(crate) struct Parser {
    /// What it is called in results.
    pub(crate) name: String,
    /// The set of sound files.
    pub(crate) set: String,
    /// Which files of a set are damaged, by how their path in it begins and ends.
    pub(crate) files: (&'static str, &'static str),
    /// Inputs in a turn of all parsers.
    pub(crate) weight: usize,
    pub(crate) read: Read,
}

/// A parser that fails in every way, for tests of what watches parsers.
pub(crate) fn faulty() -> Parser {
    Parser {
        name: FAULTY.to_owned(),
        set: "lists".to_owned(),
        files: ("", ""),
        weight: 1,
        read: faulty::fail,
    }
}

/// What [`faulty`] is called; it isn't among [`all`].
pub(crate) const FAULTY: &str = "faulty";

/// Parsers, one a line: name, set, files by how their path in the set begins and ends,
/// inputs in a turn, how they are read.
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

/// All of them.
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
