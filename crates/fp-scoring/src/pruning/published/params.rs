//! Parameters of a method, as text and as values.

use std::collections::BTreeMap;

use super::{ParamCard, ParamDefault, ParamKind, ParamScope, PublishedCard, PublishedError};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// Of [`ParamKind::Count`].
    Count(usize),
    /// Of [`ParamKind::Counts`].
    Counts(Vec<usize>),
    /// Of [`ParamKind::Share`] and [`ParamKind::Number`].
    Number(f64),
    /// Of [`ParamKind::Shares`] and [`ParamKind::Numbers`].
    Numbers(Vec<f64>),
    /// Of [`ParamKind::Choice`].
    Choice(&'static str),
}

/// The parameters of one method: the given values, and defaults for the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodParams {
    card: &'static PublishedCard,
    values: BTreeMap<&'static str, ParamValue>,
}

impl MethodParams {
    /// Parses parameters from pairs of `name` and value; `scope` is one selection or a whole
    /// model's run.
    ///
    /// # Errors
    /// A parameter that the method doesn't have in this scope, that is a duplicate, has an
    /// invalid value, or is missing.
    pub fn parse(
        card: &'static PublishedCard,
        scope: ParamScope,
        given: &[(String, String)],
    ) -> Result<MethodParams, PublishedError> {
        let is_here = |param: &&ParamCard| param.scope == ParamScope::Both || param.scope == scope;
        let known = || {
            card.params
                .iter()
                .filter(is_here)
                .map(|param| param.name)
                .collect()
        };
        let mut values = BTreeMap::new();
        for (name, text) in given {
            let named = || card.params.iter().filter(|param| param.name == name);
            let Some(param) = named().find(is_here) else {
                return Err(match named().next() {
                    Some(elsewhere) => PublishedError::ParamScope {
                        method: card.name,
                        param: elsewhere.name,
                        belongs: match elsewhere.scope {
                            ParamScope::Model => "a whole model's run",
                            ParamScope::Selection | ParamScope::Both => "one selection alone",
                        },
                        known: known(),
                    },
                    None => PublishedError::UnknownParam {
                        method: card.name,
                        param: name.clone(),
                        known: known(),
                    },
                });
            };
            let value = read(card.name, param, text)?;
            if values.insert(param.name, value).is_some() {
                return Err(PublishedError::ParamTwice {
                    method: card.name,
                    param: param.name,
                });
            }
        }
        for param in card.params.iter().filter(is_here) {
            if values.contains_key(param.name) {
                continue;
            }
            match param.default {
                ParamDefault::Absent => {}
                ParamDefault::Is(text) => {
                    values.insert(param.name, read(card.name, param, text)?);
                }
                ParamDefault::Required => {
                    return Err(PublishedError::MissingParam {
                        method: card.name,
                        param: param.name,
                        summary: param.summary,
                    });
                }
            }
        }
        Ok(MethodParams { card, values })
    }

    /// The method's card.
    pub fn card(&self) -> &'static PublishedCard {
        self.card
    }

    /// All parameters by name, including defaults.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &ParamValue)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// A copy with another value for one parameter.
    #[must_use]
    pub(crate) fn with(&self, name: &'static str, value: ParamValue) -> MethodParams {
        let mut params = self.clone();
        params.values.insert(name, value);
        params
    }

    /// Checks that a list has one entry per stage; `layers` names the list of layers.
    pub(crate) fn check_per_stage(
        &self,
        name: &'static str,
        len: usize,
    ) -> Result<&[usize], PublishedError> {
        let layers = self.counts("layers")?;
        if layers.len() == len {
            return Ok(layers);
        }
        let expected = format!("{}, one per stage of `layers`", layers.len());
        Err(self.refuse(name, &format!("{len} values"), expected))
    }

    /// A parameter that may be absent.
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.values.get(name)
    }

    fn missing(&self, name: &str) -> PublishedError {
        let card = self.card.params.iter().find(|param| param.name == name);
        PublishedError::MissingParam {
            method: self.card.name,
            param: card.map_or("?", |param| param.name),
            summary: card.map_or("", |param| param.summary),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// The parameter is absent.
    pub fn count(&self, name: &str) -> Result<usize, PublishedError> {
        match self.get(name) {
            Some(ParamValue::Count(count)) => Ok(*count),
            _ => Err(self.missing(name)),
        }
    }

    /// A list of integers.
    ///
    /// # Errors
    /// The parameter is absent.
    pub fn counts(&self, name: &str) -> Result<&[usize], PublishedError> {
        match self.get(name) {
            Some(ParamValue::Counts(counts)) => Ok(counts),
            _ => Err(self.missing(name)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// The parameter is absent.
    pub fn number(&self, name: &str) -> Result<f64, PublishedError> {
        match self.get(name) {
            Some(ParamValue::Number(number)) => Ok(*number),
            _ => Err(self.missing(name)),
        }
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// The parameter is absent.
    pub fn numbers(&self, name: &str) -> Result<&[f64], PublishedError> {
        match self.get(name) {
            Some(ParamValue::Numbers(numbers)) => Ok(numbers),
            _ => Err(self.missing(name)),
        }
    }

    /// One of several words.
    ///
    /// # Errors
    /// The parameter is absent.
    pub fn choice(&self, name: &str) -> Result<&'static str, PublishedError> {
        match self.get(name) {
            Some(ParamValue::Choice(word)) => Ok(word),
            _ => Err(self.missing(name)),
        }
    }

    /// An error that states the accepted values of a parameter, if these depend on the tensors.
    pub(crate) fn refuse(
        &self,
        name: &'static str,
        found: &dyn std::fmt::Display,
        expected: String,
    ) -> PublishedError {
        PublishedError::ParamValue {
            method: self.card.name,
            param: name,
            found: found.to_string(),
            expected,
        }
    }

    /// A count in 1..=`most`; `what` names what is counted.
    pub(crate) fn count_up_to(
        &self,
        name: &'static str,
        most: usize,
        what: &str,
    ) -> Result<usize, PublishedError> {
        let count = self.count(name)?;
        if (1..=most).contains(&count) {
            return Ok(count);
        }
        Err(self.refuse(name, &count, format!("1 to {most}, the number of {what}")))
    }
}

fn read(
    method: &'static str,
    param: &'static ParamCard,
    text: &str,
) -> Result<ParamValue, PublishedError> {
    let count = |text: &str| text.trim().parse::<usize>().ok();
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let share = |text: &str| number(text).filter(|n| (0.0..=1.0).contains(n));
    let value = match param.kind {
        ParamKind::Count => count(text).map(ParamValue::Count),
        ParamKind::Number => number(text).map(ParamValue::Number),
        ParamKind::Share => share(text).map(ParamValue::Number),
        ParamKind::Counts => each(text, count).map(ParamValue::Counts),
        ParamKind::Numbers => each(text, number).map(ParamValue::Numbers),
        ParamKind::Shares => each(text, share).map(ParamValue::Numbers),
        ParamKind::Choice(words) => {
            let word = words.iter().find(|word| **word == text.trim());
            word.map(|word| ParamValue::Choice(word))
        }
    };
    value.ok_or_else(|| PublishedError::ParamValue {
        method,
        param: param.name,
        found: text.to_owned(),
        expected: param.kind.words(),
    })
}

fn each<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(read).collect()
}
