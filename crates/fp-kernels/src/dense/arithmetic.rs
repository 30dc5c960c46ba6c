//! How a machine rounds its products, for run records.

use super::level::Level;

/// How sums of products are rounded. Machines with the same rounding give equal bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Each term is one fused multiply-add.
    Fused,
    /// Each term is rounded after the multiplication and after the addition: a processor without
    /// fused multiply-add.
    Twice,
    /// Pairs of `bf16` terms, rounded as by `vdpbf16ps` of AVX512_BF16.
    Pairs,
}

impl Rounding {
    /// The name in run records.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Fused => "fused multiply-add",
            Rounding::Twice => "multiply, then add",
            Rounding::Pairs => "vdpbf16ps",
        }
    }
}

/// How this machine rounds [`super::linear`], or, if `rows_in_bf16`, [`super::linear_bf16`].
pub fn rounding(rows_in_bf16: bool) -> Rounding {
    if rows_in_bf16 && Level::has_pairs() {
        Rounding::Pairs
    } else if Level::best().is_fused() {
        Rounding::Fused
    } else {
        Rounding::Twice
    }
}

/// The instruction set that this machine's products use.
pub fn instructions(rows_in_bf16: bool) -> &'static str {
    if rows_in_bf16 && Level::has_pairs() {
        "avx512_bf16"
    } else {
        Level::best().name()
    }
}

/// Limits this module's operations to an instruction set, `portable`, `avx2` or `avx512`, for
/// comparisons of speed; call it before the first operation. Returns whether they use it.
#[must_use]
pub fn limit_instructions(name: &str) -> bool {
    Level::limit(name)
}
