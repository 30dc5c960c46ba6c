//! Controls that strategies are compared with: registered methods, each on or off.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use fp_scoring::{MethodRegistry, MethodRole, did_you_mean};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, json};

/// The control that runs once per seed; a configuration lists its seeds instead of turning it on.
const RANDOM: &str = "random";
/// The key of its seeds.
const SEEDS: &str = "random_seeds";

/// Controls that strategies are compared with. By default every control of the registry that isn't
/// optional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controls {
    names: BTreeSet<String>,
    /// One random control per seed.
    pub random_seeds: Vec<u64>,
}

impl Default for Controls {
    fn default() -> Controls {
        let registry = MethodRegistry::standard();
        let names = registry
            .controls()
            .filter(|method| method.role() == MethodRole::Control && !method.takes_seed())
            .map(|method| method.name().to_owned());
        Controls {
            names: names.collect(),
            random_seeds: vec![1, 2, 3],
        }
    }
}

impl Controls {
    /// No controls.
    pub fn none() -> Controls {
        Controls {
            names: BTreeSet::new(),
            random_seeds: Vec::new(),
        }
    }

    /// All controls, including optional ones.
    pub fn all() -> Controls {
        let mut controls = Controls::default();
        for name in Controls::known() {
            if name != RANDOM {
                controls.names.insert(name);
            }
        }
        controls
    }

    /// Names of all controls, in the order of the registry.
    pub fn known() -> Vec<String> {
        let registry = MethodRegistry::standard();
        let names = registry.controls().map(|method| method.name().to_owned());
        names.collect()
    }

    /// Whether a control is on.
    pub fn has(&self, name: &str) -> bool {
        match name {
            RANDOM => !self.random_seeds.is_empty(),
            name => self.names.contains(name),
        }
    }

    /// Turns a control on or off; `random` gets the default seeds if it has none.
    ///
    /// # Errors
    /// An unknown name; the text lists the known ones.
    pub fn set(&mut self, name: &str, is_on: bool) -> Result<(), String> {
        let known = Controls::known();
        if !known.iter().any(|other| other == name) {
            return Err(format!(
                "unknown control `{name}`{}; expected one of: {}",
                did_you_mean(name, known.iter().map(String::as_str)),
                known.join(", ")
            ));
        }
        match (name, is_on) {
            (RANDOM, true) if self.random_seeds.is_empty() => {
                self.random_seeds = Controls::default().random_seeds;
            }
            (RANDOM, true) => {}
            (RANDOM, false) => self.random_seeds.clear(),
            (name, true) => {
                self.names.insert(name.to_owned());
            }
            (name, false) => {
                self.names.remove(name);
            }
        }
        Ok(())
    }
}

impl Serialize for Controls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for method in MethodRegistry::standard().controls() {
            let (name, is_on) = (method.name(), self.has(method.name()));
            if name == RANDOM {
                map.serialize_entry(SEEDS, &self.random_seeds)?;
            } else if is_on || method.role() == MethodRole::Control {
                map.serialize_entry(name, &is_on)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Controls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Controls, D::Error> {
        struct EachOnOrOff;

        impl<'de> Visitor<'de> for EachOnOrOff {
            type Value = Controls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("controls, each on or off")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Controls, A::Error> {
                let mut controls = Controls::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        SEEDS => controls.random_seeds = map.next_value()?,
                        RANDOM => {
                            let message = format!("`{RANDOM}` is configured by {SEEDS}");
                            return Err(A::Error::custom(message));
                        }
                        name => {
                            let is_on = map.next_value()?;
                            controls.set(name, is_on).map_err(A::Error::custom)?;
                        }
                    }
                }
                Ok(controls)
            }
        }

        deserializer.deserialize_map(EachOnOrOff)
    }
}

impl JsonSchema for Controls {
    fn schema_name() -> Cow<'static, str> {
        "Controls".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let default = Controls::default();
        let mut each = Map::new();
        for method in MethodRegistry::standard().controls() {
            let name = method.name();
            if name == RANDOM {
                let seeds = json!({
                    "description": "One random control per seed.",
                    "type": "array",
                    "uniqueItems": true,
                    "items": {"type": "integer", "minimum": 0},
                    "default": default.random_seeds,
                });
                each.insert(SEEDS.to_owned(), seeds);
                continue;
            }
            let summary = sentence(method.card().summary);
            let mut flag = json!({"description": summary, "type": "boolean"});
            // Optional controls are written if they are on.
            if method.role() == MethodRole::Control {
                flag["default"] = default.has(name).into();
            }
            each.insert(name.to_owned(), flag);
        }
        json_schema!({"type": "object", "additionalProperties": false, "properties": each})
    }
}

/// A summary with a capital letter and a full stop.
fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    let first = letters
        .next()
        .map_or(String::new(), |c| c.to_uppercase().to_string());
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_read_as_they_are_written() {
        for controls in [Controls::default(), Controls::none(), Controls::all()] {
            let json = serde_json::to_string(&controls).unwrap();
            let read: Controls = serde_json::from_str(&json).unwrap();
            assert_eq!(read, controls, "{json}");
        }
        let one: Controls = serde_json::from_str(r#"{"oracle": false, "pool": true}"#).unwrap();
        assert!(!one.has("oracle") && one.has("pool") && one.has("random"));
        let wrong = serde_json::from_str::<Controls>(r#"{"orcle": true}"#).unwrap_err();
        assert!(
            wrong.to_string().contains("did you mean `oracle`"),
            "{wrong}"
        );
    }

    #[test]
    fn default_and_all() {
        assert!(Controls::all().has("downsample") && !Controls::default().has("downsample"));
        let mut controls = Controls::none();
        controls.set("random", true).unwrap();
        assert_eq!(controls.random_seeds, [1, 2, 3]);
        assert!(controls.set("rndom", true).unwrap_err().contains("random"));
    }
}
