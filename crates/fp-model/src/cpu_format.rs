//! Number formats for arithmetic on the CPU, independent of the weights' format.

use std::fmt;
use std::str::FromStr;

/// Number format to which rows are rounded before they are multiplied, or in which the KV cache is
/// stored. Sums and everything else are in `f32` either way.
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
    /// 16 bits: the upper half of an `f32`.
    Bf16,
}

/// A name that isn't a [`CpuFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a number format of the CPU kernels; expected one of: f32, bf16")]
pub struct UnknownCpuFormat {
    /// The name.
    pub name: String,
}

impl CpuFormat {
    /// The name, as it is parsed.
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

/// Name of the way in which this machine rounds sums of products, with or without rows in bf16:
/// machines with equal names give equal bits.
pub fn rounding(rows_in_bf16: bool) -> &'static str {
    fp_kernels::dense::rounding(rows_in_bf16).name()
}

/// Name of the instruction set that matrix products run on.
pub fn instructions(rows_in_bf16: bool) -> &'static str {
    fp_kernels::dense::instructions(rows_in_bf16)
}
