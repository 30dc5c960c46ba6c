//! Published methods with settings of their own, each compared as a method.

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
    /// Parameters as NAME=VALUE, such as layers=8,16,24 and keep=300,200,110.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
    /// Positions of the tokens that are kept; by default as the method's authors have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = PositionRule::NAMES))]
    pub positions: Option<PositionRule>,
}

/// A setting that doesn't define a valid method.
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
        /// The presets that exist.
        known: Vec<&'static str>,
    },
    /// A parameter without a value.
    #[error("`{method}`: params has `{param}`; expected NAME=VALUE")]
    Param {
        /// The method.
        method: String,
        /// The parameter as given.
        param: String,
    },
    /// Parameters without a preset need a name.
    #[error("`{method}`: settings without a preset need a `name`")]
    Name {
        /// The method.
        method: String,
    },
    /// A name with characters that cells' names can't contain.
    #[error("`{name}`: a name must not contain `/` or `+`")]
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
    /// Name of the method.
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
        let own = self.own_params()?;
        let mut given = self.of_preset(method.card())?;
        given.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        given.extend(own);
        Ok(ConfiguredMethod {
            params: MethodParams::parse(method.card(), ParamScope::Model, &given)?,
            positions: self.positions,
            name,
            method,
        })
    }

    fn own_params(&self) -> Result<Vec<(String, String)>, MethodSettingError> {
        let params = self.params.iter();
        params
            .map(|param| match param.split_once('=') {
                Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                None => Err(MethodSettingError::Param {
                    method: self.method.clone(),
                    param: param.clone(),
                }),
            })
            .collect()
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
                "params": ["layers=8,16,24"], "positions": "keep"}"#,
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
                r#"{"method": "scope", "params": ["keep=9"]}"#,
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
            (
                r#"{"method": "scope", "name": "a/b"}"#,
                "must not contain `/`",
            ),
            (
                r#"{"method": "scope", "name": "a", "params": ["keep"]}"#,
                "expected NAME=VALUE",
            ),
            (
                r#"{"method": "scope", "name": "a", "params": ["kept=9"]}"#,
                "no parameter `kept`",
            ),
        ] {
            let error = read(json).method().unwrap_err();
            let text = fp_scoring::error_text(&error);
            assert!(text.contains(says), "{text}");
        }
    }
}
