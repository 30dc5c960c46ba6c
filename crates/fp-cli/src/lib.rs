//! The `finepruner` command: which attention heads and which query tokens best identify the visual
//! tokens that a vision-language model may drop.
//!
//! [`run()`] is the command itself; [`api`] is the interface for other front ends: the same checks
//! and results, as values instead of text. [`readers`] is for tests on damaged files.
//!
//! ```
//! let listed = fp_cli::api::strategies()?;
//! assert!(listed.is_object());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod api;
mod arguments;
mod attention;
mod commands;
mod dump;
mod failure;
mod interrupt;
mod invocation;
mod launch;
mod memory;
mod plain;
pub mod readers;
mod table;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// Which attention heads and which query tokens best identify the visual tokens that a
/// vision-language model may drop.
///
/// Flags may be spelled with `-` or `_`: --num-selected-heads and
/// --num_selected_heads are the same.
///
/// With --json every command prints JSON on standard output, and nothing else. An error
/// is JSON there too: {"error": {"kind", "message", "causes", "exit_code"}}, where kind
/// is usage, failed, incomplete or interrupted; people find it in one line on standard
/// error.
///
/// Exit codes: 0 if all went well, 2 for an error in the command line, configuration or
/// data, 3 for a study that came to its end with questions or single answers that failed
/// (0 with --allow-failed), 130 after Ctrl-C and 143 after SIGTERM. A study that was
/// interrupted is resumed by the same command.
#[derive(Debug, Parser)]
#[command(name = "finepruner", version, max_term_width = 80)]
struct Cli {
    /// Allow links in a dataset's folder to lead out of it.
    #[arg(long, global = true, hide = true, env = "FINEPRUNER_FOLLOW_LINKS")]
    follow_links: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Score(commands::score::ScoreArgs),
    Strategies(commands::strategies::StrategiesArgs),
    Methods(commands::methods::MethodsArgs),
    Select(commands::select::SelectArgs),
    Budget(commands::budget::BudgetArgs),
    Generate(Box<commands::generate::GenerateArgs>),
    Inspect(commands::inspect::InspectArgs),
    Data(commands::data::DataArgs),
    Eval(Box<commands::eval::EvalArgs>),
    Study(Box<commands::study::StudyArgs>),
    Efficiency(Box<commands::efficiency::EfficiencyArgs>),
    Launch(launch::LaunchArgs),
    Merge(commands::merge::MergeArgs),
    Report(commands::report::ReportArgs),
    Compare(commands::compare::CompareArgs),
    Records(commands::records::RecordsArgs),
    Selections(commands::selections::SelectionsArgs),
    Rescore(commands::rescore::RescoreArgs),
    Config(commands::config::ConfigArgs),
    Completions(commands::completions::CompletionsArgs),
}

/// Runs a command line, which begins with the program's name, and returns the exit code. Output and
/// errors go to the standard streams.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    fp_kernels::retain_freed_memory();
    let args = arguments::normalize_flags(args);
    let json = arguments::asks_for_json(&args);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return failure::misused(&failure::with_tip(error, &args), json),
    };
    if cli.follow_links {
        fp_data::dataset::follow_links();
    }
    let outcome = match &cli.command {
        Command::Score(args) => commands::score::run(args),
        Command::Strategies(args) => commands::strategies::run(args),
        Command::Methods(args) => commands::methods::run(args),
        Command::Select(args) => commands::select::run(args),
        Command::Budget(args) => commands::budget::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Data(args) => commands::data::run(args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Study(args) => commands::study::run(args),
        Command::Efficiency(args) => commands::efficiency::run(args),
        Command::Launch(args) => launch::run(args),
        Command::Merge(args) => commands::merge::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Records(args) => commands::records::run(args),
        Command::Selections(args) => commands::selections::run(args),
        Command::Rescore(args) => commands::rescore::run(args),
        Command::Config(args) => commands::config::run(args),
        Command::Completions(args) => commands::completions::run(args),
    };
    match outcome {
        Ok(()) => 0,
        // The reader of the pipe, such as `head`, has closed it.
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) if error.is::<commands::AlreadyReported>() => 2,
        Err(error) => failure::failed(&error, json),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(|io| io.kind());
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
