//! Layer K's attention combined by one query strategy, scored on the device that computed it.

use fp_scoring::{
    HeadStrategy, ImageAttention, QueryAudit, QueryStrategy, SelectOptions, Selection,
    image_attention, score_all, select,
};

use crate::error::Result;
use crate::prefix::Prefix;

/// Head strategies to score together, with the same h and R.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// The strategies.
    pub head_strategies: Vec<HeadStrategy>,
    /// Normalisation, h and R.
    pub options: SelectOptions,
}

/// One row of attention per head, `[H, N]`; on a GPU if the prefix's attention is there.
#[derive(Debug)]
pub struct CombinedAttention<'a> {
    prefix: &'a Prefix,
    rows: Combined,
}

#[derive(Debug)]
enum Combined {
    Host(Vec<f64>, QueryAudit),
    #[cfg(feature = "cuda")]
    Device(Box<crate::gpu::DeviceCombined>),
}

impl Prefix {
    /// The attention of the rows that `query` reads, combined into one row per head.
    ///
    /// # Errors
    /// Rows whose attention wasn't read for the prefix, values that no softmax gives (on a GPU
    /// reported by scoring and [`CombinedAttention::audit`] instead), a GPU that fails.
    pub fn combine(&self, query: QueryStrategy) -> Result<CombinedAttention<'_>> {
        #[cfg(feature = "cuda")]
        if let Some(attention) = self.on_device() {
            return Ok(CombinedAttention {
                prefix: self,
                rows: Combined::Device(Box::new(attention.combine(query)?)),
            });
        }
        let (values, audit) = image_attention(&self.attention()?, query)?;
        Ok(CombinedAttention {
            prefix: self,
            rows: Combined::Host(values, audit),
        })
    }

    /// The audited selection by one pair of strategies.
    ///
    /// # Errors
    /// Those of [`Prefix::combine`], and attention that can't be scored.
    pub fn select(
        &self,
        head: HeadStrategy,
        query: QueryStrategy,
        options: &SelectOptions,
    ) -> Result<Selection> {
        #[cfg(feature = "cuda")]
        if let Some(attention) = self.on_device() {
            return attention.select(head, query, options);
        }
        Ok(select(&self.attention()?, head, query, options)?)
    }

    /// Layer K's attention, if it is on a GPU.
    #[cfg(feature = "cuda")]
    fn on_device(&self) -> Option<crate::gpu::LayerAttention<'_>> {
        Some(crate::gpu::LayerAttention {
            values: self.attention.on_device()?,
            rows: &self.rows,
            num_heads: self.num_heads,
            layout: self.standing.layout,
        })
    }
}

impl CombinedAttention<'_> {
    /// The selections of each request, in order. On a GPU everything is enqueued before the first
    /// result is read, and only the results are copied to the host.
    pub fn score(&self, requests: &[ScoreRequest]) -> Vec<Result<Vec<Selection>>> {
        let (heads, tokens) = (self.prefix.num_heads, self.prefix.layout().num_image);
        match &self.rows {
            Combined::Host(values, _) => requests
                .iter()
                .map(|request| {
                    let attention = ImageAttention::new(values, heads, tokens)?;
                    let chosen = score_all(&attention, &request.head_strategies, &request.options);
                    Ok(chosen?)
                })
                .collect(),
            #[cfg(feature = "cuda")]
            Combined::Device(combined) => combined.score(
                requests
                    .iter()
                    .map(|request| (request.head_strategies.as_slice(), &request.options)),
            ),
        }
    }

    /// The rows that the strategy read, and their weights.
    ///
    /// # Errors
    /// On a GPU: attention that no softmax gives, or a GPU that fails.
    pub fn audit(&self) -> Result<QueryAudit> {
        match &self.rows {
            Combined::Host(_, audit) => Ok(audit.clone()),
            #[cfg(feature = "cuda")]
            Combined::Device(combined) => combined.audit(),
        }
    }
}
