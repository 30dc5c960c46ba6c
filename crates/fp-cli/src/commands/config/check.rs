//! `finepruner config check`: every problem of every configuration.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fp_eval::study::config::{ConfigFile, Diagnostics, Model, surroundings};
use fp_model::Preset;
use fp_scoring::MethodRegistry;
use serde::Serialize;

use crate::commands::{AlreadyReported, print_json, print_text};
use crate::table::{WIDTH, wrap};

/// Check configurations: report every problem of every file.
///
/// Each file is checked by itself: keys and values, then whether its model, its
/// device and its datasets are there and fit: budgets, layers and heads are
/// checked against the model, whose weights are not read. If the model isn't
/// available, --shape names a shape to check against. The exit code is 2 if any
/// file has a problem.
///
/// Examples:
///   finepruner config check configs/*_config.json
///   finepruner config check my_study.json --shape llava-1.5-7b
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CheckArgs {
    /// Configurations.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A known shape to use instead of each configuration's model, which then needn't exist.
    #[arg(long, value_name = "SHAPE")]
    shape: Option<Preset>,
    /// Print JSON: an entry per file with its problems.
    #[arg(long)]
    json: bool,
}

/// The problems of one file.
#[derive(Serialize)]
struct CheckedFile<'a> {
    file: &'a Path,
    /// Whether a study with it can run here.
    is_ok: bool,
    #[serde(flatten)]
    found: Diagnostics,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let checked: Vec<CheckedFile<'_>> = args
        .files
        .iter()
        .map(|file| {
            let found = check_file(file, args.shape);
            CheckedFile {
                file,
                is_ok: found.is_empty(),
                found,
            }
        })
        .collect();
    if args.json {
        print_json(&serde_json::json!({ "files": checked }))?;
    } else {
        print_text(&text(&checked))?;
    }
    if checked.iter().all(|file| file.is_ok) {
        Ok(())
    } else {
        Err(AlreadyReported.into())
    }
}

fn check_file(path: &Path, shape: Option<Preset>) -> Diagnostics {
    let mut file = match ConfigFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let mut found = Diagnostics::default();
            found.add("", format!("{:#}", anyhow::Error::from(error)));
            return found;
        }
    };
    if let Some(config) = &file.config {
        let model = match shape {
            Some(shape) => Model::Shape(shape),
            None if file.is_known("model") => Model::Named,
            None => Model::Unknown,
        };
        let mut found = config.problems();
        found.merge(surroundings(
            config,
            model,
            false,
            &MethodRegistry::standard(),
        ));
        file.add(found);
    }
    std::mem::take(file.diagnostics())
}

fn text(checked: &[CheckedFile<'_>]) -> String {
    let mut out = String::new();
    for CheckedFile { file, is_ok, found } in checked {
        let mut lines = found.lines(Some(file));
        if *is_ok {
            lines.push(format!("{}: OK", file.display()));
        }
        let skipped = found.not_checked.iter();
        lines.extend(skipped.map(|what| format!("{}: not checked: {what}", file.display())));
        let notes = found.notes.iter();
        lines.extend(notes.map(|note| format!("{}: note: {note}", file.display())));
        for line in lines {
            out += &hanging(&line);
        }
    }
    let num_problems: usize = checked.iter().map(|file| file.found.problems.len()).sum();
    let num_bad = checked.iter().filter(|file| !file.is_ok).count();
    if num_problems > 0 {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let num_files = checked.len();
        out += &format!(
            "\n{num_problems} problem{} in {num_bad} of {num_files} file{}\n",
            s(num_problems),
            s(num_files)
        );
    }
    out
}

/// A line wrapped to the terminal's width, with a hanging indent.
fn hanging(line: &str) -> String {
    let lines = wrap(line, WIDTH - 4);
    lines.join("\n    ") + "\n"
}
