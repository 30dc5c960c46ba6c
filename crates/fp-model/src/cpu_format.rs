//! Number formats that arithmetic on the CPU can be asked for, beside that of the weights.

use std::fmt;
use std::str::FromStr;

/// What rows are rounded to before they are multiplied, or what the KV cache keeps. Sums
/// and everything else are in `f32` either way.
///
/// # Examples
/// ```
/// use fp_model::CpuFormat;
///
/// assert_eq!("bf16".parse::<CpuFormat>()?, CpuFormat::Bf16);
/// assert!("f16".parse::<CpuFormat>().is_err());
/// # Ok::<(), fp_model::UnknownCpuFormat>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CpuFormat {
    /// 32 bits.
    #[default]
    F32,
    /// The upper half of them.
    Bf16,
}

/// A name that is no [`CpuFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a number format of the CPU kernels; expected one of: f32, bf16")]
pub struct UnknownCpuFormat {
    /// The name.
    pub name: String,
}

impl CpuFormat {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            CpuFormat::F32 => "f32",
            CpuFormat::Bf16 => "bf16",
        }
    }

    /// Bytes of one value.
    pub const fn bytes(self) -> usize {
        match self {
            CpuFormat::F32 => 4,
            CpuFormat::Bf16 => 2,
        }
    }
}

impl fmt::Display for CpuFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CpuFormat {
    type Err = UnknownCpuFormat;

    fn from_str(name: &str) -> Result<CpuFormat, UnknownCpuFormat> {
        [CpuFormat::F32, CpuFormat::Bf16]
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownCpuFormat {
                name: name.to_owned(),
            })
    }
}

/// How this machine rounds sums of products, for rows that are rounded to bf16 or not: what
/// is equal gives equal bits.
pub fn rounding(rows_in_bf16: bool) -> &'static str {
    fp_kernels::dense::rounding(rows_in_bf16).name()
}

/// The instruction set that they run on.
pub fn instructions(rows_in_bf16: bool) -> &'static str {
    fp_kernels::dense::instructions(rows_in_bf16)
}
