//! Singular values of small matrices, accurate to rounding even where they are 0.
//!
//! The square roots of a Gram matrix's eigenvalues would be off by 1e-8 there, which would affect
//! entropies. Instead the matrix is reduced to a triangular one by Householder reflections, and its
//! columns are made orthogonal by rotations (one-sided Jacobi). Source: Golub & Van Loan, "Matrix
//! computations", 5.2 and 8.6.

use crate::metric::MetricError;

/// Pairs with a smaller cosine are not rotated.
const ORTHOGONAL: f64 = 1e-15;

/// Number of sweeps by which Jacobi's method has long converged.
const MAX_SWEEPS: usize = 60;

/// Singular values of a matrix given by its rows, in descending order; as many as the smaller of
/// its dimensions.
///
/// # Errors
/// No rows, rows of different lengths, NaN or infinity.
pub fn singular_values(rows: &[Vec<f64>]) -> Result<Vec<f64>, MetricError> {
    let width = check_matrix(rows)?;
    // As many vectors as the shorter dimension, each of the length of the longer one.
    let mut vectors: Vec<Vec<f64>> = if rows.len() <= width {
        rows.to_vec()
    } else {
        (0..width)
            .map(|j| rows.iter().map(|row| row[j]).collect())
            .collect()
    };
    triangulate(&mut vectors);
    orthogonalize(&mut vectors);
    let mut values: Vec<f64> = vectors.iter().map(|vector| norm(vector)).collect();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(values)
}

/// exp of the entropy of s/Σs: the effective rank (Roy & Vetterli 2007).
///
/// # Errors
/// Only zeros, or NaN.
pub fn effective_rank(singular_values: &[f64]) -> Result<f64, MetricError> {
    let total: f64 = singular_values.iter().sum();
    if total.is_nan() || total <= 0.0 {
        return Err(MetricError::Undefined {
            what: "the effective rank",
            reason: "all singular values are 0",
        });
    }
    Ok(exp_entropy(singular_values.iter().map(|s| s / total)))
}

/// exp(−Σ p ln p).
pub(super) fn exp_entropy(p: impl Iterator<Item = f64>) -> f64 {
    (-p.filter(|p| *p > 0.0).map(|p| p * p.ln()).sum::<f64>()).exp()
}

/// Checks a matrix; returns the common length of its rows.
pub(super) fn check_matrix(rows: &[Vec<f64>]) -> Result<usize, MetricError> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 {
        return Err(MetricError::Empty { what: "features" });
    }
    for row in rows {
        if row.len() != width {
            return Err(MetricError::LengthMismatch {
                what: "features of a token",
                expected: width,
                got: row.len(),
            });
        }
        if let Some(&value) = row.iter().find(|value| !value.is_finite()) {
            return Err(MetricError::OutOfRange {
                name: "a feature",
                value,
                expected: "a finite number",
            });
        }
    }
    Ok(width)
}

/// Replaces n vectors of length m ≥ n, the columns of a matrix, by the columns of its triangular
/// factor: of length n, with the same singular values.
fn triangulate(columns: &mut [Vec<f64>]) {
    let n = columns.len();
    for step in 0..n {
        let mut reflector = columns[step][step..].to_vec();
        let length = norm(&reflector);
        if length > 0.0 {
            // The sign that avoids cancellation: the first entry grows.
            reflector[0] += length.copysign(reflector[0]);
            let squared = dot(&reflector, &reflector);
            for column in &mut columns[step..] {
                let tail = &mut column[step..];
                let factor = 2.0 * dot(&reflector, tail) / squared;
                add_scaled(tail, &reflector, -factor);
            }
        }
    }
    for (index, column) in columns.iter_mut().enumerate() {
        // Entries below the diagonal are only rounding errors.
        column[index + 1..].fill(0.0);
        column.truncate(n);
    }
}

