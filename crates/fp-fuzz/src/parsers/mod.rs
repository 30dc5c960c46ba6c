//! Everything that reads files of others, a line each.

mod answers;
mod attention;
mod checkpoint;
mod dataset;
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

/// All of them.
pub(crate) fn all() -> Vec<Parser> {
    let parser = |name: &str, set: &str, files, weight, read: Read| Parser {
        name: name.to_owned(),
        set: set.to_owned(),
        files,
        weight,
        read,
    };
    let mut parsers = vec![
        parser("png", "images", ("", ".png"), 6, picture::decode),
        parser("jpeg", "images", ("", ".jpg"), 6, picture::decode),
        parser("gif", "images", ("", ".gif"), 6, picture::decode),
        parser("bmp", "images", ("", ".bmp"), 3, picture::decode),
        parser("webp", "images", ("", ".webp"), 6, picture::decode),
        parser("tiff", "images", ("", ".tif"), 6, picture::decode),
        parser(
            "pickle",
            "checkpoints",
            ("", ".bin"),
            6,
            checkpoint::inspect,
        ),
        parser(
            "weights",
            "checkpoints",
            ("", ".safetensors"),
            4,
            checkpoint::load,
        ),
        parser(
            "weights-index",
            "checkpoints",
            ("", "index.json"),
            2,
            checkpoint::inspect,
        ),
        parser(
            "model-config",
            "checkpoints",
            ("", "/config.json"),
            4,
            checkpoint::load,
        ),
        parser(
            "adapter-config",
            "checkpoints",
            ("adapter/adapter_config", ".json"),
            1,
            checkpoint::inspect,
        ),
        parser(
            "preprocessor",
            "checkpoints",
            ("", "/preprocessor_config.json"),
            3,
            checkpoint::preprocess,
        ),
        parser(
            "processor-config",
            "checkpoints",
            ("", "/processor_config.json"),
            1,
            checkpoint::inspect,
        ),
        parser(
            "generation-config",
            "checkpoints",
            ("", "/generation_config.json"),
            1,
            checkpoint::inspect,
        ),
        parser(
            "tokenizer-config",
            "checkpoints",
            ("", "/tokenizer_config.json"),
            1,
            checkpoint::inspect,
        ),
        parser(
            "tokenizer",
            "checkpoints",
            ("", "/tokenizer.json"),
            4,
            checkpoint::tokenize,
        ),
        parser("attention", "dumps", ("", ""), 6, attention::read),
        parser("study-config", "configs", ("", ".json"), 3, study::config),
        parser(
            "selections",
            seeds::SELECTIONS,
            ("", ".jsonl"),
            3,
            study::selections,
        ),
        parser(
            "selections-parquet",
            "parquet-vqav2",
            ("", ".parquet"),
            2,
            study::selections,
        ),
        parser("run-spec", seeds::RUNS, ("", "run.json"), 2, run::report),
        parser(
            "run-records",
            seeds::RUNS,
            ("", "records.jsonl"),
            2,
            run::report,
        ),
        parser(
            "run-timings",
            seeds::RUNS,
            ("", "timings.jsonl"),
            1,
            run::report,
        ),
        parser("run-merge", seeds::RUNS, ("", ""), 1, run::merge),
        parser(
            "static-heads",
            seeds::RUNS,
            ("heads/static", ""),
            1,
            run::merge,
        ),
        parser(
            "efficiency",
            seeds::RUNS,
            ("", "efficiency.json"),
            2,
            run::efficiency,
        ),
        parser("command-line", "lists", ("", ""), 4, list::parse),
    ];
    for benchmark in Benchmark::ALL {
        let name = seeds::layout(benchmark);
        parsers.push(parser(&name, &name, ("data/", ""), 2, dataset::check));
        let name = seeds::answers(benchmark);
        parsers.push(parser(
            &name,
            &name,
            ("all/answers/", ""),
            2,
            answers::score,
        ));
        if benchmark != Benchmark::Plain {
            let name = seeds::columns(benchmark);
            parsers.push(parser(
                &name,
                &name,
                ("data/", ".parquet"),
                2,
                dataset::check,
            ));
        }
    }
    parsers
}
