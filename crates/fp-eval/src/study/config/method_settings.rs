//! Published methods with settings of their own, each compared as a method.

use std::collections::BTreeMap;

use fp_scoring::{
    ConfiguredMethod, MethodParams, ParamScope, PositionRule, PublishedError, published_method,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A published method with settings of its own, whatever the study's budgets are: a preset,
/// single parameters, or single parameters instead of a preset's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MethodSetting {
    /// A published method, by the names that `finepruner methods` lists.
    pub method: String,
    /// What it is called: METHOD:NAME; by default the preset's budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A preset that `finepruner methods METHOD` lists, by its budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Parameters by name; lists of several stages as lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamSetting>,
    /// Positions of the tokens that are kept; by default as the method's authors have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("enum" = PositionRule::NAMES))]
    pub positions: Option<PositionRule>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, a list of numbers or a word")]
pub enum ParamSetting {
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// One value per stage.
    List(Vec<f64>),
    /// A word, or a value as the command line takes it.
    Word(String),
}

impl ParamSetting {
    /// As the command line takes it.
    fn text(&self) -> String {
        match self {
            ParamSetting::Count(count) => count.to_string(),
            ParamSetting::Number(number) => number.to_string(),
            ParamSetting::List(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                values.join(",")
            }
            ParamSetting::Word(word) => word.clone(),
        }
    }
}

/// A setting that makes no method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MethodSettingError {
    /// An unknown method, or a parameter that it doesn't take.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// The method has no such preset.
    #[error("`{method}` has no preset `{preset}`; {}", presets(known))]
    Preset {
        /// The method.
        method: String,
        /// The preset as given.
        preset: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// Parameters, and nothing to call them by.
    #[error("`{method}`: settings without a preset need a `name`")]
    Name {
        /// The method.
        method: String,
    },
    /// A name that cells can't have.
    #[error("`{name}`: a name has no `/` and no `+`")]
    Character {
        /// The name as given.
        name: String,
    },
}

fn presets(known: &[&str]) -> String {
    match known {
        [] => "it has none".to_owned(),
        known => format!("expected one of: {}", known.join(", ")),
    }
}

impl MethodSetting {
    /// What the method is called.
    pub fn method_name(&self) -> String {
        let name = self.name.as_ref().or(self.preset.as_ref());
        match name {
            Some(name) => format!("{}:{name}", self.method),
            None => self.method.clone(),
        }
    }

    /// The method.
    ///
    /// # Errors
    /// An unknown method, preset or parameter, and settings without a name.
    pub fn method(&self) -> Result<ConfiguredMethod, MethodSettingError> {
        let name = self.method_name();
        if self.name.is_none() && self.preset.is_none() {
            return Err(MethodSettingError::Name {
                method: self.method.clone(),
            });
        }
        if name.contains(['/', '+']) {
            return Err(MethodSettingError::Character { name });
        }
        let method = published_method(&self.method)?;
        let mut given = self.of_preset(method.card())?;
        given.retain(|(name, _)| !self.params.contains_key(name));
        let own = self.params.iter();
        given.extend(own.map(|(name, value)| (name.clone(), value.text())));
        Ok(ConfiguredMethod {
            params: MethodParams::parse(method.card(), ParamScope::Model, &given)?,
            positions: self.positions,
            name,
            method,
        })
    }

    fn of_preset(
        &self,
        card: &fp_scoring::PublishedCard,
    ) -> Result<Vec<(String, String)>, MethodSettingError> {
        let Some(preset) = &self.preset else {
            return Ok(Vec::new());
        };
        let found = card.presets.iter().find(|known| known.budget == preset);
        let found = found.ok_or_else(|| MethodSettingError::Preset {
            method: self.method.clone(),
            preset: preset.clone(),
            known: card.presets.iter().map(|known| known.budget).collect(),
        })?;
        let pairs = found.params.split_whitespace();
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        Ok(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> MethodSetting {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn presets_and_parameters() {
        let preset = read(r#"{"method": "sparsevlm", "preset": "192"}"#);
        assert_eq!(preset.method_name(), "sparsevlm:192");
        let made = preset.method().unwrap();
        assert_eq!(made.params.counts("keep").unwrap(), [300, 200, 110]);
        let own = read(
            r#"{"method": "sparsevlm", "name": "late", "preset": "192",
                "params": {"layers": [8, 16, 24]}, "positions": "keep"}"#,
        );
        let made = own.method().unwrap();
        assert_eq!(
            (made.name.as_str(), made.positions),
            ("sparsevlm:late", Some(PositionRule::Keep))
        );
        assert_eq!(made.params.counts("layers").unwrap(), [8, 16, 24]);
        assert_eq!(made.params.counts("keep").unwrap(), [300, 200, 110]);
    }

    #[test]
    fn what_makes_no_method() {
        for (json, says) in [
            (
                r#"{"method": "fastvlm", "name": "x"}"#,
                "did you mean `fastervlm`",
            ),
            (
                r#"{"method": "scope", "params": {"keep": 9}}"#,
                "need a `name`",
            ),
            (
                r#"{"method": "scope", "preset": "9"}"#,
                "expected one of: 192, 128, 64",
            ),
            (
                r#"{"method": "prumerge_plus", "preset": "9"}"#,
                "it has none",
            ),
            (r#"{"method": "scope", "name": "a/b"}"#, "no `/`"),
            (
                r#"{"method": "scope", "name": "a", "params": {"kept": 9}}"#,
                "no parameter `kept`",
            ),
        ] {
            let error = read(json).method().unwrap_err();
            let text = fp_scoring::error_text(&error);
            assert!(text.contains(says), "{text}");
        }
    }
}
