//! The interface for other front ends, which don't use a command line: the Python package.
//!
//! Settings are the flags of the command of the same name, as on a command line, so that checks,
//! defaults and error texts are the same. Results are the JSON that the command prints, and plain
//! values where arrays are needed.

mod methods;
mod runs;
mod scores;

pub use crate::commands::score::array::Scores;
pub use crate::commands::study::background::{ConfigSource, Outcome, Study};
pub use crate::memory::Elements;
pub use methods::{Choice, NamedTensor, choose};
pub use runs::{cells_of_run, compare_runs, records_of_run};
pub use scores::{query_rows, score};

use std::path::Path;

use anyhow::{Result, anyhow};
use clap::{Args, Command};
use serde_json::Value;

use crate::commands;
use crate::failure::message;

/// All head and query strategies, controls and methods, as `finepruner strategies --json` lists
/// them.
///
/// # Errors
/// Only errors of JSON serialisation.
pub fn strategies() -> Result<Value> {
    Ok(serde_json::to_value(commands::strategies::Listing::new())?)
}

/// The published methods with these names, or all, as `finepruner methods --json` lists them.
///
/// # Errors
/// An unknown name.
pub fn methods(names: &[String]) -> Result<Value> {
    commands::methods::listing(names)
}

/// The meaning of a budget; `flags` are those of `finepruner budget`.
///
/// # Errors
/// Flags that contradict each other, or a budget that can't be met.
pub fn budget(flags: &[String]) -> Result<Value> {
    commands::budget::value(&parse(flags)?)
}

/// A study to run; `flags` are those of `finepruner study`.
///
/// # Errors
/// All problems of configuration and flags.
pub fn study(config: &ConfigSource<'_>, output: &Path, flags: &[String]) -> Result<Study> {
    Study::new(config, output, &parse(flags)?)
}

/// Parses flags as on a command line.
fn parse<T: Args>(flags: &[String]) -> Result<T> {
    let command = Command::new("finepruner")
        .no_binary_name(true)
        .disable_help_flag(true);
    let said = |error: clap::Error| anyhow!(message(&error.render().to_string()));
    let matches = T::augment_args(command).try_get_matches_from(flags);
    T::from_arg_matches(&matches.map_err(said)?).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn budgets_are_those_of_the_command() {
        let value = budget(&flags("--average-visual-tokens 128")).unwrap();
        assert_eq!(value["budgets"][0]["kept"], 98);
        let schedule = budget(&flags("--schedule 3:309,7:204")).unwrap();
        assert_eq!(schedule["average_visual_tokens"]["after_last_stage"], 204);
    }

    #[test]
    fn wrong_flags_are_one_line() {
        let error = budget(&flags("--nonsense 3")).unwrap_err().to_string();
        assert!(
            error.contains("--nonsense") && !error.contains('\n'),
            "{error}"
        );
        let error = budget(&flags("--model gpt")).unwrap_err().to_string();
        assert!(error.contains("llava-1.5-7b"), "{error}");
    }

    #[test]
    fn lists_have_every_entry() {
        let listed = strategies().unwrap();
        let heads = listed["head"].as_array().unwrap();
        assert_eq!(heads.len(), fp_scoring::HeadStrategy::ALL.len());
        let one = methods(&["dart".to_owned()]).unwrap();
        assert_eq!(one["methods"].as_array().unwrap().len(), 1);
        assert!(methods(&["drat".to_owned()]).is_err());
    }
}
