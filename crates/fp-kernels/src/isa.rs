//! Instruction sets that the CPU operations are compiled for.

use std::sync::OnceLock;

/// An instruction set. All give the same bits; they differ only in speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// The compiler's baseline for the target.
    Portable,
    /// AVX2, eight `f32` at a time.
    Avx2,
    /// AVX-512 (F, VL, DQ, BW), sixteen `f32` at a time.
    Avx512,
}

impl Isa {
    /// The widest one that this machine supports, detected once.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available().pop().unwrap_or(Isa::Portable))
    }

    /// All that this machine supports, narrowest first.
    pub fn available() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut available = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                available.push(Isa::Avx2);
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    available.push(Isa::Avx512);
                }
            }
        }
        available
    }

    /// `self` if this machine supports it, otherwise the best one that it supports.
    pub(crate) fn or_best(self) -> Isa {
        let best = Isa::best();
        if (self as u8) <= (best as u8) {
            self
        } else {
            best
        }
    }
}

/// Defines `fn $name(isa, args…)`, which runs `$body(args…)` compiled for `isa`.
///
/// `$body` must be `#[inline(always)]`: it is compiled for the instruction set of the function
/// that it is inlined into.
macro_rules! instantiate {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<$generic:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$doc])*
        $vis fn $name $(<$generic: $bound>)? (isa: $crate::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                match isa.or_best() {
                    // SAFETY: `or_best` returns only instruction sets detected on this machine.
                    $crate::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::Isa::Portable => {}
                }
            }
            let _ = isa;
            $body($($arg),*)
        }
    };
}
pub(crate) use instantiate;
