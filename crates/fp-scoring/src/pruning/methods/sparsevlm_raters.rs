//! SparseVLM's raters: the text tokens whose attention rates the image tokens.
//!
//! Computed once, on the decoder's input embeddings: M = V·Tᵀ without scale or positions; softmax
//! over the text tokens, mean over the visual tokens; raters are the text tokens above the mean
//! of that. "Text" is everything after the image, including the prompt's fixed words. Shapes:
//! `projected` [N, P], `text` [T, P]. Source: SparseVLMs @ 26a5f48813c4,
//! `modelling_sparse_llama.py`.
//!
//! If no token is above the mean (all are equal, or there is only one) the authors' code takes
//! the mean of an empty set; refused here.

use crate::pruning::published::choice::codes;
use crate::pruning::published::dense::softmax;
use crate::pruning::published::shared::PROJECTED;
use crate::pruning::published::{
    Dense, InputCard, MethodChoice, MethodInputs, MethodParams, ParamValue, PublishedCard,
    PublishedError, PublishedMethod, PublishedStage,
};
use crate::{Evidence, PlanSetting, PositionRule, SelectError};

/// The text tokens whose attention rates the image tokens.
#[derive(Debug)]
pub struct SparseVlmRaters;

static CARD: PublishedCard = PublishedCard {
    name: "sparsevlm_raters",
    summary: "which text tokens rate, for sparsevlm and sparsevlm_plus; prunes nothing",
    site: "embeddings",
    formula: "m_t = mean_v softmax_t(V T'); raters: m_t > mean m",
    inputs: &[
        PROJECTED,
        InputCard {
            name: "text",
            shape: "[T, P]",
            summary: "embeddings of the text tokens after the image",
        },
    ],
    params: &[],
    presets: &[],
    paper: "SparseVLM, ICML 2025",
    source: "Gumpest/SparseVLMs @ 26a5f48813c4, llava/model/language_model/modelling_sparse_llama.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "fixed words behind the question, such as ASSISTANT:, can be raters",
        "without a token above the mean the code averages nothing; refused here",
    ],
};

impl PublishedMethod for SparseVlmRaters {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        _params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let visual = inputs.matrix("projected")?;
        let text = inputs.matrix("text")?;
        if text.num_columns() != visual.num_columns() {
            return Err(PublishedError::TensorShape {
                tensor: "text".to_owned(),
                found: vec![text.num_rows(), text.num_columns()],
                expected: format!("{} columns, as `projected` has", visual.num_columns()),
            });
        }
        let raters = sparsevlm_raters(&visual, &text)?;
        Ok(MethodChoice {
            kept: codes(&raters),
            picked: None,
            has_class_token: false,
            extras: Vec::new(),
            rows: None,
            selection: None,
        })
    }

    fn runs_in_models(&self) -> bool {
        false
    }

    fn stages(
        &self,
        _params: &MethodParams,
        _setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        Err(PublishedError::NotInModel {
            method: CARD.name,
            reason: "it chooses text tokens and prunes nothing; sparsevlm and sparsevlm_plus \
                     find their raters by it",
        })
    }
}

/// The raters among the rows of `text` `[T, P]`, ascending, for the visual rows `[N, P]`.
///
/// # Errors
/// No row is above the mean.
pub fn sparsevlm_raters(visual: &Dense, text: &Dense) -> Result<Vec<usize>, SelectError> {
    let products = visual.products(text);
    let rows = products.rows().map(|row| {
        let mut row = row.to_vec();
        softmax(&mut row);
        row
    });
    let shares = Dense::from_rows(rows.collect(), text.num_rows()).column_means();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let raters: Vec<usize> = (0..shares.len()).filter(|&t| shares[t] > mean).collect();
    if raters.is_empty() {
        return Err(SelectError::NotApplicable {
            reason: "sparsevlm: no text token after the image stands out from the others, so \
                     there is no rater"
                .to_owned(),
        });
    }
    Ok(raters)
}

/// The raters of a sample.
pub(super) fn found_raters(evidence: &Evidence<'_>) -> Result<ParamValue, PublishedError> {
    let visual = Dense::from(evidence.embeds()?);
    let text = Dense::from(evidence.text_embeds()?);
    Ok(ParamValue::Counts(sparsevlm_raters(&visual, &text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let visual = Dense::new(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        let text = Dense::new(vec![2.0, 0.0, 0.0, 0.0, 1.9, 1.9], 2).unwrap();
        // Softmax over text: 0.490, 0.066, 0.444 and 0.115, 0.115, 0.770; means 0.303, 0.091,
        // 0.607, of which only the last exceeds 1/3.
        assert_eq!(sparsevlm_raters(&visual, &text).unwrap(), [2]);
        let text = Dense::new(vec![2.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2).unwrap();
        // 0.665, 0.090, 0.245 and 0.212, 0.212, 0.576; means 0.438, 0.151, 0.411.
        assert_eq!(sparsevlm_raters(&visual, &text).unwrap(), [0, 2]);
        let one = Dense::new(vec![1.0, 2.0], 2).unwrap();
        assert!(sparsevlm_raters(&visual, &one).is_err());
    }
}
