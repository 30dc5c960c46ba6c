//! Feeds damaged files to every parser of foreign files; started by `cargo xtask fuzz`.

mod child;
mod clock;
mod corpus;
mod fault;
mod parent;
mod parsers;
mod progress;
mod record;
mod seeds;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use fp_kernels::CountingAllocator;

use child::{Work, Workplace};
use corpus::{Corpus, InputPosition};
use fault::Fault;
use parent::Plan;

#[global_allocator]
static MEMORY: CountingAllocator = CountingAllocator::new();

/// Hand damaged files to every reader of foreign files.
#[derive(Debug, Parser)]
#[command(name = "fp-fuzz", bin_name = "cargo xtask fuzz", max_term_width = 80)]
struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    /// Minutes to run; 1 where neither this nor --inputs is given.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Inputs to make, over all parsers; the same ones for the same seed.
    #[arg(long, value_name = "N")]
    inputs: Option<u64>,
    /// Seed of the inputs.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only this parser; may be given more than once.
    #[arg(long, value_name = "PARSER")]
    only: Vec<String>,
    /// Processes that run parsers.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    processes: u64,
    /// Repeat an input that failed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "inputs", "only"])]
    repeat: Option<PathBuf>,
    /// Where inputs that fail are kept.
    #[arg(long, value_name = "DIR", default_value = "target/fuzz/failures")]
    failures: PathBuf,
    /// Write fuzz.md into this folder.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run parsers; started by the command itself.
    #[command(hide = true)]
    Child(Work),
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Task::Child(work)) = &args.task {
        on_a_thread(|| child::run(work))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &args.repeat {
        return on_a_thread(|| repeat(file));
    }
    let minutes = args.minutes.or(args.inputs.is_none().then_some(1.0));
    let time = minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
    let plan = Plan {
        time: time.transpose().context("--minutes")?,
        inputs: args.inputs,
        seed: args.seed,
        only: args.only,
        children: args.processes,
        failures: std::path::absolute(&args.failures)?,
    };
    let summary = parent::run(&plan)?;
    if let Some(folder) = &args.record {
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join("fuzz.md"), record::markdown(&summary)))
            .with_context(|| format!("can't write into {}", folder.display()))?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{summary}");
    }
    Ok(ExitCode::from(u8::from(!summary.is_clean())))
}

/// Runs `call` on a thread with the stack size that parsers have.
fn on_a_thread<T: Send>(call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(child::STACK);
        let thread = builder.spawn_scoped(scope, call)?;
        match thread.join() {
            Ok(result) => result,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}

/// Runs the parser on a saved input again and prints panics as usual.
fn repeat(file: &Path) -> Result<ExitCode> {
    let fault = Fault::of_file(file)?;
    let bytes = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let session = parent::session()?;
    let corpus = Corpus::load(
        &Work::seeds(session.path()),
        std::slice::from_ref(&fault.parser),
    )?;
    let target = corpus.loaded[0]
        .targets
        .iter()
        .find(|it| it.file == fault.target);
    let target = target.with_context(|| format!("no sound file {}", fault.target.display()))?;
    let place = InputPosition {
        parser: 0,
        number: fault.number,
    };
    let workplace = Workplace::new(&session.path().join("repeat"))?;
    println!("{}: {}", fault.parser, fault.target.display());
    let found = workplace.try_bytes(&corpus, place, target, &bytes)?;
    match found {
        (_, Some((kind, message))) => {
            println!("{kind:?}: {message}");
            Ok(ExitCode::FAILURE)
        }
        (taken, None) => {
            println!(
                "{}",
                if taken {
                    "taken"
                } else {
                    "refused, as it should be"
                }
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}
