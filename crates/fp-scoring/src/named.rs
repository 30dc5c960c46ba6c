//! Enums whose variants have names in configs, flags and reports.

/// Description of a strategy in the documentation, `finepruner strategies` and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyCard {
    /// The computation, in the notation of the study.
    pub formula: &'static str,
    /// Why it might identify the important tokens; registered before any run.
    pub hypothesis: &'static str,
    /// Source of the measure.
    pub source: &'static str,
}

/// An unknown name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown {kind} `{name}`{}; expected one of: {}",
    did_you_mean(name, known.iter().copied()),
    known.join(", ")
)]
pub struct UnknownName {
    /// Kind of the named thing.
    pub kind: &'static str,
    /// The given name.
    pub name: String,
    /// The known names.
    pub known: &'static [&'static str],
}

/// The name among `known` that differs from `name` by a few letters, if there is one. Case is
/// ignored.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (edit_distance(&name, &known.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= known.chars().count() / 3)
        .map(|(_, known)| known)
}

/// ` (did you mean …?)` if [`nearest`] finds a name, otherwise an empty string.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |known| format!(" (did you mean `{known}`?)"))
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Defines an enum whose variants have names, with `name()`, `ALL`, `Display`, `FromStr` and
/// serde by name. For use within the workspace; callers need serde.
#[doc(hidden)]
#[macro_export]
macro_rules! named_enum {
    (
        $(#[$doc:meta])*
        pub enum $type:ident as $kind:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [$type] = &[$($type::$variant,)+];

            /// Every variant's name, in the order of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// The name in configs, flags and reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok($type::$variant),)+
                    _ => Err($crate::UnknownName {
                        kind: $kind,
                        name: name.to_owned(),
                        known: Self::NAMES,
                    }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::UnknownName;

            fn try_from(name: String) -> Result<Self, Self::Error> {
                name.parse()
            }
        }

        impl From<$type> for &'static str {
            fn from(value: $type) -> &'static str {
                value.name()
            }
        }
    };
}
pub(crate) use named_enum;

#[cfg(test)]
mod tests {
    use super::{did_you_mean, nearest};
    use crate::{HeadStrategy, Normalization, QueryStrategy};

    #[test]
    fn names_round_trip() {
        for &strategy in HeadStrategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
            let json = serde_json::to_string(&strategy).unwrap();
            assert_eq!(json, format!("\"{strategy}\""));
            assert_eq!(
                serde_json::from_str::<HeadStrategy>(&json).unwrap(),
                strategy
            );
        }
        for &strategy in QueryStrategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
    }

    #[test]
    fn the_nearest_name_is_a_third_of_its_letters_off_at_most() {
        let known = ["embedded:select", "embedded:confirm"];
        assert_eq!(nearest("embedded:selct", known), Some("embedded:select"));
        assert_eq!(nearest("Embedded:Select", known), Some("embedded:select"));
        assert_eq!(nearest("select", known), None);
        assert_eq!(nearest("b", ["a"]), None);
        assert_eq!(did_you_mean("x", known), "");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "variance_".parse::<HeadStrategy>().unwrap_err().to_string();
        assert!(
            error.contains("`variance_` (did you mean `variance`?)"),
            "{error}"
        );
        assert!(
            HeadStrategy::NAMES.iter().all(|name| error.contains(name)),
            "{error}"
        );
        let error = "l2".parse::<Normalization>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown normalization `l2`; expected one of: l1, softmax"
        );
    }
}
