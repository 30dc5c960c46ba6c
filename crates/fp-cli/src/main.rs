//! The `finepruner` command: which attention heads and which query tokens tell
//! which visual tokens to keep.

mod arguments;
mod attention;
mod commands;
mod dump;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Which attention heads and which query tokens tell which visual tokens to keep.
///
/// Flags may be spelled with `-` or `_`: --num-selected-heads and
/// --num_selected_heads are the same.
#[derive(Debug, Parser)]
#[command(name = "finepruner", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Score(commands::score::ScoreArgs),
    Strategies(commands::strategies::StrategiesArgs),
    Budget(commands::budget::BudgetArgs),
    Generate(Box<commands::generate::GenerateArgs>),
    Inspect(commands::inspect::InspectArgs),
    Data(commands::data::DataArgs),
    Eval(Box<commands::eval::EvalArgs>),
    Study(Box<commands::study::StudyArgs>),
    Efficiency(Box<commands::efficiency::EfficiencyArgs>),
    Merge(commands::merge::MergeArgs),
    Report(commands::report::ReportArgs),
    Compare(commands::compare::CompareArgs),
    Rescore(commands::rescore::RescoreArgs),
    Config(commands::config::ConfigArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(arguments::normalize_flags(std::env::args_os()));
    let outcome = match &cli.command {
        Command::Score(args) => commands::score::run(args),
        Command::Strategies(args) => commands::strategies::run(args),
        Command::Budget(args) => commands::budget::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Data(args) => commands::data::run(args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Study(args) => commands::study::run(args),
        Command::Efficiency(args) => commands::efficiency::run(args),
        Command::Merge(args) => commands::merge::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Rescore(args) => commands::rescore::run(args),
        Command::Config(args) => commands::config::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
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
