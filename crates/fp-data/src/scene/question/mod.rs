//! Questions about a scene: one file per family.

mod attribute;
mod chain;
mod counting;
mod existence;
mod glyph;
mod multiple_choice;
mod paired;
mod reference;
mod spatial;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use super::layout::Object;
use super::rng::SceneRng;

/// Kinds of questions, each modelled on a real benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// An attribute of one object (GQA, VQAv2).
    Attribute,
    /// Whether something is there (POPE).
    Existence,
    /// Two yes/no questions on one fact (MME).
    Paired,
    /// How many there are.
    Counting,
    /// A digit to be read (TextVQA).
    Glyph,
    /// Dependent look-ups (GQA's relational questions).
    Chain,
    /// On which side of another object an object is.
    Spatial,
    /// Four options, asked in every rotation (MMBench).
    MultipleChoice,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 8] = [
        Family::Attribute,
        Family::Existence,
        Family::Paired,
        Family::Counting,
        Family::Glyph,
        Family::Chain,
        Family::Spatial,
        Family::MultipleChoice,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Attribute => "attribute",
            Family::Existence => "existence",
            Family::Paired => "paired",
            Family::Counting => "counting",
            Family::Glyph => "glyph",
            Family::Chain => "chain",
            Family::Spatial => "spatial",
            Family::MultipleChoice => "multiple_choice",
        }
    }

    /// A question of this family, or several that belong together; empty if the scene offers none,
    /// or a few tries found none.
    fn ask(self, objects: &[Object], rng: &mut SceneRng) -> Vec<Question> {
        match self {
            Family::Attribute => attribute::ask(objects, rng).into_iter().collect(),
            Family::Existence => existence::ask(objects, rng).into_iter().collect(),
            Family::Paired => paired::ask(objects, rng).into_iter().flatten().collect(),
            Family::Counting => counting::ask(objects, rng).into_iter().collect(),
            Family::Glyph => glyph::ask(objects, rng).into_iter().collect(),
            Family::Chain => chain::ask(objects, rng).into_iter().collect(),
            Family::Spatial => spatial::ask(objects, rng).into_iter().collect(),
            Family::MultipleChoice => multiple_choice::ask(objects, rng)
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A question with its answer and its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its family.
    pub family: Family,
    /// The whole prompt.
    pub text: String,
    /// The one right answer, a single word.
    pub answer: String,
    /// Indices of the objects that decide it; empty for a no to `Is there …?`.
    pub evidence: Vec<usize>,
    /// Further categories, such as `hops`.
    pub keys: BTreeMap<&'static str, String>,
    /// Result of a chain's first look-up; only for training, never shown.
    pub link: Option<&'static str>,
}

impl Question {
    fn new(family: Family, answer: &str, evidence: Vec<usize>) -> Question {
        Question {
            family,
            text: String::new(),
            answer: answer.to_owned(),
            evidence,
            keys: BTreeMap::new(),
            link: None,
        }
    }

    fn key(mut self, key: &'static str, value: &str) -> Question {
        self.keys.insert(key, value.to_owned());
        self
    }

    fn link(self, link: &'static str) -> Question {
        Question {
            link: Some(link),
            ..self
        }
    }

    fn text(self, text: String) -> Question {
        Question { text, ..self }
    }
}

/// Weights of the families, written `attribute=2,chain=3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    weights: Vec<(Family, usize)>,
}

impl Default for Mixture {
    /// Every family with equal weight.
    fn default() -> Mixture {
        Mixture {
            weights: Family::ALL.map(|family| (family, 1)).to_vec(),
        }
    }
}

impl Mixture {
    /// Families with their weights.
    pub fn weights(&self) -> &[(Family, usize)] {
        &self.weights
    }

    fn draw(&self, rng: &mut SceneRng) -> Family {
        let total = self.weights.iter().map(|&(_, weight)| weight).sum();
        let mut place = rng.below(total);
        for &(family, weight) in &self.weights {
            if place < weight {
                return family;
            }
            place -= weight;
        }
        unreachable!("the weights add up to their sum")
    }
}

impl fmt::Display for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (family, weight)) in self.weights.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{family}={weight}")?;
        }
        Ok(())
    }
}

/// Why a mixture can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "mixture `{part}`: {reason}; expected for example attribute=2,chain=3, with names among {known}"
)]
pub struct MixtureError {
    /// The part that is wrong.
    part: String,
    /// What is wrong with it.
    reason: &'static str,
    /// Names of all families.
    known: String,
}

impl FromStr for Mixture {
    type Err = MixtureError;

    fn from_str(text: &str) -> Result<Mixture, MixtureError> {
        let mut weights: Vec<(Family, usize)> = Vec::new();
        for part in text.split(',') {
            let error = |reason| MixtureError {
                part: part.to_owned(),
                reason,
                known: Family::ALL.map(Family::name).join(", "),
            };
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let family = Family::ALL
                .into_iter()
                .find(|family| family.name() == name.trim())
                .ok_or_else(|| error("no such family"))?;
            let weight: u16 = weight
                .trim()
                .parse()
                .ok()
                .filter(|&weight| weight > 0)
                .ok_or_else(|| error("a weight is a whole number from 1 to 65535"))?;
            if weights.iter().any(|&(other, _)| other == family) {
                return Err(error("named twice"));
            }
            weights.push((family, usize::from(weight)));
        }
        Ok(Mixture { weights })
    }
}

/// Number of attempts with a family before another is drawn.
const TRIES: usize = 10;

/// See [`super::Scene::questions`].
pub(super) fn questions(
    objects: &[Object],
    rng: &mut SceneRng,
    mixture: &Mixture,
    count: usize,
) -> Vec<Question> {
    let mut asked = HashSet::new();
    let mut questions = Vec::new();
    let mut misses = 0;
    while !objects.is_empty() && questions.len() < count && misses < 2 * count {
        let family = mixture.draw(rng);
        // Many scenes have few chains: several attempts keep the families' shares near their
        // weights. A scene may also offer no question at all.
        let group = (0..TRIES)
            .map(|_| family.ask(objects, rng))
            .find(|group| !group.is_empty());
        let Some(group) = group else {
            misses += 1;
            continue;
        };
        if group.iter().any(|question| asked.contains(&question.text)) {
            misses += 1;
            continue;
        }
        for question in group {
            asked.insert(question.text.clone());
            questions.push(question);
        }
    }
    questions
}
