//! How attention rows become distributions.

use crate::named::named_enum;

named_enum! {
    /// How a head's attention row `a` becomes the distribution `p` that entropy,
    /// sparsity, weighted_quality and the Gini coefficient are taken of.
    pub enum Normalization as "normalization" {
        /// p = a / Σ a, the distribution of the attention over the image.
        L1 = "l1",
        /// p = softmax(a), as the original study had it: nearly degenerate, since
        /// `a` went through a softmax already.
        Softmax = "softmax",
    }
}

impl From<Normalization> for fp_kernels::Normalization {
    fn from(normalization: Normalization) -> Self {
        match normalization {
            Normalization::L1 => fp_kernels::Normalization::L1,
            Normalization::Softmax => fp_kernels::Normalization::Softmax,
        }
    }
}
