//! Instruction sets of the dense arithmetic.

use std::sync::OnceLock;

/// The level that operations use.
static BEST: OnceLock<Level> = OnceLock::new();

/// Vector width and whether multiply-add is fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The compiler's baseline for the target.
    Portable,
    /// AVX2 with FMA and F16C, which every such processor has.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The widest one that this machine supports, detected once, or the one it was limited to.
    pub(crate) fn best() -> Level {
        *BEST.get_or_init(|| Level::available().pop().unwrap_or(Level::Portable))
    }

    /// Limits [`Level::best`] to the level of this name. Returns whether it is that level now.
    pub(crate) fn limit(name: &str) -> bool {
        let named = Level::available()
            .into_iter()
            .find(|level| level.name() == name);
        named.is_some_and(|level| *BEST.get_or_init(|| level) == level)
    }

    /// All that this machine supports, narrowest first.
    pub(crate) fn available() -> Vec<Level> {
        #[allow(unused_mut)]
        let mut available = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            available.push(Level::Avx2);
            if is_x86_feature_detected!("avx512f") {
                available.push(Level::Avx512);
            }
        }
        available
    }

    /// Whether this machine multiplies pairs of `bf16` (AVX512_BF16), in blocks of as many rows
    /// as for AVX-512.
    pub(crate) fn has_pairs() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            Level::best() == Level::Avx512 && is_x86_feature_detected!("avx512bf16")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// Name of the instruction set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// Whether its multiply-add rounds once.
    pub(crate) fn is_fused(self) -> bool {
        match self {
            Level::Portable => BASELINE_FUSED,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => true,
        }
    }

    /// Rows that one block of the matrix kernel holds in registers.
    pub(crate) const fn block_rows(self) -> usize {
        match self {
            Level::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 6,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 12,
        }
    }
}

/// `a · b + c`, rounded once if `FUSED`.
///
/// Without hardware support a fused multiply-add is a slow library call, which
/// is why the portable build of x86 rounds twice.
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Whether the compiler's baseline has fused multiply-add.
pub(crate) const BASELINE_FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// Defines `fn $name(level, args…)`, which runs `$body::<FUSED>(args…)` compiled for `level`;
/// `$body` must be `#[inline(always)]`.
macro_rules! for_level {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::dense::level::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
            match level {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Level` above `Portable` exists only where it was detected.
                $crate::dense::level::Level::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::dense::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                $crate::dense::level::Level::Portable => {
                    $body::<{ $crate::dense::level::BASELINE_FUSED }>($($arg),*)
                }
            }
        }
    };
}
pub(crate) use for_level;
