//! What a machine's products are, for runs to record.

use super::level::Level;

/// How sums of products are rounded. Machines of which this is equal give equal bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Each term by one fused multiply-add.
    Fused,
    /// Each term after its product and after its sum: a processor without fused multiply-add.
    Twice,
    /// Pairs of `bf16` terms, as `vdpbf16ps` of AVX512_BF16 does it.
    Pairs,
}

impl Rounding {
    /// As it is recorded.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Fused => "fused multiply-add",
            Rounding::Twice => "multiply, then add",
            Rounding::Pairs => "vdpbf16ps",
        }
    }
}

/// How this machine rounds [`super::linear`], or where `rows_in_bf16` says so
/// [`super::linear_bf16`].
pub fn rounding(rows_in_bf16: bool) -> Rounding {
    if rows_in_bf16 && Level::has_pairs() {
        Rounding::Pairs
    } else if Level::best().is_fused() {
        Rounding::Fused
    } else {
        Rounding::Twice
    }
}

/// The instruction set that this machine's products run on.
pub fn instructions(rows_in_bf16: bool) -> &'static str {
    if rows_in_bf16 && Level::has_pairs() {
        "avx512_bf16"
    } else {
        Level::best().name()
    }
}
