//! Lists that a configuration may also write as `"all"`, and controls as a name.

use std::fmt::Display;
use std::str::FromStr;

use fp_scoring::{HeadStrategy, QueryStrategy, ScheduleStages};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::Controls;

/// The name that stands for all.
pub(super) const ALL: &str = "all";
/// The name that stands for none.
pub(super) const NONE: &str = "none";

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of strategies, or \"all\"")]
enum Names {
    One(String),
    Several(Vec<String>),
}

pub(super) fn head_strategies<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HeadStrategy>, D::Error> {
    strategies(deserializer, HeadStrategy::STUDY)
}

pub(super) fn query_strategies<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<QueryStrategy>, D::Error> {
    strategies(deserializer, QueryStrategy::ALL)
}

pub(super) fn head_strategies_schema(_: &mut SchemaGenerator) -> Schema {
    strategies_schema(HeadStrategy::NAMES)
}

pub(super) fn query_strategies_schema(_: &mut SchemaGenerator) -> Schema {
    strategies_schema(QueryStrategy::NAMES)
}

fn strategies_schema(names: &[&str]) -> Schema {
    let names: Vec<&str> = std::iter::once(ALL).chain(names.iter().copied()).collect();
    json_schema!({"oneOf": [
        {"enum": [ALL]},
        {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": names}},
    ]})
}

/// Parses schedules, each from a string.
pub(super) fn schedules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ScheduleStages>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let stages = texts.iter().map(|text| text.parse());
    stages.collect::<Result<_, _>>().map_err(D::Error::custom)
}

pub(super) fn schedules_schema(_: &mut SchemaGenerator) -> Schema {
    let schedule = json_schema!({"type": "string", "examples": ["3:309,7:204,16:113"]});
    json_schema!({"type": "array", "uniqueItems": true, "items": schedule})
}

/// Serialises entries by their display form.
pub(super) fn texts<S: Serializer, T: Display>(
    entries: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(ToString::to_string))
}

/// Parses strategies, with `all` expanding to those in `all`; never an empty list.
fn strategies<'de, D, T>(deserializer: D, all: &[T]) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + Copy,
{
    let names = match Names::deserialize(deserializer)? {
        Names::Several(names) => names,
        Names::One(name) if name == ALL => vec![name],
        Names::One(name) => {
            let message = format!("`{name}`; expected a list of strategies, or \"{ALL}\"");
            return Err(D::Error::custom(message));
        }
    };
    if names.is_empty() {
        return Err(D::Error::custom("no strategy; at least one is needed"));
    }
    let mut found = Vec::new();
    for name in &names {
        match name.as_str() {
            ALL => found.extend_from_slice(all),
            name => found.push(name.parse().map_err(D::Error::custom)?),
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the controls as an object, \"all\" or \"none\""
)]
enum ControlsOrName {
    Name(String),
    Each(Controls),
}

pub(super) fn controls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Controls, D::Error> {
    match ControlsOrName::deserialize(deserializer)? {
        ControlsOrName::Each(controls) => Ok(controls),
        ControlsOrName::Name(name) => match name.as_str() {
            ALL => Ok(Controls::all()),
            NONE => Ok(Controls::none()),
            _ => Err(D::Error::custom(format!(
                "`{name}`; expected an object, \"{ALL}\" or \"{NONE}\""
            ))),
        },
    }
}

pub(super) fn controls_schema(generator: &mut SchemaGenerator) -> Schema {
    let each = generator.subschema_for::<Controls>();
    json_schema!({"oneOf": [{"enum": [ALL, NONE]}, each]})
}
