//! K as configurations write it: one layer or several.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The layers after which tokens are dropped, each counted from 1; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneLayers(Vec<usize>);

impl PruneLayers {
    /// Several layers; `None` if the list is empty.
    pub fn new(layers: Vec<usize>) -> Option<PruneLayers> {
        (!layers.is_empty()).then_some(PruneLayers(layers))
    }

    /// One layer.
    pub fn one(layer: usize) -> PruneLayers {
        PruneLayers(vec![layer])
    }

    /// All layers, in the order given.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }

    /// The first layer: K for everything that has only one.
    pub fn first(&self) -> usize {
        self.0[0]
    }

    /// The deepest layer.
    pub(crate) fn deepest(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// Whether there is more than one layer.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl From<usize> for PruneLayers {
    fn from(layer: usize) -> PruneLayers {
        PruneLayers::one(layer)
    }
}

impl fmt::Display for PruneLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, layer) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{layer}")?;
        }
        Ok(())
    }
}

impl Serialize for PruneLayers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl JsonSchema for PruneLayers {
    fn schema_name() -> Cow<'static, str> {
        "PruneLayers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let layer = json_schema!({"type": "integer", "minimum": 1});
        json_schema!({"oneOf": [
            layer,
            {"type": "array", "minItems": 1, "uniqueItems": true, "items": layer},
        ]})
    }
}

impl<'de> Deserialize<'de> for PruneLayers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PruneLayers, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a layer such as 2, or a list such as [2, 3]"
        )]
        enum OneOrSeveral {
            One(usize),
            Several(Vec<usize>),
        }
        let layers = match OneOrSeveral::deserialize(deserializer)? {
            OneOrSeveral::One(layer) => vec![layer],
            OneOrSeveral::Several(layers) => layers,
        };
        PruneLayers::new(layers).ok_or_else(|| D::Error::custom("[]; at least one is needed"))
    }
}
