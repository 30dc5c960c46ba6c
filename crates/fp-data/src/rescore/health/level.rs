//! Severity of findings, and its thresholds.

use super::share;

/// Severity of a finding for readers of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to report.
    Fine,
    /// Worth knowing, but the score is valid.
    Note,
    /// It explains the score.
    Loud,
}

/// With fewer answers, one of them is more than five points, so shares are unreliable: only a
/// property of all answers is loud.
pub(super) const FEW: usize = 20;

/// Fewest answers for which "all are alike" is significant: six flips of a fair coin agree in 3 of
/// 100 trials, five in 6 of 100.
pub(super) const FEWEST: usize = 6;

/// Share of answers lost as unreadable or missing that is loud. Ten points of accuracy exceed the
/// effects under comparison: at a third of the tokens LLaVA-1.5 loses one to three points. At most
/// one in fifty of its real answers is lost, pruned or not.
pub(super) const COSTLY: f64 = 0.1;

/// If an answer is right for more than this share of questions, giving it always may be legitimate.
pub(super) const OFTEN_RIGHT: f64 = 0.8;

/// Excess of an answer's frequency over the frequency with which it is right, as a share of all
/// answers, from which it is noted. A bias of ten points towards yes or no is usual, pruned or not.
pub(super) const TILT: f64 = 0.2;

/// Whether `count` of `of` is a share of at least `least`; with few answers, whether it is all of
/// them.
pub(super) fn is_share(count: usize, of: usize, least: f64) -> bool {
    if of >= FEW {
        share(count, of) >= least
    } else {
        of >= FEWEST && count == of
    }
}

/// Level of answers that lose their question: loud where they cost a lot, else a note.
pub(super) fn of_losses(count: usize, of: usize) -> Level {
    if count == 0 {
        Level::Fine
    } else if is_share(count, of, COSTLY) {
        Level::Loud
    } else {
        Level::Note
    }
}

/// Level of an answer that is given to a share of at least `least` of the questions and is right
/// for the share `right`.
pub(super) fn of_one(count: usize, of: usize, right: f64, least: f64) -> Level {
    if is_share(count, of, least) && right < OFTEN_RIGHT {
        Level::Loud
    } else if of >= FEW && share(count, of) - right >= TILT {
        Level::Note
    } else {
        Level::Fine
    }
}

/// Level of findings that are worth a note whenever they occur.
pub(super) fn of_note(count: usize) -> Level {
    if count > 0 { Level::Note } else { Level::Fine }
}
