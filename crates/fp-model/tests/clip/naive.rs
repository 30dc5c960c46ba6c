//! CLIP's text tower as a plain `f64` reference: whole segments, including padding and mask.

use candle_core::DType;

use super::tiny::{CONTEXT, HEADS, LAYERS, TinyClip, WIDTH};

type Rows = Vec<Vec<f64>>;

/// The embedding of each segment of a text's ids.
pub(crate) fn text_embeds(clip: &TinyClip, ids: &[u32]) -> Rows {
    let text = &clip.config["text_config"];
    let is_quick = text["hidden_act"] != "gelu";
    let eos = text["eos_token_id"].as_u64().unwrap() as u32;
    let mut padded = ids.to_vec();
    while !padded.len().is_multiple_of(CONTEXT) {
        padded.push(0);
    }
    let segments = padded.chunks(CONTEXT).enumerate();
    segments
        .map(|(index, segment)| {
            let real = ids.len().saturating_sub(index * CONTEXT).min(CONTEXT);
            let states = run(clip, segment, real, is_quick);
            let pooled = if eos == 2 {
                let largest = segment.iter().max().unwrap();
                segment.iter().position(|id| id == largest).unwrap()
            } else {
                segment.iter().position(|id| *id == eos).unwrap_or(0)
            };
            let row = norm(clip, "text_model.final_layer_norm", &states[pooled]);
            let weight = rows(clip, "text_projection.weight");
            weight.iter().map(|w| dot(w, &row)).collect()
        })
        .collect()
}

/// States after the last layer; tokens from `real` on are padding.
fn run(clip: &TinyClip, ids: &[u32], real: usize, is_quick: bool) -> Rows {
    let tokens = rows(clip, "text_model.embeddings.token_embedding.weight");
    let positions = rows(clip, "text_model.embeddings.position_embedding.weight");
    let embedded = ids.iter().zip(&positions);
    let mut x: Rows = embedded
        .map(|(id, position)| add(&tokens[*id as usize], position))
        .collect();
    for layer in 0..LAYERS {
        let name = |part: &str| format!("text_model.encoder.layers.{layer}.{part}");
        let normed: Rows = x
            .iter()
            .map(|r| norm(clip, &name("layer_norm1"), r))
            .collect();
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|part| {
            let name = name(&format!("self_attn.{part}"));
            normed
                .iter()
                .map(|r| linear(clip, &name, r))
                .collect::<Rows>()
        });
        let width = WIDTH / HEADS;
        for row in 0..x.len() {
            let mut mixed = Vec::new();
            for head in 0..HEADS {
                let part = head * width..(head + 1) * width;
                let is_seen = |key: usize| key <= row && key < real;
                let scores: Vec<f64> = (0..x.len())
                    .map(|key| match is_seen(key) {
                        true => {
                            let product = dot(&q[row][part.clone()], &k[key][part.clone()]);
                            (product / (width as f64).sqrt()).exp()
                        }
                        false => 0.0,
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                for column in part {
                    let values = scores.iter().zip(&v);
                    mixed.push(values.map(|(s, v)| s / total * v[column]).sum());
                }
            }
            x[row] = add(&x[row], &linear(clip, &name("self_attn.out_proj"), &mixed));
        }
        for row in &mut x {
            let normed = norm(clip, &name("layer_norm2"), row);
            let inner: Vec<f64> = linear(clip, &name("mlp.fc1"), &normed)
                .into_iter()
                .map(|x| {
                    if is_quick {
                        x / (1.0 + (-1.702 * x).exp())
                    } else {
                        gelu(x)
                    }
                })
                .collect();
            *row = add(row, &linear(clip, &name("mlp.fc2"), &inner));
        }
    }
    x
}

/// x · Φ(x), with Φ by the series of the error function.
fn gelu(x: f64) -> f64 {
    let z = x / 2.0_f64.sqrt();
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    x * 0.5 * (1.0 + 2.0 / std::f64::consts::PI.sqrt() * sum)
}

pub(crate) fn rows(clip: &TinyClip, name: &str) -> Rows {
    let tensor = clip.tensors[name].to_dtype(DType::F64).unwrap();
    tensor.to_vec2().unwrap()
}

fn vector(clip: &TinyClip, name: &str) -> Vec<f64> {
    let tensor = clip.tensors[name].to_dtype(DType::F64).unwrap();
    tensor.to_vec1().unwrap()
}

fn linear(clip: &TinyClip, name: &str, x: &[f64]) -> Vec<f64> {
    let bias = vector(clip, &format!("{name}.bias"));
    let weight = rows(clip, &format!("{name}.weight"));
    weight
        .iter()
        .zip(bias)
        .map(|(w, b)| dot(w, x) + b)
        .collect()
}

fn norm(clip: &TinyClip, name: &str, x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let scale = (variance + 1e-5).sqrt();
    let weight = vector(clip, &format!("{name}.weight"));
    let bias = vector(clip, &format!("{name}.bias"));
    let both = weight.iter().zip(bias);
    x.iter()
        .zip(both)
        .map(|(v, (w, b))| (v - mean) / scale * w + b)
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
