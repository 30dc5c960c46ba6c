//! What listings and help say of a published method.

use serde::Serialize;

use crate::PositionRule;

/// A published method, described.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PublishedCard {
    /// Unique.
    pub name: &'static str,
    /// One sentence: which tokens are kept.
    pub summary: &'static str,
    /// Where it acts: `vision`, `embeddings`, `layer k`, or several of them.
    pub site: &'static str,
    /// The rule, in symbols.
    pub formula: &'static str,
    /// The tensors that one selection looks at.
    pub inputs: &'static [InputCard],
    /// What can be set.
    pub params: &'static [ParamCard],
    /// Settings that are known by a budget, and whose they are.
    pub presets: &'static [Preset],
    /// Paper and venue.
    pub paper: &'static str,
    /// Repository, commit and file that the rule was checked with.
    pub source: &'static str,
    /// Positions of the tokens that are kept, as the authors have them.
    pub positions: PositionRule,
    /// Where paper, code and others disagree, and what is done here where the code fails.
    pub disagreements: &'static [&'static str],
}

/// What is said of licences, of every method: theirs don't reach what is here.
pub(super) const LICENCE: &str = "own implementation of the published rule; no code of the \
     repository is used or needed. Its licence holds for its code and weights only";

impl PublishedCard {
    /// What is said of licences.
    pub fn licence(&self) -> &'static str {
        LICENCE
    }
}

/// A tensor that a method reads.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InputCard {
    /// Its name in files.
    pub name: &'static str,
    /// Its shape, in letters: N image tokens, H heads, S the sequence, T text tokens behind
    /// the image, D, P and C widths.
    pub shape: &'static str,
    /// What it holds.
    pub summary: &'static str,
}

/// Something of a method that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ParamCard {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: ParamKind,
    /// What it is where it isn't given.
    pub default: ParamDefault,
    /// Where it is of account.
    pub scope: ParamScope,
    /// What it does.
    pub summary: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// A whole number from 0.
    Count,
    /// Whole numbers, separated by commas.
    Counts,
    /// A number from 0 to 1.
    Share,
    /// Numbers from 0 to 1, separated by commas.
    Shares,
    /// A number.
    Number,
    /// Numbers, separated by commas.
    Numbers,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl ParamKind {
    /// In words, for help and errors.
    pub fn words(self) -> String {
        match self {
            ParamKind::Count => "a whole number".to_owned(),
            ParamKind::Counts => "whole numbers separated by commas".to_owned(),
            ParamKind::Share => "a number from 0 to 1".to_owned(),
            ParamKind::Shares => "numbers from 0 to 1 separated by commas".to_owned(),
            ParamKind::Number => "a number".to_owned(),
            ParamKind::Numbers => "numbers separated by commas".to_owned(),
            ParamKind::Choice(words) => format!("one of: {}", words.join(", ")),
        }
    }
}

/// What a parameter is where it isn't given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamDefault {
    /// It has to be given.
    Required,
    /// The method goes without it.
    Absent,
    /// This, as it would be written.
    Is(&'static str),
}

/// Where a parameter is of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamScope {
    /// Everywhere.
    Both,
    /// One selection on given tensors.
    Selection,
    /// A whole model's run.
    Model,
}

/// Settings for a budget.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Preset {
    /// The budget's name: tokens of a 24 × 24 grid, on the average over layers as its
    /// authors count.
    pub budget: &'static str,
    /// The parameters, as they would be written.
    pub params: &'static str,
    /// Who set them.
    pub whose: &'static str,
}

// Cards are told apart by their names.
impl PartialEq for PublishedCard {
    fn eq(&self, other: &PublishedCard) -> bool {
        self.name == other.name
    }
}
