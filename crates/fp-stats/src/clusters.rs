//! Clusters of samples that share an image, which are correlated and resampled together.

use std::collections::HashMap;

use super::error::{StatsError, check_len};

/// The cluster of each sample, numbered densely in order of first appearance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// `[samples]`, number of the sample's cluster.
    of_sample: Vec<u32>,
    /// `[clusters]`, number of samples in each.
    sizes: Vec<u32>,
}

impl Clusters {
    /// Groups samples by label; a label may be any number.
    ///
    /// # Errors
    /// No samples at all.
    pub fn new(labels: &[usize]) -> Result<Self, StatsError> {
        if labels.is_empty() {
            return Err(StatsError::Empty { what: "clusters" });
        }
        let mut number_of = HashMap::new();
        let mut sizes: Vec<u32> = Vec::new();
        let of_sample = labels
            .iter()
            .map(|label| {
                let number = *number_of.entry(*label).or_insert(sizes.len() as u32);
                if number as usize == sizes.len() {
                    sizes.push(0);
                }
                sizes[number as usize] += 1;
                number
            })
            .collect();
        Ok(Clusters { of_sample, sizes })
    }

    /// Every sample as its own cluster.
    ///
    /// # Errors
    /// No samples at all.
    #[cfg(test)]
    pub(crate) fn singletons(num_samples: usize) -> Result<Self, StatsError> {
        Self::new(&(0..num_samples).collect::<Vec<_>>())
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Always false: a set of clusters holds at least one sample.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Number of samples.
    pub fn num_samples(&self) -> usize {
        self.of_sample.len()
    }

    /// `[clusters]`, number of samples in each.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// `[samples]`, the number of each sample's cluster.
    pub fn of_samples(&self) -> &[u32] {
        &self.of_sample
    }

    /// `[clusters]`, the sum of `values` in each.
    ///
    /// # Errors
    /// A number of values that differs from the number of samples.
    pub fn sums(&self, values: &[f64]) -> Result<Vec<f64>, StatsError> {
        check_len("values", values.len(), self.num_samples())?;
        let mut sums = vec![0.0; self.len()];
        for (value, &cluster) in values.iter().zip(&self.of_sample) {
            sums[cluster as usize] += value;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbered_by_first_appearance() {
        let clusters = Clusters::new(&[90, 7, 90, 3]).unwrap();
        assert_eq!(clusters.of_samples(), [0, 1, 0, 2]);
        assert_eq!(clusters.sizes(), [2, 1, 1]);
        assert_eq!(
            clusters.sums(&[1.0, 2.0, 4.0, 8.0]).unwrap(),
            [5.0, 2.0, 8.0]
        );
        assert!(matches!(
            clusters.sums(&[1.0]),
            Err(StatsError::LengthMismatch {
                expected: 4,
                got: 1,
                ..
            })
        ));
        assert_eq!(
            Clusters::new(&[]),
            Err(StatsError::Empty { what: "clusters" })
        );
        assert_eq!(Clusters::singletons(3).unwrap().sizes(), [1, 1, 1]);
    }
}
