//! What nothing else beats in both cost and accuracy.

/// Which of the points `(cost, value)` lie on the Pareto front: no other point costs at
/// most as much and is worth at least as much, and is better in one of them. Points that
/// are equal in both stand or fall together; one that isn't finite is never on it.
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
            (1.0, 0.5),      // cheapest
            (2.0, 0.7),      // on it
            (2.0, 0.6),      // as dear as the one before, and worse
            (3.0, 0.7),      // dearer and no better
            (4.0, 0.9),      // best
            (4.0, 0.9),      // the same again
            (f64::NAN, 1.0), // never measured
        ];
        assert_eq!(
            pareto_front(&points),
            [true, true, false, false, true, true, false]
        );
    }
}
