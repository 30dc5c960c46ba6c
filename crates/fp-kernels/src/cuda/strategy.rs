//! Head scores that the kernels compute.

use super::error::CudaError;
use super::sys;

/// A head score that the kernels compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // fp-scoring documents the formulas
pub enum Strategy {
    Sum = sys::FP_SUM as u8,
    Variance = sys::FP_VARIANCE as u8,
    Entropy = sys::FP_ENTROPY as u8,
    MaxAttention = sys::FP_MAX_ATTENTION as u8,
    AttentionRange = sys::FP_ATTENTION_RANGE as u8,
    Sparsity = sys::FP_SPARSITY as u8,
    TopKSum = sys::FP_TOP_K_SUM as u8,
    WeightedQuality = sys::FP_WEIGHTED_QUALITY as u8,
    GiniCoefficient = sys::FP_GINI_COEFFICIENT as u8,
    MultiObjective = sys::FP_MULTI_OBJECTIVE as u8,
    GraphBased = sys::FP_GRAPH_BASED as u8,
    Hierarchical = sys::FP_HIERARCHICAL as u8,
}

impl Strategy {
    /// Whether it compares heads with each other, as [`super::compare_heads`] does.
    pub fn compares_heads(self) -> bool {
        self as u32 >= sys::FP_NUM_OWN_STRATEGIES
    }
}

/// Distinct strategies, in the order of their slots in `[B, strategies, H]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategies {
    list: Vec<Strategy>,
}

impl Strategies {
    /// Takes one or more strategies, each once.
    ///
    /// # Errors
    /// An empty list, or a duplicate.
    pub fn new(list: &[Strategy]) -> Result<Strategies, CudaError> {
        let wrong = |reason: String| CudaError::Strategies {
            op: "strategies",
            reason,
        };
        if list.is_empty() {
            return Err(wrong("no strategy given; expected at least one".to_owned()));
        }
        for (index, strategy) in list.iter().enumerate() {
            if list[..index].contains(strategy) {
                return Err(wrong(format!("{strategy:?} is named twice")));
            }
        }
        Ok(Strategies {
            list: list.to_vec(),
        })
    }

    /// Number of strategies.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// The strategies, in the order of their slots.
    pub fn as_slice(&self) -> &[Strategy] {
        &self.list
    }

    /// Whether any of them compares heads.
    pub fn compare_heads(&self) -> bool {
        self.list.iter().any(|strategy| strategy.compares_heads())
    }

    pub(super) fn raw(&self) -> sys::fp_strategies {
        let mut raw = sys::fp_strategies {
            count: self.list.len() as u32,
            ..sys::fp_strategies::default()
        };
        for (id, &strategy) in raw.id.iter_mut().zip(&self.list) {
            *id = strategy as u8;
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_order_given() {
        let strategies = Strategies::new(&[Strategy::GiniCoefficient, Strategy::Sum]).unwrap();
        let raw = strategies.raw();
        assert_eq!((raw.count, &raw.id[..2]), (2, &[8, 0][..]));
        assert!(!strategies.compare_heads());
        assert!(
            Strategies::new(&[Strategy::Hierarchical])
                .unwrap()
                .compare_heads()
        );
    }

    #[test]
    fn none_and_twice_are_errors() {
        assert!(Strategies::new(&[]).is_err());
        let error = Strategies::new(&[Strategy::Sum, Strategy::Entropy, Strategy::Sum]);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("Sum is named twice")
        );
    }
}
