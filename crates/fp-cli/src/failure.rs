//! Reporting of errors.
//!
//! Users get one line on standard error. With `--json` there is also one object on standard output,
//! so that its reader always gets JSON; if a part of a result has already been written there, the
//! object replaces the line on standard error instead.

use std::ffi::OsString;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use fp_scoring::error_chain;
use serde::Serialize;

use crate::commands::Incomplete;
use crate::interrupt::Interrupted;
use crate::plain::plain;

/// Exit code for an invalid command line, configuration or data.
const EXIT_CODE: u8 = 2;
/// Exit code of a finished study with failures.
const INCOMPLETE: u8 = 3;

/// Whether anything has been written to standard output.
static IS_PRINTED: AtomicBool = AtomicBool::new(false);

/// Records that standard output is being written to.
pub(crate) fn note_output() {
    IS_PRINTED.store(true, Ordering::Relaxed);
}

#[derive(Serialize)]
struct Failure {
    /// `usage`, `interrupted`, `incomplete` or `failed`.
    kind: &'static str,
    /// The error.
    message: String,
    /// Its causes, outermost first.
    causes: Vec<String>,
    exit_code: u8,
    /// The command that resumes an interrupted run.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<String>,
}

impl Failure {
    fn new(kind: &'static str, chain: Vec<String>, exit_code: u8) -> Failure {
        let mut texts = chain.into_iter();
        Failure {
            kind,
            message: texts.next().unwrap_or_default(),
            causes: texts.collect(),
            exit_code,
            resume: None,
        }
    }

    /// Writes `line` for users, and with `json` the whole object.
    fn tell(&self, line: &str, json: bool) -> u8 {
        let object = || serde_json::json!({ "error": self }).to_string();
        let is_printed = IS_PRINTED.load(Ordering::Relaxed);
        // If the stream is closed, nothing can be reported.
        let _ = if json && is_printed {
            writeln!(std::io::stderr(), "{}", object())
        } else {
            writeln!(std::io::stderr(), "{}", plain(line.trim_end()))
        };
        if json && !is_printed {
            let _ = writeln!(std::io::stdout(), "{}", object());
        }
        self.exit_code
    }
}

/// Reports why a command failed or was interrupted.
pub(crate) fn failed(error: &anyhow::Error, json: bool) -> u8 {
    let chain = error_chain(error.as_ref());
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        let line = interrupted.to_string();
        let failure = Failure {
            resume: Some(interrupted.command.clone()),
            ..Failure::new("interrupted", chain, interrupted.exit_code())
        };
        return failure.tell(&line, json);
    }
    let line = format!("error: {}", chain.join(": "));
    if error.is::<Incomplete>() {
        return Failure::new("incomplete", chain, INCOMPLETE).tell(&line, json);
    }
    Failure::new("failed", chain, EXIT_CODE).tell(&line, json)
}

/// Adds what to do instead where a published method, whose number of tokens is a parameter of its
/// own, is given a budget. `args` begin with the program's name.
pub(crate) fn with_tip(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    const BUDGETS: [&str; 3] = ["--keep", "--average-visual-tokens", "--retention"];
    let names = |kind, flags: &[&str]| {
        let given: &[String] = match error.get(kind) {
            Some(ContextValue::String(one)) => std::slice::from_ref(one),
            Some(ContextValue::Strings(several)) => several,
            _ => &[],
        };
        let mut words = given
            .iter()
            .filter_map(|text| text.split_whitespace().next());
        words.any(|flag| flags.contains(&flag))
    };
    let (invalid, prior) = (ContextKind::InvalidArg, ContextKind::PriorArg);
    let is_budget = match error.kind() {
        ErrorKind::UnknownArgument => {
            args.get(1).is_some_and(|command| command == "select") && names(invalid, &BUDGETS)
        }
        ErrorKind::ArgumentConflict => {
            let either = |flags: &[&str]| names(invalid, flags) || names(prior, flags);
            either(&["--method"]) && either(&BUDGETS)
        }
        _ => false,
    };
    if is_budget {
        let tip = "a method's number of tokens is its parameter: --method-param keep=64";
        let tips = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

/// Reports the problem of a command line, or prints the requested help.
pub(crate) fn misused(error: &clap::Error, json: bool) -> u8 {
    if !error.use_stderr() {
        let _ = error.print();
        return 0;
    }
    if !json {
        let _ = error.print();
        return EXIT_CODE;
    }
    let text = error.render().to_string();
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing; see --help".to_owned()
        }
        _ => message(&text),
    };
    Failure::new("usage", vec![message], EXIT_CODE).tell(&text, json)
}

/// Clap's message without usage and help, as one line.
pub(crate) fn message(text: &str) -> String {
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|part| text.find(part))
        .min()
        .unwrap_or(text.len());
    let text = text[..end].trim();
    let words = text
        .strip_prefix("error:")
        .unwrap_or(text)
        .split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn usage_is_left_out() {
        let text = "error: the following required arguments were not provided:\n  <DUMP>\n\n\
                    Usage: finepruner score <DUMP>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            message(text),
            "the following required arguments were not provided: <DUMP>"
        );
        assert_eq!(message("error: no\n"), "no");
    }
}