/// Rotates pairs of vectors until all are orthogonal; their lengths are then the
/// singular values.
fn orthogonalize(columns: &mut [Vec<f64>]) {
    for _ in 0..MAX_SWEEPS {
        let mut is_orthogonal = true;
        for second in 1..columns.len() {
            let (before, after) = columns.split_at_mut(second);
            let b = &mut after[0];
            for a in before {
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                if ab.abs() <= ORTHOGONAL * (aa * bb).sqrt() {
                    continue;
                }
                is_orthogonal = false;
                let zeta = (bb - aa) / (2.0 * ab);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                for (a, b) in a.iter_mut().zip(b.iter_mut()) {
                    (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                }
            }
        }
        if is_orthogonal {
            break;
        }
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn add_scaled(a: &mut [f64], b: &[f64], factor: f64) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += factor * b;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-13,
                "{got} instead of {expected}"
            );
        }
    }

    #[test]
    fn small_matrices_by_hand() {
        check_close(
            &singular_values(&[vec![3.0, 0.0], vec![0.0, -4.0]]).unwrap(),
            &[4.0, 3.0],
        );
        // (1 1; 1 1) has rank one: 2 and 0.
        check_close(
            &singular_values(&[vec![1.0, 1.0], vec![1.0, 1.0]]).unwrap(),
            &[2.0, 0.0],
        );
        // AᵀA = (2 1; 1 2): eigenvalues 3 and 1, for both orientations.
        let wide = [vec![1.0, 0.0, 1.0], vec![0.0, 1.0, 1.0]];
        let tall = [vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        check_close(&singular_values(&wide).unwrap(), &[3.0_f64.sqrt(), 1.0]);
        check_close(&singular_values(&tall).unwrap(), &[3.0_f64.sqrt(), 1.0]);
        check_close(&singular_values(&[vec![0.0, 0.0]]).unwrap(), &[0.0]);
    }

    #[test]
    fn effective_ranks_by_hand() {
        assert!((effective_rank(&[2.0, 2.0, 2.0, 0.0]).unwrap() - 3.0).abs() < 1e-14);
        // ½, ¼, ¼ have entropy 1.5 ln 2.
        assert!((effective_rank(&[4.0, 2.0, 2.0]).unwrap() - 8.0_f64.sqrt()).abs() < 1e-14);
        assert!(effective_rank(&[0.0]).is_err());
    }

    #[test]
    fn impossible_matrices_are_errors() {
        assert!(singular_values(&[]).is_err());
        assert!(singular_values(&[vec![]]).is_err());
        assert!(singular_values(&[vec![1.0], vec![1.0, 2.0]]).is_err());
        assert!(singular_values(&[vec![f64::NAN]]).is_err());
    }

    proptest! {
        #[test]
        fn invariants_of_singular_values(
            (width, values) in (1_usize..7).prop_flat_map(|width| {
                (Just(width), proptest::collection::vec(-1.0_f64..1.0, width..8 * width))
            }),
        ) {
            let rows: Vec<Vec<f64>> = values.chunks_exact(width).map(<[f64]>::to_vec).collect();
            let got = singular_values(&rows).unwrap();
            prop_assert_eq!(got.len(), rows.len().min(width));
            prop_assert!(got.is_sorted_by(|a, b| a >= b));
            // The sum of their squares equals that of the entries, the sum of their fourth powers
            // that of the Gram matrix: two independent traces.
            let squares: f64 = rows.iter().map(|row| dot(row, row)).sum();
            prop_assert!((got.iter().map(|s| s * s).sum::<f64>() - squares).abs() < 1e-12);
            let gram = |a: &Vec<f64>| rows.iter().map(|b| dot(a, b).powi(2)).sum::<f64>();
            let fourth: f64 = rows.iter().map(gram).sum();
            prop_assert!((got.iter().map(|s| s.powi(4)).sum::<f64>() - fourth).abs() < 1e-11);
        }

        #[test]
        fn a_repeated_row_adds_a_zero(row in proptest::collection::vec(0.1_f64..1.0, 3..6)) {
            let scaled = row.iter().map(|value| 3.0 * value).collect();
            let got = singular_values(&[row, scaled]).unwrap();
            prop_assert!(got[1] < 1e-14 * got[0], "{got:?}");
        }
    }
}
