//! Where tokens are dropped, and what happens to the positions of the kept tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where tokens are dropped. Sites are ordered as in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Site {
    /// The vision tower's output, before the projector.
    Vision,
    /// The projector's output, before decoder layer 1.
    Embeddings,
    /// After this decoder layer, counted from 1.
    Layer(usize),
}

impl Site {
    /// Number of decoder layers that run before it.
    pub fn depth(self) -> usize {
        match self {
            Site::Vision | Site::Embeddings => 0,
            Site::Layer(layer) => layer,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Vision => f.write_str("vision"),
            Site::Embeddings => f.write_str("embeddings"),
            Site::Layer(layer) => write!(f, "layer {layer}"),
        }
    }
}

/// A text that isn't a site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown site `{text}`; expected one of: vision, embeddings, layer K (such as `layer 2`)")]
pub struct UnknownSite {
    /// The given text.
    pub text: String,
}

impl FromStr for Site {
    type Err = UnknownSite;

    fn from_str(text: &str) -> Result<Site, UnknownSite> {
        let unknown = || UnknownSite {
            text: text.to_owned(),
        };
        match text.trim() {
            "vision" => Ok(Site::Vision),
            "embeddings" => Ok(Site::Embeddings),
            other => {
                let layer = other.strip_prefix("layer").ok_or_else(unknown)?;
                match layer.trim().parse() {
                    Ok(0) | Err(_) => Err(unknown()),
                    Ok(layer) => Ok(Site::Layer(layer)),
                }
            }
        }
    }
}

impl TryFrom<String> for Site {
    type Error = UnknownSite;

    fn try_from(text: String) -> Result<Site, UnknownSite> {
        text.parse()
    }
}

impl From<Site> for String {
    fn from(site: Site) -> String {
        site.to_string()
    }
}

crate::named::named_enum! {
    /// Position ids of the tokens that are kept.
    pub enum PositionRule as "position rule" {
        /// Their ids in the unpruned sequence.
        Keep = "keep",
        /// 0..n − 1, at every depth for itself.
        Renumber = "renumber",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_read_as_they_are_written() {
        for site in [Site::Vision, Site::Embeddings, Site::Layer(12)] {
            assert_eq!(site.to_string().parse(), Ok(site));
        }
        assert_eq!("layer12".parse(), Ok(Site::Layer(12)));
        for wrong in ["", "layer", "layer 0", "layer -1", "Layer 2", "2"] {
            assert!(wrong.parse::<Site>().is_err(), "{wrong}");
        }
        assert!(Site::Vision < Site::Embeddings && Site::Embeddings < Site::Layer(1));
    }
}
