//! Evidence that can be read from the vision tower.

use std::collections::BTreeSet;

use super::parts::VisionParts;
use crate::config::{ModelConfig, VisionConfig};
use crate::error::{ModelError, Result};

/// One kind of evidence to read from the vision tower, per image.
///
/// In the shapes, P is the number of patches in row-major order, H and d the number and width of
/// the tower's heads, V = H · d the width of its hidden states. "P + 1 rows" are the class token's,
/// then the patches'; a tower without a class token has only P rows and no class attention.
///
/// **Layers are counted as in transformers.** A layer index l in 0..L means `attentions[l]`: the
/// inside of layer l, whose input is `hidden_states[l]`. A state index i in 0..=L means
/// `hidden_states[i]`: the output of i layers, where 0 is the embeddings after the tower's first
/// norm (`pre_layrnorm`). So the output of layer l is state l + 1. Indices from the end are
/// resolved by [`VisionConfig::layer_index`] and [`VisionConfig::state_index`]: in a tower of 24
/// layers, −2 is layer 22 and state 23, the output of layer 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VisionRead {
    /// The features as they enter the projector: `[N, V]`; N is P, or P + 1 in a model whose
    /// features include the class token.
    Features,
    /// The feature layer's output through the tower's last norm (`post_layernorm`):
    /// `[P + 1, V]`. Needs [`VisionParts::post_norm`].
    NormedFeatures,
    /// A hidden state, by its state index: `[P + 1, V]`.
    HiddenState(usize),
    /// Attention of the class token to the patches in a layer, after the softmax over all P + 1
    /// tokens: `[H, P]`, in `f32`.
    ClassAttention(usize),
    /// Attention that each patch receives in a layer, as the mean over all P + 1 rows, the class
    /// token's included: `[H, P]`, in `f32`.
    ReceivedAttention(usize),
    /// Attention of all rows in a layer: `[H, P + 1, P + 1]`, in `f32`. For a tower of 577 tokens
    /// and 16 heads this is 21 MB per layer and image.
    Attention(usize),
    /// Queries of a layer, bias included and before any scale, heads side by side:
    /// `[P + 1, V]`.
    Queries(usize),
    /// Keys of a layer, bias included, heads side by side: `[P + 1, V]`.
    Keys(usize),
    /// Keys of a layer, as the mean over heads: `[P + 1, d]`, in `f32`.
    MeanKeys(usize),
}

impl VisionRead {
    /// The layer inside which it is read, if any.
    pub(super) fn layer(self) -> Option<usize> {
        match self {
            VisionRead::ClassAttention(layer)
            | VisionRead::ReceivedAttention(layer)
            | VisionRead::Attention(layer)
            | VisionRead::Queries(layer)
            | VisionRead::Keys(layer)
            | VisionRead::MeanKeys(layer) => Some(layer),
            VisionRead::Features | VisionRead::NormedFeatures | VisionRead::HiddenState(_) => None,
        }
    }

    /// The hidden state that it is, if it is one other than the features.
    pub(super) fn state(self) -> Option<usize> {
        match self {
            VisionRead::HiddenState(state) => Some(state),
            _ => None,
        }
    }

    /// Shape in a model with this configuration.
    pub fn shape(self, config: &ModelConfig) -> Vec<usize> {
        let vision = &config.vision;
        let (patches, heads, width) = (vision.num_patches(), vision.num_heads, vision.hidden_size);
        let tokens = vision.num_tokens();
        match self {
            VisionRead::Features => vec![config.tokens_per_square(), width],
            VisionRead::NormedFeatures
            | VisionRead::HiddenState(_)
            | VisionRead::Queries(_)
            | VisionRead::Keys(_) => vec![tokens, width],
            VisionRead::ClassAttention(_) | VisionRead::ReceivedAttention(_) => {
                vec![heads, patches]
            }
            VisionRead::Attention(_) => vec![heads, tokens, tokens],
            VisionRead::MeanKeys(_) => vec![tokens, width / heads],
        }
    }
}

