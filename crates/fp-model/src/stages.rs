//! Selection of tokens by one stage of a pruning method.

use fp_scoring::{
    AttentionNeed, AttentionRows, CoveredArea, DecoderValues, Evidence, Matrix, Merge, Needs, Rope,
    SelectError, Selected, Site, Stage, TokenSelection,
};

use crate::config::FeatureSelect;
use crate::error::Result;
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::host_values;
use crate::prefix::Prefix;
use crate::tower_evidence::{crop_evidence, vision_values};

/// Facts about a sample that selectors may read, besides the model's own values.
#[derive(Debug, Clone, Copy)]
pub struct SampleFacts<'a> {
    /// Identifies the sample; random selectors have a generator of their own for each.
    pub id: &'a str,
    /// Columns and rows of the grid of image tokens; `None` for any-resolution input.
    pub grid: Option<[usize; 2]>,
    /// How much of each token ground-truth boxes cover, or why it isn't known.
    pub covered_area: CoveredArea<'a>,
    /// Token ids of the text after the image, for selectors that read its embeddings.
    pub text_ids: Option<&'a [u32]>,
    /// Which of the N image tokens show only padding, for rules that exclude them
    /// ([`fp_scoring::PaddingMasked`]): [`crate::ModelConfig::padded_tokens`]. `None` if it isn't
    /// known; then no token is excluded.
    pub padding: Option<&'a [bool]>,
    /// The question as the user or the dataset states it, for selectors that compare it with the
    /// image by CLIP's embeddings (of its [`crate::clip_text`]).
    pub question: Option<&'a str>,
}

impl SampleFacts<'_> {
    /// Facts of a sample with only its id known.
    pub fn of(id: &str) -> SampleFacts<'_> {
        SampleFacts {
            id,
            grid: None,
            covered_area: Err("no boxes"),
            text_ids: None,
            padding: None,
            question: None,
        }
    }
}

impl LlavaModel {
    /// Runs a stage's selector on a prefix that ends at its site. `features` are the image's; the
    /// selector gets only the evidence that it needs.
    ///
    /// # Errors
    /// A selector that fails or doesn't apply to the sample; attention that can't be
    /// scored; a GPU that fails.
    pub fn select_stage(
        &self,
        prefix: &Prefix,
        stage: &Stage,
        features: &ImageFeatures,
        facts: &SampleFacts<'_>,
    ) -> Result<Selected> {
        self.select_stage_behind(prefix, None, stage, features, facts)
    }

    /// Like [`LlavaModel::select_stage`], for selectors that also read the previous layer's input:
    /// `previous` is the same sequence one layer earlier.
    ///
    /// # Errors
    /// The same.
    pub fn select_stage_behind(
        &self,
        prefix: &Prefix,
        previous: Option<&Prefix>,
        stage: &Stage,
        features: &ImageFeatures,
        facts: &SampleFacts<'_>,
    ) -> Result<Selected> {
        let layout = *prefix.layout();
        // An earlier stage may have kept fewer tokens than its limit.
        let kept = stage.kept.min(layout.num_image);
        if kept == 0 {
            return Ok(TokenSelection::all(0).into());
        }
        let selector = stage.selector_for(facts.padding);
        if let Some(rule) = selector.as_attention() {
            let options = rule.options(kept);
            let selection = prefix.select(rule.head_strategy, rule.query_strategy, &options)?;
            return Ok(Selected {
                selection: TokenSelection::from(&selection.kept_tokens),
                audit: Some(selection),
                choice: None,
            });
        }
        let needs = selector.needs();
        let places = prefix.places();
        let mut evidence = Evidence::new(layout, places, prefix.num_image_tokens(), facts.id)
            .with_grid(facts.grid)
            .with_class_token(self.config().feature_select == FeatureSelect::Full)
            .with_padding(facts.padding);
        if needs.covered_area {
            evidence = evidence.with_covered_area(facts.covered_area);
        }
        let (rows, ahead);
        match needs.attention {
            None => {}
            Some(AttentionNeed::Here) => evidence = evidence.with_attention(prefix.attention()?),
            Some(AttentionNeed::Next) => {
                rows = selector.query_rows(&layout)?;
                ahead = self.attention_ahead(prefix, &rows)?;
                let heads = self.config().text.num_heads;
                let attention = AttentionRows::causal(&ahead, &rows, heads, layout)?;
                evidence = evidence.with_attention(attention.with_layer(prefix.depth() + 1));
            }
        }
        let (read, vision);
        if let Some(known) = &features.vision {
            read = self.read_of(known, &needs)?;
            vision = vision_values(&read);
            evidence = evidence.with_vision(&vision);
        }
        let (read_of_crops, crops);
        if let Some(known) = &features.crops {
            read_of_crops = known
                .vision
                .iter()
                .map(|vision| self.read_of(vision, &needs))
                .collect::<Result<Vec<_>>>()?;
            crops = known
                .tokens
                .iter()
                .zip(&read_of_crops)
                .map(|(tokens, read)| crop_evidence(tokens, read))
                .collect::<Vec<_>>();
            evidence = evidence.with_crops(&crops);
        }
        let clip;
        if needs.clip {
            clip = self.clip_known(features, facts)?;
            if let Some(values) = clip.values() {
                evidence = evidence.with_clip(values);
            }
        }
        let (embeds, hidden);
        let width = self.config().text.hidden_size;
        if needs.embeds {
            embeds = host_values(features.embeds())?;
            if let Some(matrix) = Matrix::new(&embeds, width) {
                evidence = evidence.with_embeds(matrix);
            }
        }
        if needs.hidden {
            let image = prefix
                .hidden_states()
                .narrow(0, layout.num_system, layout.num_image)?;
            hidden = host_values(&image)?;
            if let Some(matrix) = Matrix::new(&hidden, width) {
                evidence = evidence.with_hidden(matrix);
            }
        }
        let known = self.decoder_known(prefix, previous, &needs, facts)?;
        evidence = evidence.with_decoder(self.decoder_values(&known));
        let selected = selector.select(&evidence, kept)?;
        let merge = selected.selection.merge();
        let is_of_site =
            |merge: &Merge| merge.is_before_projector() == (stage.site == Site::Vision);
        if merge.is_none_or(is_of_site) {
            return Ok(selected);
        }
        Err(SelectError::Invalid {
            reason: format!(
                "sums at the site `{}` are of {}",
                stage.site,
                match stage.site {
                    Site::Vision => "rows before the projector",
                    Site::Embeddings | Site::Layer(_) => "hidden states",
                }
            ),
        }
        .into())
    }

