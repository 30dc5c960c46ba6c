//! The report's figures, computed independently: from the folder's JSON lines with plain loops,
//! without the library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// The lines of a run's records.
pub(crate) struct Lines {
    pub(crate) samples: Vec<Value>,
    pub(crate) cells: Vec<String>,
}

impl Lines {
    pub(crate) fn read(folder: &Path) -> Lines {
        let text = std::fs::read_to_string(folder.join("records.jsonl")).unwrap();
        let spec = std::fs::read_to_string(folder.join("run.json")).unwrap();
        let spec: Value = serde_json::from_str(&spec).unwrap();
        let samples = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["sample"].clone())
            .collect();
        let cells = spec["grid"]["cells"].as_array().unwrap();
        Lines {
            samples,
            cells: cells
                .iter()
                .map(|cell| cell["id"].as_str().unwrap().to_owned())
                .collect(),
        }
    }

    fn run<'a>(&self, sample: &'a Value, cell: &str) -> Option<&'a Value> {
        let index = self.cells.iter().position(|id| id == cell).unwrap();
        let run = sample["cells"][index]["run"].as_u64()?;
        Some(&sample["runs"][run as usize])
    }

    pub(crate) fn score(&self, sample: &Value, cell: &str) -> Option<f64> {
        self.run(sample, cell)?["score"].as_f64()
    }

    /// Image and score of every sample that has one.
    pub(crate) fn scores(&self, cell: &str) -> Vec<(String, f64)> {
        let of = |sample: &Value| Some((image(sample), self.score(sample, cell)?));
        self.samples.iter().filter_map(of).collect()
    }

    /// Image and difference a − b of every sample that has both.
    pub(crate) fn differences(&self, a: &str, b: &str) -> Vec<(String, f64)> {
        self.samples
            .iter()
            .filter_map(|sample| {
                let difference = self.score(sample, a)? - self.score(sample, b)?;
                Some((image(sample), difference))
            })
            .collect()
    }

    pub(crate) fn kept(&self, sample: &Value, cell: &str) -> Option<BTreeSet<u64>> {
        let kept = self.run(sample, cell)?["seen"]["kept"].as_array()?;
        Some(kept.iter().map(|token| token.as_u64().unwrap()).collect())
    }

    /// Share of the pixels inside boxes whose patch of 14 pixels is kept.
    pub(crate) fn area_recall(&self, sample: &Value, cell: &str, side: u64) -> Option<f64> {
        let kept = self.kept(sample, cell)?;
        let (mut inside, mut both) = (0.0, 0.0);
        for y in 0..14 * side {
            for x in 0..14 * side {
                let in_box = sample["boxes"].as_array()?.iter().any(|corners| {
                    let at = |index: usize| corners[index].as_f64().unwrap() as u64;
                    at(0) <= x && x < at(2) && at(1) <= y && y < at(3)
                });
                if in_box {
                    inside += 1.0;
                    both += f64::from(u8::from(kept.contains(&(y / 14 * side + x / 14))));
                }
            }
        }
        (inside > 0.0).then(|| both / inside)
    }
}

pub(crate) fn image(sample: &Value) -> String {
    sample["image_id"].as_str().unwrap().to_owned()
}

pub(crate) fn mean(values: &[(String, f64)]) -> f64 {
    values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64
}

/// SE² = s²/n + n⁻² Σ over images Σ_{i≠j} (x_i − x̄)(x_j − x̄), as written.
pub(crate) fn standard_error(values: &[(String, f64)]) -> f64 {
    let (n, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|(_, x)| (x - mean) * (x - mean)).sum();
    let mut crossed = 0.0;
    for (i, (image_i, x_i)) in values.iter().enumerate() {
        for (j, (image_j, x_j)) in values.iter().enumerate() {
            if i != j && image_i == image_j {
                crossed += (x_i - mean) * (x_j - mean);
            }
        }
    }
    (squares / (n - 1.0) / n + crossed / (n * n)).sqrt()
}

