//! Descriptions of published methods for listings and help.

use serde::Serialize;

use crate::PositionRule;

/// The description of a published method.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PublishedCard {
    /// Unique name.
    pub name: &'static str,
    /// One sentence: which tokens are kept.
    pub summary: &'static str,
    /// Where it acts: `vision`, `embeddings`, `layer k`, or several of these.
    pub site: &'static str,
    /// The rule, in symbols.
    pub formula: &'static str,
    /// The tensors that one selection reads.
    pub inputs: &'static [InputCard],
    /// Its parameters.
    pub params: &'static [ParamCard],
    /// Named settings for budgets, and their origin.
    pub presets: &'static [Preset],
    /// Paper and venue.
    pub paper: &'static str,
    /// Repository, commit and file that the rule was checked against.
    pub source: &'static str,
    /// The authors' positions of kept tokens.
    pub positions: PositionRule,
    /// Disagreements between paper, code and other sources, and what is done here if the code
    /// fails.
    pub disagreements: &'static [&'static str],
}

/// The statement on licences for every method: those of the authors don't apply to this code.
pub(super) const LICENCE: &str = "own implementation of the published rule; no code of the \
     repository is used or needed. Its licence holds for its code and weights only";

impl PublishedCard {
    /// The statement on licences.
    pub fn licence(&self) -> &'static str {
        LICENCE
    }
}

/// A tensor that a method reads.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InputCard {
    /// Its name in files.
    pub name: &'static str,
    /// Its shape, in letters: N image tokens, H heads, S the sequence, T text tokens after
    /// the image, D, P and C widths.
    pub shape: &'static str,
    /// What it holds.
    pub summary: &'static str,
}

/// A parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ParamCard {
    /// Its name.
    pub name: &'static str,
    /// Accepted values.
    pub kind: ParamKind,
    /// Its default.
    pub default: ParamDefault,
    /// The contexts that it applies to.
    pub scope: ParamScope,
    /// Its meaning.
    pub summary: &'static str,
}

/// Kinds of parameter values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// An integer of at least 0.
    Count,
    /// Integers, separated by commas.
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

/// The default of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamDefault {
    /// No default: it must be given.
    Required,
    /// Unset by default.
    Absent,
    /// This value, in its text form.
    Is(&'static str),
}

/// The context that a parameter applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamScope {
    /// All contexts.
    Both,
    /// One selection on given tensors.
    Selection,
    /// A run of a whole model.
    Model,
}

/// Settings for a budget.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Preset {
    /// The budget's name: tokens of a 24 × 24 grid, averaged over layers as its authors count.
    pub budget: &'static str,
    /// The parameters, in their text form.
    pub params: &'static str,
    /// Origin of the settings.
    pub whose: &'static str,
}

// Cards are identified by their names.
impl PartialEq for PublishedCard {
    fn eq(&self, other: &PublishedCard) -> bool {
        self.name == other.name
    }
}
