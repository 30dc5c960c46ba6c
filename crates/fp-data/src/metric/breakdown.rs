//! Means over groups of questions.

use std::collections::BTreeMap;

/// Sum and number of scores per group, groups in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Breakdown {
    /// Per group.
    pub groups: BTreeMap<String, GroupScore>,
}

/// Scores of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GroupScore {
    /// Sum of scores.
    pub sum: f64,
    /// Number of questions.
    pub count: usize,
}

impl GroupScore {
    /// Adds one question.
    pub fn add(&mut self, score: f64) {
        self.sum += score;
        self.count += 1;
    }

    /// Mean score; `None` without questions.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// Mean score times 100; `None` without questions.
    pub fn percent(&self) -> Option<f64> {
        self.mean().map(|mean| 100.0 * mean)
    }
}

impl Breakdown {
    /// Adds one question to its group.
    pub fn add(&mut self, group: &str, score: f64) {
        match self.groups.get_mut(group) {
            Some(scores) => scores.add(score),
            None => {
                let scores = self.groups.entry(group.to_owned()).or_default();
                scores.add(score);
            }
        }
    }

    /// Mean of a group; `None` for an unknown one.
    pub fn mean(&self, group: &str) -> Option<f64> {
        self.groups.get(group)?.mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_hand() {
        let mut breakdown = Breakdown::default();
        for (group, score) in [("number", 0.3), ("yes/no", 1.0), ("number", 0.9)] {
            breakdown.add(group, score);
        }
        assert!((breakdown.mean("number").unwrap() - 0.6).abs() < 1e-15);
        assert_eq!(breakdown.groups["yes/no"].percent(), Some(100.0));
        assert_eq!(breakdown.mean("other"), None);
        assert_eq!(GroupScore::default().mean(), None);
    }
}
