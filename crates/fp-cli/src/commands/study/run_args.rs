//! Flags for the execution of a study, none of which changes its results.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fp_eval::study::{Engine, RunOptions, Shard};

/// Most threads that may be requested.
const MOST_THREADS: usize = 4096;
/// Most questions that may be answered together.
const MOST_TOGETHER: usize = 65_536;

/// How a study is run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Execution (no effect on results)")]
pub(crate) struct RunArgs {
    /// Compute threads [default: all].
    #[arg(long, value_name = "N", value_parser = up_to(MOST_THREADS))]
    threads: Option<usize>,
    /// Image-loading threads [default: same as --threads].
    #[arg(long, value_name = "N", value_parser = up_to(MOST_THREADS))]
    loaders: Option<usize>,
    /// Largest number of questions answered together.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = up_to(MOST_TOGETHER))]
    batch_size: usize,
    /// How much work cells share. sequential: none, each cell from scratch. prefix:
    /// vision and layers 1..K. distinct: equal kept sets too. shared: distinct kept
    /// sets run as batches.
    #[arg(long, value_name = "NAME", default_value = "shared")]
    engine: Engine,
    /// Memory limit, excluding weights, such as 4G or 500M [default: half of the free
    /// memory].
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_limit: Option<u64>,
    /// Run only shard i of n; combine shards with `finepruner merge`.
    #[arg(long, value_name = "i/n")]
    shard: Option<Shard>,
    /// Exit with code 0, not 3, even if questions or single answers failed; failures are still
    /// listed.
    #[arg(long)]
    pub(crate) allow_failed: bool,
    /// Resume even though configuration, data or weights differ from those the run was
    /// started with. The differences are recorded in the run.
    #[arg(long)]
    accept_changes: bool,
}

impl RunArgs {
    pub(super) fn options(&self, output: PathBuf) -> RunOptions {
        let defaults = RunOptions::new(output);
        RunOptions {
            threads: self.threads.unwrap_or(defaults.threads),
            loaders: self.loaders,
            batch_size: self.batch_size,
            engine: self.engine,
            memory_limit: self.memory_limit,
            shard: self.shard,
            accept_changes: self.accept_changes,
            invocation: crate::invocation::current(),
            ..defaults
        }
    }

    /// The given flags, for a program that runs a shard of the study; without the shard itself.
    pub(crate) fn flags(&self) -> Vec<String> {
        let threads = self.threads.map(|n| format!("--threads={n}"));
        let loaders = self.loaders.map(|n| format!("--loaders={n}"));
        let memory = self.memory_limit.map(|n| format!("--memory-limit={n}"));
        let accept = self.accept_changes.then(|| "--accept-changes".to_owned());
        let fixed = [
            format!("--batch-size={}", self.batch_size),
            format!("--engine={}", self.engine.name()),
        ];
        let given = [threads, loaders, memory, accept].into_iter().flatten();
        fixed.into_iter().chain(given).collect()
    }

    /// Suffix of a folder's name: empty, or the shard.
    pub(crate) fn shard_name(&self) -> String {
        self.shard.map_or(String::new(), |shard| {
            format!("-{}of{}", shard.index, shard.count)
        })
    }

    /// Whether only a shard of the study is run.
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.is_some()
    }
}

/// Parses a number from 1 up to `most`.
fn up_to(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{text}` is not an amount of memory; expected bytes, or a number such as 500M or 4G"
        )
    };
    let (digits, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, up_to};

    #[test]
    fn numbers_have_bounds() {
        let parse = up_to(7);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("7"), Ok(7));
        for wrong in ["0", "8", "-1", "18446744073709551616", "x", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_of_memory() {
        assert_eq!(parse_bytes("512"), Ok(512));
        assert_eq!(parse_bytes("3G"), Ok(3 << 30));
        assert_eq!(parse_bytes("2m"), Ok(2 << 20));
        for wrong in ["", "G", "1.5G", "-1", "1T", "99999999999G"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
