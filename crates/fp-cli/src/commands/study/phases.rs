//! `finepruner study --phases`: studies in sequence, each using the result of the one before.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use fp_eval::study::StudyConfig;
use fp_eval::study::config::ConfigFile;
use fp_report::PAGE_FILE;
use fp_scoring::{HeadStrategy, QueryStrategy};
use serde::Serialize;
use serde_json::Value;

use super::{Done, StudyArgs, carry_out, outcome};
use crate::commands::{Incomplete, print_json, print_text};
use crate::interrupt::Watch;

/// The shipped configurations, embedded because an installed binary has no folder of them.
macro_rules! shipped {
    ($name:literal) => {
        (
            concat!("configs/", $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/", $name)),
        )
    };
}
const A: (&str, &str) = shipped!("ablation_a_config.json");
const B: (&str, &str) = shipped!("ablation_b_config.json");
const FULL: (&str, &str) = shipped!("full_config.json");

/// Results of all phases, for JSON.
#[derive(Serialize)]
struct Phases {
    a: Value,
    head_selection: Choice<HeadStrategy>,
    b: Value,
    query_selection: Choice<QueryStrategy>,
    full: Value,
    /// The report with errors and cases.
    report: PathBuf,
}

/// The strategy that the next phase uses, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Choice<S> {
    strategy: S,
    baseline: S,
    /// Whether the confirmation half of the images confirms that it beats the baseline.
    is_confirmed: bool,
}

impl<S: Copy + PartialEq + FromStr> Choice<S>
where
    S::Err: std::error::Error + Send + Sync + 'static,
{
    /// The strategy that the test on the confirmation half confirms, or else the baseline.
    fn of(config: &StudyConfig, done: &Done) -> Result<Choice<S>> {
        let analysis = done.report.as_ref().map(|report| &report.analysis);
        let best = analysis.and_then(|analysis| analysis.best.as_ref());
        let confirmed = best.and_then(|best| best.recommended.as_deref());
        Choice::new(confirmed, config.baseline())
    }

    fn new(confirmed: Option<&str>, baseline: &str) -> Result<Choice<S>> {
        Ok(Choice {
            strategy: confirmed.unwrap_or(baseline).parse()?,
            baseline: baseline.parse()?,
            is_confirmed: confirmed.is_some(),
        })
    }

    /// The strategy, and the baseline if that is another.
    fn both(self) -> Vec<S> {
        if self.strategy == self.baseline {
            vec![self.strategy]
        } else {
            vec![self.strategy, self.baseline]
        }
    }
}

impl<S: fmt::Display> fmt::Display for Choice<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (strategy, baseline) = (&self.strategy, &self.baseline);
        if self.is_confirmed {
            write!(
                f,
                "{strategy}: shown on the held-out half to beat {baseline}"
            )
        } else {
            write!(
                f,
                "the baseline {baseline}: no strategy was shown to beat it"
            )
        }
    }
}

/// Runs studies A and B, and the full evaluation of their results.
pub(super) fn run(args: &StudyArgs) -> Result<()> {
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None if args.overrides.quick => PathBuf::from("runs/study-quick"),
        None => PathBuf::from("runs/study"),
    };
    // All configurations first: invalid flags are reported before hours of work.
    let read = |(name, text)| {
        let file = ConfigFile::of_text(Path::new(name), text);
        args.overrides.to_run(file)
    };
    let (config_a, mut config_b, mut config_full) = (read(A)?, read(B)?, read(FULL)?);
    let watch = Watch::start().context("cannot watch for signals")?;
    let failed = RefCell::new(Vec::new());
    let execute = |config: &StudyConfig, name: &str| {
        let done = carry_out(config, folder.join(name), &args.run, &args.finish(), &watch)?;
        let value = if args.json {
            outcome::value(&done.summary, done.report.as_ref())?
        } else {
            outcome::print(&done.summary, done.report.as_ref())?;
            Value::Null
        };
        failed.borrow_mut().push(done.failures.clone());
        Ok::<_, anyhow::Error>((done, value))
    };
    let say = |text: String| if args.json { Ok(()) } else { print_text(&text) };

    say("Phase 1 of 4: study A, which heads".to_owned())?;
    let (done, a) = execute(&config_a, "a")?;
    let head: Choice<HeadStrategy> = Choice::of(&config_a, &done)?;
    say(format!("\nHeads are selected by {head} from here on."))?;

    say("\nPhase 2 of 4: study B, which query tokens".to_owned())?;
    config_b.head_selection_strategies = vec![head.strategy];
    let (done, b) = execute(&config_b, "b")?;
    let query: Choice<QueryStrategy> = Choice::of(&config_b, &done)?;
    say(format!(
        "\nQuery tokens are selected by {query} from here on."
    ))?;

    say("\nPhase 3 of 4: full evaluation of both with baselines, and what they save".to_owned())?;
    config_full.head_selection_strategies = head.both();
    config_full.query_selection_strategies = query.both();
    config_full.statistics.baseline = Some(head.baseline.to_string());
    config_full.efficiency.get_or_insert_default();
    let (done, full) = execute(&config_full, "full")?;
    done.measured?;

    let report = folder.join("full").join(PAGE_FILE);
    say(format!(
        "\nPhase 4 of 4: errors and cases\n\nAnswers that flip, by family, text length and \
         evidence, and cases with pictures are in {}.",
        report.display()
    ))?;
    if args.json {
        print_json(&Phases {
            a,
            head_selection: head,
            b,
            query_selection: query,
            full,
            report,
        })?;
    }
    let failed = failed.into_inner();
    let allow = args.run.allow_failed;
    failed.iter().try_for_each(|f| Incomplete::check(f, allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_confirmed_or_the_baseline() {
        let choice = |confirmed| Choice::<HeadStrategy>::new(confirmed, "sum").unwrap();
        assert_eq!(
            choice(Some("variance")).both(),
            [HeadStrategy::Variance, HeadStrategy::Sum]
        );
        assert_eq!(choice(None).both(), [HeadStrategy::Sum]);
        assert_eq!(
            choice(Some("variance")).to_string(),
            "variance: shown on the held-out half to beat sum"
        );
        assert_eq!(
            choice(None).to_string(),
            "the baseline sum: no strategy was shown to beat it"
        );
    }
}
