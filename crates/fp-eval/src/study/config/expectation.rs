//! What is expected of strategies together, registered with a study.

use fp_scoring::{HeadStrategy, QueryStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{at_least_one, each_once};
use super::{Diagnostics, StudyConfig, StudyKind};

/// One expectation of the strategies that a study varies, an object of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// Each of these strategies is better than every other strategy.
    Leaders(#[schemars(length(min = 1), extend("uniqueItems" = true))] Vec<String>),
    /// This strategy is better than the baseline on some families of questions.
    LeadsOnSomeFamilies(String),
    /// The accuracy of this strategy varies least over lengths of the text.
    SteadiestOverTextLength(String),
    /// One of these strategies is no worse than any other on these families of questions.
    Suffice(Suffice),
}

/// Strategies that are expected to do on some families of questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suffice {
    /// The strategies.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub strategies: Vec<String>,
    /// The families, as datasets name them.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub families: Vec<String>,
    /// The expectation in words, such as "single-row rules suffice on simple tasks".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
}

impl Expectation {
    /// The strategies that it names, each with its place inside the expectation.
    fn names(&self) -> Vec<(String, &str)> {
        match self {
            Expectation::Leaders(names) => numbered("leaders", names),
            Expectation::LeadsOnSomeFamilies(name) => {
                vec![("leads_on_some_families".to_owned(), name)]
            }
            Expectation::SteadiestOverTextLength(name) => {
                vec![("steadiest_over_text_length".to_owned(), name)]
            }
            Expectation::Suffice(expected) => numbered("suffice.strategies", &expected.strategies),
        }
    }

    /// Its lists, with their places.
    fn lists(&self) -> Vec<(&'static str, &[String])> {
        match self {
            Expectation::Leaders(names) => vec![("leaders", names)],
            Expectation::LeadsOnSomeFamilies(_) | Expectation::SteadiestOverTextLength(_) => {
                Vec::new()
            }
            Expectation::Suffice(expected) => vec![
                ("suffice.strategies", &expected.strategies),
                ("suffice.families", &expected.families),
            ],
        }
    }
}

fn numbered<'a>(key: &str, names: &'a [String]) -> Vec<(String, &'a str)> {
    let names = names.iter().enumerate();
    let names = names.map(|(index, name)| (format!("{key}[{index}]"), name.as_str()));
    names.collect()
}

/// Finds empty lists and names that aren't strategies of the study's kind. A strategy that this
/// study just doesn't include is no problem; expectations of it are not tested.
pub(super) fn check(config: &StudyConfig, found: &mut Diagnostics) {
    for (index, expectation) in config.expectations.iter().enumerate() {
        let at = |place: &str| format!("expectations[{index}].{place}");
        for (place, names) in expectation.lists() {
            at_least_one(found, &at(place), names);
            each_once(found, &at(place), names);
        }
        for (place, name) in expectation.names() {
            if let Some(message) = unknown(config.study, name) {
                found.add(at(&place), message);
            }
        }
    }
}

/// The problem with a strategy's name, if there is one.
fn unknown(kind: StudyKind, name: &str) -> Option<String> {
    let head = |name: &str| name.parse::<HeadStrategy>().err();
    let query = |name: &str| name.parse::<QueryStrategy>().err();
    let error = match kind {
        StudyKind::A => head(name),
        StudyKind::B => query(name),
        StudyKind::Full | StudyKind::Methods => match name.split_once('+') {
            Some((first, second)) => head(first).or_else(|| query(second)),
            None => {
                return Some(format!(
                    "`{name}`; expected a head and a query strategy such as sum+last_token"
                ));
            }
        },
    };
    error.map(|error| error.to_string())
}
