//! The Pareto front of cost and accuracy.

/// Which of the points `(cost, value)` are on the Pareto front: no other point has at most the same
/// cost and at least the same value, and is better in one of them. Of points equal in both, all or
/// none are on it; a point that isn't finite never is.
pub fn pareto_front(points: &[(f64, f64)]) -> Vec<bool> {
    let is_finite = |(cost, value): &(f64, f64)| cost.is_finite() && value.is_finite();
    points
        .iter()
        .map(|point| {
            is_finite(point)
                && !points.iter().filter(|other| is_finite(other)).any(|other| {
                    other.0 <= point.0
                        && other.1 >= point.1
                        && (other.0 < point.0 || other.1 > point.1)
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_by_hand() {
        assert!(pareto_front(&[]).is_empty());
        let points = [
            (1.0, 0.5),      // lowest cost
            (2.0, 0.7),      // on the front
            (2.0, 0.6),      // same cost as the previous one, lower value
            (3.0, 0.7),      // higher cost, same value
            (4.0, 0.9),      // highest value
            (4.0, 0.9),      // equal to the previous one
            (f64::NAN, 1.0), // not finite
        ];
        assert_eq!(
            pareto_front(&points),
            [true, true, false, false, true, true, false]
        );
    }
}
