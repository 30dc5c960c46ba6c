//! `finepruner data init`: a template folder for a dataset.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fp_data::dataset::plain::{README_FILE, init};
use serde_json::json;

use crate::commands::{print_json, print_text};

/// Write a dataset folder in the plain form, to be filled in.
///
/// It has three example questions on two small images, and a README.md that
/// explains every field: its type and units, whether it is required, and what
/// reads it.
///
/// Example:
///   finepruner data init my-dataset
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct InitArgs {
    /// The folder to write, new or empty.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &InitArgs) -> Result<()> {
    let files = init(&args.folder)?;
    if args.json {
        return print_json(&json!({"folder": args.folder, "files": files}));
    }
    let folder = args.folder.display();
    print_text(&format!(
        "{} files in {folder}; {} explains every field.\nThen: finepruner data check {folder}",
        files.len(),
        args.folder.join(README_FILE).display(),
    ))
}
