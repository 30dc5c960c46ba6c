//! Rankings by score, ties to the lower index.

/// Indices of `scores` in descending order of score.
pub(crate) fn descending(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// The `count` highest of `scores` among `candidates`, ascending; candidates are ascending.
pub(crate) fn best(scores: &[f64], candidates: &[usize], count: usize) -> Vec<usize> {
    let mut order = candidates.to_vec();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}
