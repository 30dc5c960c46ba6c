//! Methods of cells, in the form used by grids and records.

use fp_scoring::{HeadStrategy, QueryStrategy};
use serde::{Deserialize, Serialize};

/// How a cell's image tokens are selected.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub enum Method {
    /// By a head strategy and a query strategy, after layer K.
    Strategy {
        /// Scores the heads.
        head_strategy: HeadStrategy,
        /// Selects the query rows.
        query_strategy: QueryStrategy,
        /// h, the number of top-scoring heads to average.
        num_selected_heads: usize,
    },
    /// By the heads with the highest mean score by a head strategy on the selection half; the same
    /// heads for every sample.
    Static {
        /// Scores the heads.
        head_strategy: HeadStrategy,
        /// Selects the query rows.
        query_strategy: QueryStrategy,
        /// h, the number of top-scoring heads to average.
        num_selected_heads: usize,
    },
    /// By a method of the registry; see [`fp_scoring::MethodRegistry`].
    Named {
        /// The method's name.
        name: String,
        /// The query strategy, for methods that read attention by one.
        query_strategy: Option<QueryStrategy>,
        /// The seed, for methods with random choices; each sample gets a generator of its own
        /// derived from it.
        seed: Option<u64>,
    },
}

/// The serialised form: one object with the fields that apply.
#[derive(Serialize, Deserialize)]
struct Flat {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_strategy: Option<HeadStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query_strategy: Option<QueryStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_selected_heads: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

/// Value of `method` for cells with a head strategy and a query strategy.
const STRATEGY: &str = "strategy";
/// Value of `method` for their static variants.
const STATIC: &str = "static";

impl From<Method> for Flat {
    fn from(method: Method) -> Flat {
        match method {
            Method::Strategy {
                head_strategy,
                query_strategy,
                num_selected_heads,
            } => Flat {
                method: STRATEGY.to_owned(),
                head_strategy: Some(head_strategy),
                query_strategy: Some(query_strategy),
                num_selected_heads: Some(num_selected_heads),
                seed: None,
            },
            Method::Static {
                head_strategy,
                query_strategy,
                num_selected_heads,
            } => Flat {
                method: STATIC.to_owned(),
                head_strategy: Some(head_strategy),
                query_strategy: Some(query_strategy),
                num_selected_heads: Some(num_selected_heads),
                seed: None,
            },
            Method::Named {
                name,
                query_strategy,
                seed,
            } => Flat {
                method: name,
                head_strategy: None,
                query_strategy,
                num_selected_heads: None,
                seed,
            },
        }
    }
}

impl From<Flat> for Method {
    fn from(flat: Flat) -> Method {
        match (
            flat.method.as_str(),
            flat.head_strategy,
            flat.query_strategy,
            flat.num_selected_heads,
        ) {
            (STRATEGY, Some(head_strategy), Some(query_strategy), Some(num_selected_heads)) => {
                Method::Strategy {
                    head_strategy,
                    query_strategy,
                    num_selected_heads,
                }
            }
            (STATIC, Some(head_strategy), Some(query_strategy), Some(num_selected_heads)) => {
                Method::Static {
                    head_strategy,
                    query_strategy,
                    num_selected_heads,
                }
            }
            _ => Method::Named {
                name: flat.method,
                query_strategy: flat.query_strategy,
                seed: flat.seed,
            },
        }
    }
}

impl Method {
    /// A method of the registry without further parameters.
    pub fn named(name: &str) -> Method {
        Method::Named {
            name: name.to_owned(),
            query_strategy: None,
            seed: None,
        }
    }

    /// The name in the registry; `None` for strategies.
    pub fn name(&self) -> Option<&str> {
        match self {
            Method::Strategy { .. } | Method::Static { .. } => None,
            Method::Named { name, .. } => Some(name),
        }
    }

    /// Whether it is the registry's method with this name.
    pub fn is(&self, name: &str) -> bool {
        self.name() == Some(name)
    }

    /// The query strategy; `None` for methods without one.
    pub fn query_strategy(&self) -> Option<QueryStrategy> {
        match self {
            Method::Strategy { query_strategy, .. } | Method::Static { query_strategy, .. } => {
                Some(*query_strategy)
            }
            Method::Named { query_strategy, .. } => *query_strategy,
        }
    }

    /// Whether it consists of a head strategy and a query strategy, which studies A and B vary.
    pub fn is_studied(&self) -> bool {
        matches!(self, Method::Strategy { .. })
    }

    /// h, for cells that select heads.
    pub fn num_selected_heads(&self) -> Option<usize> {
        match self {
            Method::Strategy {
                num_selected_heads, ..
            }
            | Method::Static {
                num_selected_heads, ..
            } => Some(*num_selected_heads),
            Method::Named { .. } => None,
        }
    }

    /// The name without budget and h, such as `variance+last_token` or `random/s1`.
    pub fn label(&self) -> String {
        match self {
            Method::Strategy {
                head_strategy,
                query_strategy,
                ..
            } => format!("{head_strategy}+{query_strategy}"),
            Method::Static {
                head_strategy,
                query_strategy,
                ..
            } => format!("{STATIC}:{head_strategy}+{query_strategy}"),
            Method::Named {
                name,
                query_strategy,
                seed,
            } => {
                let query = query_strategy.map_or(String::new(), |query| format!("+{query}"));
                let seed = seed.map_or(String::new(), |seed| format!("/s{seed}"));
                format!("{name}{query}{seed}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_read_as_they_are_written() {
        let strategy = Method::Strategy {
            head_strategy: HeadStrategy::Variance,
            query_strategy: QueryStrategy::LastToken,
            num_selected_heads: 4,
        };
        let fixed = Method::Static {
            head_strategy: HeadStrategy::Variance,
            query_strategy: QueryStrategy::LastToken,
            num_selected_heads: 4,
        };
        let random = Method::Named {
            name: "random".to_owned(),
            query_strategy: None,
            seed: Some(3),
        };
        for (method, json, label) in [
            (
                strategy,
                r#"{"method":"strategy","head_strategy":"variance","query_strategy":"last_token","num_selected_heads":4}"#,
                "variance+last_token",
            ),
            (
                fixed,
                r#"{"method":"static","head_strategy":"variance","query_strategy":"last_token","num_selected_heads":4}"#,
                "static:variance+last_token",
            ),
            (random, r#"{"method":"random","seed":3}"#, "random/s3"),
            (Method::named("pool"), r#"{"method":"pool"}"#, "pool"),
        ] {
            assert_eq!(serde_json::to_string(&method).unwrap(), json);
            assert_eq!(serde_json::from_str::<Method>(json).unwrap(), method);
            assert_eq!(method.label(), label);
        }
    }
}
