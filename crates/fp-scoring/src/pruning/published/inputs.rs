//! Tensors by name.

use std::collections::BTreeMap;

use super::{Dense, PublishedError};

/// The tensors that a method reads, by name, with only finite values.
#[derive(Debug, Clone, Default)]
pub struct MethodInputs {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl MethodInputs {
    /// Adds a tensor, row-major.
    ///
    /// # Errors
    /// Values that don't fill the shape, an empty tensor, a value that isn't finite, or a
    /// duplicate name.
    pub fn insert(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        values: Vec<f64>,
    ) -> Result<(), PublishedError> {
        let len = shape
            .iter()
            .try_fold(1_usize, |len, side| len.checked_mul(*side));
        if len != Some(values.len()) || values.is_empty() {
            return Err(PublishedError::TensorShape {
                tensor: name.to_owned(),
                found: shape,
                expected: format!("{} values, and not none", values.len()),
            });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(PublishedError::NotFinite {
                tensor: name.to_owned(),
                index: index_of(at, &shape),
                value: values[at],
            });
        }
        match self.tensors.insert(name.to_owned(), (shape, values)) {
            None => Ok(()),
            Some(_) => Err(PublishedError::TensorTwice {
                tensor: name.to_owned(),
            }),
        }
    }

    fn get(&self, name: &'static str) -> Result<&(Vec<usize>, Vec<f64>), PublishedError> {
        self.tensors
            .get(name)
            .ok_or_else(|| PublishedError::MissingTensor {
                tensor: name,
                given: self.tensors.keys().cloned().collect(),
            })
    }

    /// A one-dimensional tensor.
    ///
    /// # Errors
    /// It is missing, or has another number of dimensions.
    pub fn vector(&self, name: &'static str) -> Result<&[f64], PublishedError> {
        let (shape, values) = self.get(name)?;
        match shape.as_slice() {
            [_] => Ok(values),
            _ => Err(dimensions(name, shape, "one dimension")),
        }
    }

    /// A two-dimensional tensor.
    ///
    /// # Errors
    /// It is missing, or has another number of dimensions.
    pub fn matrix(&self, name: &'static str) -> Result<Dense, PublishedError> {
        let (shape, values) = self.get(name)?;
        let wrong = || dimensions(name, shape, "two dimensions");
        match shape.as_slice() {
            [_, columns] => Dense::new(values.clone(), *columns).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// A two-dimensional tensor of attention after a softmax.
    ///
    /// # Errors
    /// As [`MethodInputs::matrix`], and a negative value.
    pub fn attention(&self, name: &'static str) -> Result<Dense, PublishedError> {
        let matrix = self.matrix(name)?;
        let (shape, values) = self.get(name)?;
        match values.iter().position(|value| *value < 0.0) {
            None => Ok(matrix),
            Some(at) => Err(PublishedError::Negative {
                tensor: name,
                index: index_of(at, shape),
                value: values[at],
            }),
        }
    }

    /// A three-dimensional tensor, as one matrix per index of the first dimension.
    ///
    /// # Errors
    /// It is missing, or has another number of dimensions.
    pub fn matrices(&self, name: &'static str) -> Result<Vec<Dense>, PublishedError> {
        let (shape, values) = self.get(name)?;
        let wrong = || dimensions(name, shape, "three dimensions");
        match shape.as_slice() {
            [_, rows, columns] => values
                .chunks_exact(rows * columns)
                .map(|part| Dense::new(part.to_vec(), *columns).ok_or_else(wrong))
                .collect(),
            _ => Err(wrong()),
        }
    }

    /// Refuses a tensor whose number of rows or values contradicts the other tensors.
    pub(crate) fn check_rows(
        &self,
        name: &'static str,
        found: usize,
        expected: usize,
        why: &str,
    ) -> Result<(), PublishedError> {
        if found == expected {
            return Ok(());
        }
        Err(PublishedError::TensorShape {
            tensor: name.to_owned(),
            found: self.get(name)?.0.clone(),
            expected: format!("{expected} along the first dimension, {why}"),
        })
    }
}

fn dimensions(name: &str, found: &[usize], expected: &str) -> PublishedError {
    PublishedError::TensorShape {
        tensor: name.to_owned(),
        found: found.to_vec(),
        expected: expected.to_owned(),
    }
}

fn index_of(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (place, side) in index.iter_mut().zip(shape).rev() {
        *place = at % side;
        at /= side;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(shape: [usize; 2], values: Vec<f64>) -> MethodInputs {
        let mut inputs = MethodInputs::default();
        inputs.insert("a", shape.to_vec(), values).unwrap();
        inputs
    }

    #[test]
    fn negative_attention_is_refused() {
        let text = |values| {
            inputs([2, 2], values)
                .attention("a")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            text(vec![0.5, 0.5, -0.25, 1.0]),
            "tensor `a` has the value -0.25 at index [1, 0]; after a softmax it is finite and \
             not negative"
        );
        assert!(inputs([1, 2], vec![0.0, -0.0]).attention("a").is_ok());
    }

    #[test]
    fn wrong_rows_are_refused_with_the_whole_shape() {
        let found = inputs([3, 2], vec![0.0; 6]);
        let error = found.check_rows("a", 3, 4, "one per patch").unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor `a` has the shape [3, 2]; expected 4 along the first dimension, one per patch"
        );
        assert_eq!(found.check_rows("a", 3, 3, ""), Ok(()));
    }
}
