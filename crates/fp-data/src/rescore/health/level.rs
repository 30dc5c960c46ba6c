//! How much a finding matters, and from where on.

use super::share;

/// How much a finding matters to a reader of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to be said.
    Fine,
    /// Worth knowing; the score stands.
    Note,
    /// It explains the score.
    Loud,
}

/// With fewer answers one of them is more than five points, so that shares say little:
/// there only what all answers have in common is loud.
pub(super) const FEW: usize = 20;

/// The fewest answers of which "all are alike" says something: a fair coin falls six times
/// alike in 3 of 100 trials, five times in 6.
pub(super) const FEWEST: usize = 6;

/// Ten points of accuracy, lost to answers that can't be read or aren't there, outweigh
/// everything that is compared: at a third of the tokens LLaVA-1.5 loses one to three
/// points. Of its real answers at most one in fifty is such, pruned or not.
pub(super) const COSTLY: f64 = 0.1;

/// Above this share of the truth, an answer that is given always may just be right.
pub(super) const OFTEN_RIGHT: f64 = 0.8;

/// An answer that is given so much more often than it is right, as a share of all, is
/// noted. A tilt to yes or no of ten points is usual, pruned or not.
pub(super) const TILT: f64 = 0.2;

/// Whether `count` of `of` is a share of `least` or more; of a few, whether it is all.
pub(super) fn is_share(count: usize, of: usize, least: f64) -> bool {
    if of >= FEW {
        share(count, of) >= least
    } else {
        of >= FEWEST && count == of
    }
}

/// Of answers that lose their question: loud where they cost a lot, else a note.
pub(super) fn of_losses(count: usize, of: usize) -> Level {
    if count == 0 {
        Level::Fine
    } else if is_share(count, of, COSTLY) {
        Level::Loud
    } else {
        Level::Note
    }
}

/// Of an answer that is given to a share of `least` or more and is right for `right` of all
/// questions.
pub(super) fn of_one(count: usize, of: usize, right: f64, least: f64) -> Level {
    if is_share(count, of, least) && right < OFTEN_RIGHT {
        Level::Loud
    } else if of >= FEW && share(count, of) - right >= TILT {
        Level::Note
    } else {
        Level::Fine
    }
}

/// Of what is worth a note wherever it is.
pub(super) fn of_note(count: usize) -> Level {
    if count > 0 { Level::Note } else { Level::Fine }
}
