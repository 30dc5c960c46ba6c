//! What can be read of the vision tower.

use std::collections::BTreeSet;

use super::parts::VisionParts;
use crate::config::{ModelConfig, VisionConfig};
use crate::error::{ModelError, Result};

/// One thing to read of the vision tower, per image.
///
/// In the shapes, P is the number of patches in row-major order, H and d the number and
/// width of the tower's heads, V = H · d the width of its hidden states. "P + 1 rows"
/// are the class token's, then the patches'; a tower without a class token has P of them, and no
/// attention of one.
///
/// **Layers are counted as transformers counts them.** A layer index l in 0..L means
/// `attentions[l]`: what happens inside layer l, whose input is `hidden_states[l]`. A
/// state index i in 0..=L means `hidden_states[i]`: the output of i layers, where 0 is
/// the embeddings after the tower's first norm (`pre_layrnorm`). So what layer l gives is
/// state l + 1. Indices from the end are resolved by [`VisionConfig::layer_index`] and
/// [`VisionConfig::state_index`]: in a tower of 24 layers, −2 is layer 22 and state 23,
/// which is what layer 22 gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VisionRead {
    /// The features as they enter the projector: `[N, V]`, N being P, or P + 1 in a model
    /// whose features have the class token.
    Features,
    /// The feature layer's output through the tower's last norm (`post_layernorm`):
    /// `[P + 1, V]`. Needs [`VisionParts::post_norm`].
    NormedFeatures,
    /// A hidden state, by its state index: `[P + 1, V]`.
    HiddenState(usize),
    /// Attention of the class token to the patches in a layer, after the softmax over all
    /// P + 1 tokens: `[H, P]`, of `f32`.
    ClassAttention(usize),
    /// Attention that each patch receives in a layer, as the mean over all P + 1 rows, the
    /// class token's included: `[H, P]`, of `f32`.
    ReceivedAttention(usize),
    /// Attention of all rows in a layer: `[H, P + 1, P + 1]`, of `f32`. Of a tower of 577
    /// tokens and 16 heads this is 21 MB per layer and image.
    Attention(usize),
    /// Queries of a layer, bias included and before any scale, heads side by side:
    /// `[P + 1, V]`.
    Queries(usize),
    /// Keys of a layer, bias included, heads side by side: `[P + 1, V]`.
    Keys(usize),
    /// Keys of a layer, as the mean over heads: `[P + 1, d]`, of `f32`.
    MeanKeys(usize),
}

impl VisionRead {
    /// The layer whose inside it looks at.
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

    /// The hidden state that it is, besides the features.
    pub(super) fn state(self) -> Option<usize> {
        match self {
            VisionRead::HiddenState(state) => Some(state),
            _ => None,
        }
    }

    /// Shape, in a model of this configuration.
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

/// What to read of the vision tower while it encodes an image: nothing, or any number of
/// [`VisionRead`]s. Nothing else is computed or held.
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
    /// Nothing.
    pub fn new() -> VisionRequest {
        VisionRequest::default()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// What is asked for, each once.
    pub fn iter(&self) -> impl Iterator<Item = VisionRead> {
        self.reads.iter().copied()
    }

    /// Values that the evidence of one image holds; those of attention and
    /// [`VisionRead::MeanKeys`] take four bytes each, the others as many as the model's
    /// hidden states do.
    pub fn num_values(&self, config: &ModelConfig) -> usize {
        self.iter()
            .map(|read| read.shape(config).iter().product::<usize>())
            .sum()
    }

    /// What a model must have loaded for this to be read of it; see
    /// [`crate::LoadOptions::vision`].
    pub fn parts(&self) -> VisionParts {
        VisionParts {
            num_layers: self.iter().map(layers_touched).max().unwrap_or(0),
            post_norm: self.reads.contains(&VisionRead::NormedFeatures),
        }
    }

    pub(super) fn contains(&self, read: VisionRead) -> bool {
        self.reads.contains(&read)
    }

    /// Whether something inside this layer is asked for.
    pub(super) fn looks_into(&self, layer: usize) -> bool {
        self.iter().any(|read| read.layer() == Some(layer))
    }

    /// Layers whose output is needed for what is asked for: hidden states, and what
    /// comes into the layers that are looked into.
    pub(super) fn num_layers_run(&self) -> usize {
        let states = self.iter().filter_map(|read| read.layer().or(read.state()));
        states.max().unwrap_or(0)
    }

    /// Checks that a tower with these parts has what is asked for.
    pub(super) fn check(
        &self,
        config: &VisionConfig,
        num_loaded: usize,
        has_post_norm: bool,
    ) -> Result<()> {
        for read in self.iter() {
            if matches!(read, VisionRead::ClassAttention(_)) && config.num_class_tokens() == 0 {
                let expected = "something else: this vision tower has no class token".to_owned();
                return Err(not_there(read, expected));
            }
            let needed = layers_touched(read);
            if needed > num_loaded {
                let expected = if needed > config.num_layers {
                    format!("something of the tower's {} layers", config.num_layers)
                } else {
                    format!(
                        "something of the {num_loaded} vision layers that are loaded \
                         (LoadOptions::vision loads more)"
                    )
                };
                return Err(not_there(read, expected));
            }
            if read == VisionRead::NormedFeatures && !has_post_norm {
                return Err(not_there(
                    read,
                    "something that doesn't need the tower's last norm, which isn't loaded \
                     (LoadOptions::vision loads it)"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Layers that have to be there for this, counted from the first; those that the
/// features take are always there.
fn layers_touched(read: VisionRead) -> usize {
    let looked_into = read.layer().map(|layer| layer.saturating_add(1));
    looked_into.or(read.state()).unwrap_or(0)
}

fn not_there(read: VisionRead, expected: String) -> ModelError {
    ModelError::InputValue {
        what: "what to read of the vision tower",
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