/// How much one more disagreement may move a mean: the weight of a disagreement over n, from the
/// design effect and the size of disagreements, each shrunk towards its worst case.
pub(crate) fn step(values: &[(String, f64)]) -> f64 {
    let (n, mean) = (values.len() as f64, mean(values));
    let mut images: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (image, value) in values {
        let of_image = images.entry(image).or_default();
        *of_image = (of_image.0 + 1.0, of_image.1 + value - mean);
    }
    let sum = |f: &dyn Fn(f64, f64) -> f64| images.values().map(|&(m, e)| f(m, e)).sum::<f64>();
    let worst = sum(&|m, _| m * m) / n;
    let together = sum(&|m, _| m * m / (1.0 - m / n)) / n;
    let robust = sum(&|m, e| e * e / (1.0 - m / n));
    let carriers = robust * robust / (sum(&|_, e| e.powi(4)) + 1e-8);
    let telling = sum(&|m, e| e * e * ((m - 1.0) / (worst - 1.0)).min(1.0));
    let telling = if robust > 0.0 {
        telling / sum(&|_, e| e * e)
    } else {
        0.0
    };
    let squares: f64 = values.iter().map(|(_, x)| (x - mean) * (x - mean)).sum();
    let (effect, size) = if squares > 0.0 {
        let independent = n * (mean_size(values) - mean * mean);
        (
            (robust / squares).max(1.0),
            (squares / independent).min(1.0),
        )
    } else {
        (1.0, 0.0)
    };
    let pull = (-carriers * telling / 2.0).exp();
    let effect = (1.0 - pull) * effect + pull * effect.max(together);
    let pull = (-carriers / 8.0).exp();
    effect * ((1.0 - pull) * size + pull) / n
}

pub(crate) fn mean_size(values: &[(String, f64)]) -> f64 {
    values.iter().map(|(_, value)| value.abs()).sum::<f64>() / values.len() as f64
}

/// |z(δ)| of the score interval of a difference.
pub(crate) fn score(values: &[(String, f64)], delta: f64) -> f64 {
    let (size, step) = (mean_size(values), step(values));
    let side = if delta < 0.0 { -1.0 } else { 1.0 };
    let (d, delta) = (side * mean(values), side * delta);
    let b = delta * (2.0 - d) - size;
    let c = -0.5 * (size - d) * delta * (1.0 - delta);
    let q = ((b * b - 8.0 * c).sqrt() - b) / 4.0;
    let variance = step * (2.0 * q + delta * (1.0 - delta));
    ((d - delta).abs() - step / 4.0) / variance.sqrt()
}

/// Two-sided p of flipping the signs of whole numbers, one per image, from the distribution of the
/// total, built up image by image.
pub(crate) fn sign_flip_p(differences: &[(String, f64)]) -> f64 {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (image, difference) in differences {
        *sums.entry(image).or_default() += difference;
    }
    let observed = sums.values().sum::<f64>().round().abs() as i64;
    let mut distribution = BTreeMap::from([(0_i64, 1.0)]);
    for sum in sums.values() {
        let step = sum.round() as i64;
        let mut next = BTreeMap::new();
        for (total, probability) in &distribution {
            *next.entry(total + step).or_default() += 0.5 * probability;
            *next.entry(total - step).or_default() += 0.5 * probability;
        }
        distribution = next;
    }
    let extreme = distribution
        .iter()
        .filter(|(total, _)| total.abs() >= observed);
    extreme.map(|(_, probability)| probability).sum()
}

/// Holm: the i-th smallest of m is multiplied by m − i, and is at least as large as those before
/// it.
pub(crate) fn holm(p: &[f64]) -> Vec<f64> {
    (0..p.len())
        .map(|index| {
            let mut adjusted: f64 = 0.0;
            for &other in p.iter().filter(|other| **other <= p[index]) {
                let smaller = p.iter().filter(|third| **third < other).count();
                adjusted = adjusted.max((other * (p.len() - smaller) as f64).min(1.0));
            }
            adjusted
        })
        .collect()
}
