//! Progress of a run: one updating line on a terminal, else a line at intervals.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use fp_eval::study::Progress;

/// Shortest intervals between updates, on a terminal and elsewhere.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(100);
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Shows progress on standard error.
pub(super) struct ProgressLine {
    start: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
    is_silent: bool,
    /// Whether the shown line has no line break yet.
    is_open: bool,
}

impl ProgressLine {
    pub(super) fn new(is_silent: bool) -> ProgressLine {
        ProgressLine {
            start: Instant::now(),
            shown: None,
            is_terminal: std::io::stderr().is_terminal(),
            is_silent,
            is_open: false,
        }
    }

    /// Ends the updating line, so that other output can follow.
    pub(super) fn end(&mut self) {
        if self.is_open {
            let _ = writeln!(std::io::stderr());
            self.is_open = false;
        }
    }

    /// Shows the progress, unless it was just shown.
    pub(super) fn show(&mut self, progress: Progress) {
        let interval = if self.is_terminal {
            TERMINAL_INTERVAL
        } else {
            PLAIN_INTERVAL
        };
        let is_end = progress.done == progress.total;
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= interval);
        if self.is_silent || !(is_due || is_end) {
            return;
        }
        // Data and weights are read before the first sample, which isn't part of the rate.
        if self.shown.is_none() {
            self.start = Instant::now();
        }
        self.shown = Some(Instant::now());
        let text = line(progress, self.start.elapsed());
        let mut out = std::io::stderr().lock();
        // If standard error is closed, nothing can be reported.
        let _ = if self.is_terminal {
            write!(out, "\r\x1b[2K{text}{}", if is_end { "\n" } else { "" })
        } else {
            writeln!(out, "{text}")
        };
        let _ = out.flush();
        self.is_open = self.is_terminal && !is_end;
    }
}

fn line(progress: Progress, elapsed: Duration) -> String {
    let Progress {
        total,
        done,
        resumed,
        failed,
        ranked,
    } = progress;
    if let Some([ranked, of]) = ranked {
        return format!("ranking heads: {ranked} of {of} samples of the selection half");
    }
    let mut text = format!("{done} of {total} samples");
    if resumed > 0 {
        text += &format!(", {resumed} from before");
    }
    if failed > 0 {
        text += &format!(", {failed} failed");
    }
    let fresh = done - resumed;
    if fresh > 0 && elapsed > Duration::ZERO {
        let rate = fresh as f64 / elapsed.as_secs_f64();
        text += &format!(", {rate:.2} a second");
        if done < total {
            let left = (total - done) as f64 / rate;
            text += &format!(", {} left", duration(left));
        }
    }
    text
}

/// A duration in words.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_rate_and_time_left() {
        let progress = |done, resumed, failed| Progress {
            total: 100,
            done,
            resumed,
            failed,
            ranked: None,
        };
        let ten = Duration::from_secs(10);
        assert_eq!(
            line(progress(20, 0, 0), ten),
            "20 of 100 samples, 2.00 a second, 40 s left"
        );
        assert_eq!(
            line(progress(40, 30, 1), ten),
            "40 of 100 samples, 30 from before, 1 failed, 1.00 a second, 1 min 00 s left"
        );
        assert_eq!(
            line(progress(30, 30, 0), ten),
            "30 of 100 samples, 30 from before"
        );
        assert_eq!(duration(7260.0), "2 h 01 min");
    }
}
