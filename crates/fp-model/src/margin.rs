//! Margins of greedy decoding.

use crate::branch::Branches;

impl Branches {
    /// Smallest difference between the largest and second-largest logit over all tokens chosen for
    /// a request so far, the stop token included: rounding would have to exceed it to change the
    /// request's text. `None` before the first token, past the last request, or for a vocabulary of
    /// one.
    pub fn min_margin(&self, request: usize) -> Option<f32> {
        self.get(request)
            .map(|branch| branch.min_margin)
            .filter(|margin| margin.is_finite())
    }
}

/// Difference of the two largest logits; infinite for fewer than two.
pub(crate) fn margin(logits: &[f32]) -> f32 {
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &logit in logits {
        if logit > first {
            second = first;
            first = logit;
        } else if logit > second {
            second = logit;
        }
    }
    if second == f32::NEG_INFINITY {
        f32::INFINITY
    } else {
        first - second
    }
}

#[cfg(test)]
mod tests {
    use super::margin;

    #[test]
    fn distance_of_the_two_largest() {
        assert_eq!(margin(&[1.0, 4.0, 3.5, -2.0]), 0.5);
        assert_eq!(margin(&[4.0, 3.0]), 1.0);
        assert_eq!(margin(&[2.0, 2.0]), 0.0);
        assert_eq!(margin(&[2.0]), f32::INFINITY);
        assert_eq!(margin(&[]), f32::INFINITY);
    }
}