/// Evidence to read from the vision tower while it encodes an image: any number of [`VisionRead`]s,
/// or none. Nothing else is computed or kept.
///
/// # Examples
/// ```
/// use fp_model::{Preset, VisionRead, VisionRequest};
///
/// let config = Preset::Llava15With7b.config();
/// let layer = config.vision.layer_index(-2)?;
/// let request = VisionRequest::from_iter([
///     VisionRead::ClassAttention(layer),
///     VisionRead::MeanKeys(layer),
/// ]);
/// assert_eq!(layer, 22);
/// assert_eq!(request.num_values(&config), 16 * 576 + 577 * 64);
/// # Ok::<(), fp_model::ModelError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisionRequest {
    reads: BTreeSet<VisionRead>,
}

impl VisionRequest {
    /// An empty request.
    pub fn new() -> VisionRequest {
        VisionRequest::default()
    }

    /// Whether nothing is requested.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// The requested evidence, each kind once.
    pub fn iter(&self) -> impl Iterator<Item = VisionRead> {
        self.reads.iter().copied()
    }

    /// Number of values in the evidence of one image. Those of attention and
    /// [`VisionRead::MeanKeys`] take four bytes each, the others as many as in the model's hidden
    /// states.
    pub fn num_values(&self, config: &ModelConfig) -> usize {
        self.iter()
            .map(|read| read.shape(config).iter().product::<usize>())
            .sum()
    }

    /// Parts that a model must have loaded for this request; see [`crate::LoadOptions::vision`].
    pub fn parts(&self) -> VisionParts {
        VisionParts {
            num_layers: self.iter().map(layers_touched).max().unwrap_or(0),
            post_norm: self.reads.contains(&VisionRead::NormedFeatures),
        }
    }

    pub(super) fn contains(&self, read: VisionRead) -> bool {
        self.reads.contains(&read)
    }

    /// Whether something inside this layer is requested.
    pub(super) fn looks_into(&self, layer: usize) -> bool {
        self.iter().any(|read| read.layer() == Some(layer))
    }

    /// Number of layers whose output is needed: for requested hidden states, and as input of layers
    /// that are read inside.
    pub(super) fn num_layers_run(&self) -> usize {
        let states = self.iter().filter_map(|read| read.layer().or(read.state()));
        states.max().unwrap_or(0)
    }

    /// Checks that a tower with these parts can provide the requested evidence.
    pub(super) fn check(
        &self,
        config: &VisionConfig,
        num_loaded: usize,
        has_post_norm: bool,
    ) -> Result<()> {
        for read in self.iter() {
            if matches!(read, VisionRead::ClassAttention(_)) && config.num_class_tokens() == 0 {
                let expected = "other evidence: this vision tower has no class token".to_owned();
                return Err(not_there(read, expected));
            }
            let needed = layers_touched(read);
            if needed > num_loaded {
                let expected = if needed > config.num_layers {
                    format!("evidence from the tower's {} layers", config.num_layers)
                } else {
                    format!(
                        "evidence from the {num_loaded} vision layers that are loaded \
                         (LoadOptions::vision loads more)"
                    )
                };
                return Err(not_there(read, expected));
            }
            if read == VisionRead::NormedFeatures && !has_post_norm {
                return Err(not_there(
                    read,
                    "evidence that doesn't need the tower's last norm, which isn't loaded \
                     (LoadOptions::vision loads it)"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Number of layers, from the first on, that must be loaded for `read`; those that features need
/// always are.
fn layers_touched(read: VisionRead) -> usize {
    let looked_into = read.layer().map(|layer| layer.saturating_add(1));
    looked_into.or(read.state()).unwrap_or(0)
}

fn not_there(read: VisionRead, expected: String) -> ModelError {
    ModelError::InputValue {
        what: "the evidence to read from the vision tower",
        found: format!("{read:?}"),
        expected,
    }
}

impl FromIterator<VisionRead> for VisionRequest {
    fn from_iter<T: IntoIterator<Item = VisionRead>>(reads: T) -> VisionRequest {
        VisionRequest {
            reads: reads.into_iter().collect(),
        }
    }
}

impl Extend<VisionRead> for VisionRequest {
    fn extend<T: IntoIterator<Item = VisionRead>>(&mut self, reads: T) {
        self.reads.extend(reads);
    }
}