    /// Reads those values of the decoder that few selectors need.
    fn decoder_known(
        &self,
        prefix: &Prefix,
        previous: Option<&Prefix>,
        needs: &Needs,
        facts: &SampleFacts<'_>,
    ) -> Result<DecoderKnown> {
        let mut known = DecoderKnown::default();
        if self.config().text.rope_sections.is_none() {
            known.positions = Some(prefix.positions());
        }
        if let Some(previous) = previous.filter(|_| needs.previous_hidden) {
            let layout = previous.layout();
            let image = previous
                .hidden_states()
                .narrow(0, layout.num_system, layout.num_image)?;
            known.previous_hidden = Some(host_values(&image)?);
        }
        if let Some(ids) = facts
            .text_ids
            .filter(|ids| needs.text_embeds && !ids.is_empty())
        {
            known.text_embeds = Some(host_values(&self.decoder.embed(ids)?)?);
        }
        if needs.sequence && prefix.depth() > 0 {
            known.states = Some(host_values(&self.decoder.normed(prefix.hidden_states())?)?);
            let text = &self.config().text;
            let cache = prefix.cache.layer(prefix.depth() - 1)?;
            known.key_width = text.num_kv_heads * text.head_dim();
            known.keys = Some(cache.keys_by_token()?);
        }
        Ok(known)
    }

    fn decoder_values<'a>(&self, known: &'a DecoderKnown) -> DecoderValues<'a> {
        let text = &self.config().text;
        let matrix = |values: &'a Option<Vec<f32>>, width: usize| {
            values
                .as_ref()
                .and_then(|values| Matrix::new(values, width))
        };
        DecoderValues {
            previous_hidden: matrix(&known.previous_hidden, text.hidden_size),
            text_embeds: matrix(&known.text_embeds, text.hidden_size),
            states: matrix(&known.states, text.hidden_size),
            keys: matrix(&known.keys, known.key_width),
            // A rule can't undo the rotation of keys by several axes.
            rope: text.rope_sections.is_none().then(|| Rope {
                width: text.head_dim(),
                base: text.rope_theta,
            }),
            positions: known.positions.as_deref(),
        }
    }

    /// Rows whose attention must be read at the end of a prefix of `layout` for `stage` to select
    /// there.
    ///
    /// # Errors
    /// A sequence for which the selector has no row to read.
    pub fn rows_for_stage(
        &self,
        stage: &Stage,
        layout: &fp_scoring::TokenLayout,
    ) -> Result<Vec<usize>> {
        match stage.selector.needs().attention {
            Some(AttentionNeed::Here) => Ok(stage.selector.query_rows(layout)?),
            Some(AttentionNeed::Next) | None => Ok(Vec::new()),
        }
    }
}

/// Requested values of the decoder, on the host.
#[derive(Default)]
struct DecoderKnown {
    previous_hidden: Option<Vec<f32>>,
    text_embeds: Option<Vec<f32>>,
    states: Option<Vec<f32>>,
    keys: Option<Vec<f32>>,
    key_width: usize,
    /// Only for decoders whose positions have one axis.
    positions: Option<Vec<usize>>,
}
