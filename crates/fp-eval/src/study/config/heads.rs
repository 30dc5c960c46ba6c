//! h as configurations write it: a count, or a share of the model's heads.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use fp_scoring::HeadCount;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// How many heads a cell selects: a count such as `16`, or a share such as `"3/4"`,
/// rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadSetting(HeadCount);

impl HeadSetting {
    /// The study's grid: ¾, ½ and ¼ of the heads.
    pub fn grid() -> Vec<HeadSetting> {
        [(3, 4), (1, 2), (1, 4)]
            .map(|(numerator, denominator)| {
                HeadSetting(HeadCount::Share {
                    numerator,
                    denominator,
                })
            })
            .to_vec()
    }

    /// Half of the heads.
    pub fn half() -> HeadSetting {
        HeadSetting(HeadCount::HALF)
    }

    /// A fixed number of heads.
    pub fn count(count: usize) -> HeadSetting {
        HeadSetting(HeadCount::Count(count))
    }

    /// The value in the form that scoring takes.
    pub fn head_count(self) -> HeadCount {
        self.0
    }
}

impl fmt::Display for HeadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            HeadCount::All => f.write_str("all"),
            HeadCount::Count(count) => write!(f, "{count}"),
            HeadCount::Share {
                numerator,
                denominator,
            } => write!(f, "{numerator}/{denominator}"),
        }
    }
}

impl FromStr for HeadSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<HeadSetting, String> {
        let wrong = || {
            format!(
                "`{text}` is not a number of heads; expected a count such as 16 or a share below 1 such as 3/4 (all heads are the control all_heads)"
            )
        };
        let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
        match text.split_once('/') {
            None => match number(text)? {
                0 => Err(wrong()),
                count => Ok(HeadSetting::count(count)),
            },
            Some((numerator, denominator)) => {
                let (numerator, denominator) = (number(numerator)?, number(denominator)?);
                if numerator > 0 && numerator < denominator {
                    Ok(HeadSetting(HeadCount::Share {
                        numerator,
                        denominator,
                    }))
                } else {
                    Err(wrong())
                }
            }
        }
    }
}

impl Serialize for HeadSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            HeadCount::Count(count) => serializer.serialize_u64(count as u64),
            _ => serializer.collect_str(self),
        }
    }
}

impl JsonSchema for HeadSetting {
    fn schema_name() -> Cow<'static, str> {
        "HeadSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[1-9][0-9]*/[1-9][0-9]*$", "examples": ["3/4"]},
        ]})
    }
}

impl<'de> Deserialize<'de> for HeadSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HeadSetting, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum CountOrShare {
            Count(usize),
            Share(String),
        }
        let text = match CountOrShare::deserialize(deserializer).map_err(|_| {
            D::Error::custom("a number of heads is a count such as 16 or a share such as \"3/4\"")
        })? {
            CountOrShare::Count(count) => count.to_string(),
            CountOrShare::Share(share) => share,
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares() {
        let settings: Vec<HeadSetting> = serde_json::from_str(r#"[24, "1/2"]"#).unwrap();
        let resolved: Vec<_> = settings
            .iter()
            .map(|setting| setting.head_count().resolve(32).unwrap())
            .collect();
        assert_eq!(resolved, [24, 16]);
        assert_eq!(serde_json::to_string(&settings).unwrap(), r#"[24,"1/2"]"#);
        assert_eq!(
            HeadSetting::grid()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["3/4", "1/2", "1/4"]
        );
        for wrong in [
            "0", "\"all\"", "\"4/4\"", "\"0/4\"", "\"x\"", "-1", "1.5", "null",
        ] {
            let error = serde_json::from_str::<HeadSetting>(wrong).unwrap_err();
            assert!(error.to_string().contains("3/4"), "{wrong}: {error}");
        }
    }
}
