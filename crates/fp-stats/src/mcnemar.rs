//! McNemar's test: do two methods differ on the same questions?
//!
//! Only the questions that exactly one method answers correctly are informative: b for the first,
//! c for the second. If neither method is better, b is binomial with b + c trials and probability
//! ½. Questions on one image are not independent, so this test supplements the cluster sign-flip
//! test and does not replace it.
//!
//! Source: McNemar 1947; mid-p: Fagerland, Lydersen & Laake 2013.

use super::error::{StatsError, check_finite, check_len};

/// Numbers of questions that exactly one of two methods answers correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Discordant {
    /// Only the first is right.
    pub b: u64,
    /// Only the second is right.
    pub c: u64,
}

impl Discordant {
    /// Counts over 0/1 scores, or `None` if a score is neither 0 nor 1.
    ///
    /// # Errors
    /// Different lengths, NaN or infinity.
    pub fn count(a: &[f64], b: &[f64]) -> Result<Option<Self>, StatsError> {
        check_len("b", b.len(), a.len())?;
        check_finite("a", a)?;
        check_finite("b", b)?;
        let mut counts = Discordant { b: 0, c: 0 };
        for (&a, &b) in a.iter().zip(b) {
            if !is_binary(a) || !is_binary(b) {
                return Ok(None);
            }
            counts.b += u64::from(a > b);
            counts.c += u64::from(b > a);
        }
        Ok(Some(counts))
    }

    /// Two-sided exact p: twice the smaller binomial tail, at most 1.
    pub fn exact_p(self) -> f64 {
        (2.0 * self.smaller_tail().0).min(1.0)
    }

    /// Two-sided mid-p: outcomes as extreme as the observed one count half, so the test is less
    /// conservative.
    pub fn mid_p(self) -> f64 {
        let (tail, point) = self.smaller_tail();
        if self.b == self.c {
            // There is one outcome in the middle instead of one on either side.
            return 1.0 - 0.5 * point;
        }
        2.0 * tail - point
    }

    /// P(X ≤ m) and P(X = m) for m = min(b, c), X binomial(b + c, ½).
    fn smaller_tail(self) -> (f64, f64) {
        let (n, m) = (self.b + self.c, self.b.min(self.c));
        // C(n, m) as mantissa · 2^exponent: 2⁻ⁿ alone would underflow for n > 1074.
        let (mut mantissa, mut exponent) = (1.0_f64, 0_i64);
        for i in 1..=m {
            mantissa *= (n - m + i) as f64 / i as f64;
            if mantissa > 2.0_f64.powi(500) {
                mantissa *= 2.0_f64.powi(-500);
                exponent += 500;
            }
        }
        // Terms below m relative to the term at m, in descending order.
        let (mut sum, mut term) = (1.0, 1.0);
        for k in (1..=m).rev() {
            term *= k as f64 / (n - k + 1) as f64;
            sum += term;
            if term < sum * 1e-18 {
                break;
            }
        }
        let exponent = exponent - n as i64;
        // Two factors: a single power would underflow before it is multiplied by the mantissa.
        let half = (exponent / 2).clamp(-1100, 1100) as i32;
        let rest = (exponent - exponent / 2).clamp(-1100, 1100) as i32;
        let point = mantissa * 2.0_f64.powi(half) * 2.0_f64.powi(rest);
        (point * sum, point)
    }
}

fn is_binary(score: f64) -> bool {
    score == 0.0 || score == 1.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distribution::normal_cdf;

    #[track_caller]
    fn check_close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() <= 1e-13 * expected.abs(),
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn counts_by_hand() {
        let a = [1.0, 1.0, 0.0, 0.0, 1.0];
        let b = [1.0, 0.0, 1.0, 0.0, 0.0];
        assert_eq!(
            Discordant::count(&a, &b),
            Ok(Some(Discordant { b: 2, c: 1 }))
        );
        assert_eq!(Discordant::count(&[0.3], &[1.0]), Ok(None));
        assert!(Discordant::count(&[f64::NAN], &[1.0]).is_err());
        assert!(Discordant::count(&[1.0], &[]).is_err());
    }

    #[test]
    fn small_tables_by_hand() {
        // 6 against 1: 2·(1 + 7)/2⁷ = 1/8; the point probability is 7/128.
        let counts = Discordant { b: 6, c: 1 };
        check_close(counts.exact_p(), 0.125);
        check_close(counts.mid_p(), 0.125 - 7.0 / 128.0);
        // 2 against 2: the sum of both tails is capped at 1; mid-p is 1 − 3/16.
        let even = Discordant { b: 2, c: 2 };
        assert_eq!(even.exact_p(), 1.0);
        check_close(even.mid_p(), 1.0 - 3.0 / 16.0);
        let none = Discordant { b: 0, c: 0 };
        assert_eq!(none.exact_p(), 1.0);
        assert_eq!(Discordant { b: 0, c: 1 }.exact_p(), 1.0);
    }

    #[test]
    fn many_trials_neither_vanish_nor_overflow() {
        // All n in one direction: 2·2⁻ⁿ.
        check_close(Discordant { b: 1000, c: 0 }.exact_p(), 2.0_f64.powi(-999));
        assert_eq!(Discordant { b: 20_000, c: 0 }.exact_p(), 0.0);
        // Near the middle of 20,000 the exact test and the normal distribution, with
        // Edwards' continuity correction, agree to a few digits.
        let counts = Discordant {
            b: 9_900,
            c: 10_100,
        };
        let p = 2.0 * normal_cdf(-199.0 / 20_000.0_f64.sqrt());
        assert!(
            (counts.exact_p() - p).abs() < 1e-4,
            "{} {p}",
            counts.exact_p()
        );
    }

    proptest! {
        #[test]
        fn agrees_with_pascals_triangle(b in 0_u64..40, c in 0_u64..40) {
            let n = (b + c) as usize;
            let mut row = vec![1.0_f64];
            for _ in 0..n {
                let mut next = vec![0.0; row.len() + 1];
                for (k, value) in row.iter().enumerate() {
                    next[k] += value / 2.0;
                    next[k + 1] += value / 2.0;
                }
                row = next;
            }
            let m = b.min(c) as usize;
            let tail: f64 = row[..=m].iter().sum();
            let counts = Discordant { b, c };
            prop_assert!((counts.exact_p() - (2.0 * tail).min(1.0)).abs() < 1e-12);
            prop_assert_eq!(counts.exact_p(), Discordant { b: c, c: b }.exact_p());
            prop_assert!(counts.mid_p() <= counts.exact_p() && counts.mid_p() > 0.0);
        }
    }
}
