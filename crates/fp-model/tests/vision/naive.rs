//! The vision tower as a plain `f64` reference.

use std::collections::HashMap;

use candle_core::{DType, Tensor};

/// A matrix by rows.
pub(crate) type Rows = Vec<Vec<f64>>;

/// Queries, keys and attention of one layer.
pub(crate) struct Layer {
    /// `[T, V]`.
    pub(crate) queries: Rows,
    /// `[T, V]`.
    pub(crate) keys: Rows,
    /// `[H][T, T]`.
    pub(crate) attention: Vec<Rows>,
}

/// All intermediate values of a tower.
pub(crate) struct Trace {
    /// `[L + 1][T, V]`.
    pub(crate) states: Vec<Rows>,
    pub(crate) layers: Vec<Layer>,
}

/// A tower's weights, by what follows `vision_model.` in their names.
pub(crate) struct Tower {
    pub(crate) weights: HashMap<String, (Vec<usize>, Vec<f64>)>,
    pub(crate) num_layers: usize,
    pub(crate) num_heads: usize,
    pub(crate) patch: usize,
    pub(crate) side: usize,
}

impl Tower {
    fn vector(&self, name: &str) -> &[f64] {
        &self.weights[name].1
    }

    fn linear(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (
            self.vector(&format!("{name}.weight")),
            self.vector(&format!("{name}.bias")),
        );
        let apply = |row: &Vec<f64>| {
            let outputs = weight.chunks_exact(row.len()).zip(bias);
            outputs.map(|(w, b)| dot(w, row) + b).collect()
        };
        x.iter().map(apply).collect()
    }

    pub(crate) fn norm(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (
            self.vector(&format!("{name}.weight")),
            self.vector(&format!("{name}.bias")),
        );
        let apply = |row: &Vec<f64>| {
            let n = row.len() as f64;
            let mean = row.iter().sum::<f64>() / n;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            let pairs = row.iter().zip(weight).zip(bias);
            pairs
                .map(|((v, w), b)| (v - mean) * scale * w + b)
                .collect()
        };
        x.iter().map(apply).collect()
    }

    /// The class token and the patches, with their positions.
    fn embed(&self, pixels: &Tensor) -> Rows {
        let pixels: Vec<Vec<Vec<f32>>> = pixels.to_dtype(DType::F32).unwrap().to_vec3().unwrap();
        let (kernel, patch) = (self.vector("embeddings.patch_embedding.weight"), self.patch);
        let mut rows = vec![self.vector("embeddings.class_embedding").to_vec()];
        for top in (0..self.side).step_by(patch) {
            for left in (0..self.side).step_by(patch) {
                let values: Vec<f64> = pixels
                    .iter()
                    .flat_map(|channel| &channel[top..top + patch])
                    .flat_map(|line| &line[left..left + patch])
                    .map(|&value| f64::from(value))
                    .collect();
                let filters = kernel.chunks_exact(values.len());
                rows.push(filters.map(|filter| dot(filter, &values)).collect());
            }
        }
        let width = rows[0].len();
        let positions = self.vector("embeddings.position_embedding.weight");
        for (row, position) in rows.iter_mut().zip(positions.chunks_exact(width)) {
            add(row, position);
        }
        rows
    }

    /// Runs all layers on one image `[3, side, side]`.
    pub(crate) fn run(&self, pixels: &Tensor) -> Trace {
        let mut x = self.norm("pre_layrnorm", &self.embed(pixels));
        let (mut states, mut layers) = (vec![x.clone()], Vec::new());
        for index in 0..self.num_layers {
            let name = |part: &str| format!("encoder.layers.{index}.{part}");
            let normed = self.norm(&name("layer_norm1"), &x);
            let queries = self.linear(&name("self_attn.q_proj"), &normed);
            let keys = self.linear(&name("self_attn.k_proj"), &normed);
            let values = self.linear(&name("self_attn.v_proj"), &normed);
            let width = x[0].len();
            let head_dim = width / self.num_heads;
            let mut mixed = vec![vec![0.0; width]; x.len()];
            let mut attention = Vec::new();
            for head in 0..self.num_heads {
                let part = head * head_dim..(head + 1) * head_dim;
                let weights: Rows = queries
                    .iter()
                    .map(|query| {
                        let products = keys
                            .iter()
                            .map(|key| dot(&query[part.clone()], &key[part.clone()]));
                        let scale = (head_dim as f64).sqrt();
                        softmax(&products.map(|v| v / scale).collect::<Vec<f64>>())
                    })
                    .collect();
                for (mixed, weights) in mixed.iter_mut().zip(&weights) {
                    for (weight, value) in weights.iter().zip(&values) {
                        for (out, value) in mixed[part.clone()].iter_mut().zip(&value[part.clone()])
                        {
                            *out += weight * value;
                        }
                    }
                }
                attention.push(weights);
            }
            let out = self.linear(&name("self_attn.out_proj"), &mixed);
            x.iter_mut().zip(&out).for_each(|(x, out)| add(x, out));
            let normed = self.norm(&name("layer_norm2"), &x);
            let mut inner = self.linear(&name("mlp.fc1"), &normed);
            let values = inner.iter_mut().flatten();
            values.for_each(|v| *v /= 1.0 + (-1.702 * *v).exp());
            let out = self.linear(&name("mlp.fc2"), &inner);
            x.iter_mut().zip(&out).for_each(|(x, out)| add(x, out));
            states.push(x.clone());
            layers.push(Layer {
                queries,
                keys,
                attention,
            });
        }
        Trace { states, layers }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    assert_eq!(x.len(), y.len());
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let exponentials: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let total: f64 = exponentials.iter().sum();
    exponentials.iter().map(|value| value / total).collect()
}
