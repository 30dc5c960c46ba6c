//! Attention of query rows to the image against a softmax in `f64`.

use fp_kernels::cuda::{
    AttentionRows, ErrorWord, Heads, KeyStrides, QueryStrides, ScoreShape, attention_rows,
    attention_rows_workspace,
};

use crate::{Random, gpu, num_cases};

/// The attention `[H, Q, N]`.
fn reference(heads: &Heads, queries: &[f32], keys: &[f32], positions: &[u32]) -> Vec<f64> {
    let (d, s) = (heads.head_dim, heads.sequence_len);
    let group = heads.shape.num_heads / heads.num_kv_heads;
    let mut attention = Vec::new();
    for head in 0..heads.shape.num_heads {
        for (row, &position) in positions.iter().enumerate() {
            let query = &queries[(head * positions.len() + row) * d..][..d];
            let logits: Vec<f64> = (0..=position as usize)
                .map(|key| {
                    let key = &keys[(head / group * s + key) * d..][..d];
                    let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(q * k)).sum();
                    dot * f64::from(heads.scale)
                })
                .collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
            let image = heads.image_start..heads.image_start + heads.shape.num_image_tokens;
            attention.extend(image.map(|key| match logits.get(key) {
                Some(logit) => (logit - max).exp() / total,
                None => 0.0,
            }));
        }
    }
    attention
}

#[test]
fn rows_equal_a_softmax_in_f64() {
    let Some(stream) = gpu("rows_equal_a_softmax_in_f64") else {
        return;
    };
    let mut random = Random(11);
    for _ in 0..num_cases(&stream, 60) {
        let (num_kv_heads, group) = (random.between(1, 8), random.between(1, 4));
        let (before, n, after) = (
            random.between(0, 40),
            random.between(1, 900),
            random.between(1, 60),
        );
        let head_dim = 8 * random.between(1, 16);
        let num_rows = random.between(1, 6);
        let heads = Heads {
            shape: ScoreShape {
                batch_size: 1,
                num_heads: num_kv_heads * group,
                num_image_tokens: n,
            },
            num_kv_heads,
            num_rows,
            sequence_len: before + n + after,
            head_dim,
            image_start: before,
            scale: 1.0 / (head_dim as f32).sqrt(),
        };
        let mut normal =
            |count: usize| -> Vec<f32> { (0..count).map(|_| 4.0 * random.unit() - 2.0).collect() };
        let queries = normal(heads.shape.num_heads * num_rows * head_dim);
        let keys = normal(num_kv_heads * heads.sequence_len * head_dim);
        let positions: Vec<u32> = (0..num_rows)
            .map(|_| random.between(0, heads.sequence_len - 1) as u32)
            .collect();
        let expected = reference(&heads, &queries, &keys, &positions);

        let queries = stream.clone_htod(&queries).unwrap();
        let keys = stream.clone_htod(&keys).unwrap();
        let positions = stream.clone_htod(&positions).unwrap();
        let mut attention = stream.alloc_zeros::<f32>(expected.len()).unwrap();
        let bytes = attention_rows_workspace(&heads).unwrap();
        let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
        let mut error = ErrorWord::new(&stream).unwrap();
        let call = AttentionRows {
            heads,
            queries: queries.as_view(),
            query_strides: QueryStrides {
                batch: 0,
                head: num_rows * head_dim,
                row: head_dim,
            },
            keys: keys.as_view(),
            key_strides: KeyStrides {
                batch: 0,
                head: heads.sequence_len * head_dim,
                token: head_dim,
            },
            row_positions: positions.as_view(),
            weights: None,
            attention: attention.as_view_mut(),
            workspace: workspace.as_view_mut(),
            error: &mut error,
        };
        attention_rows(&stream, call).unwrap();
        error.check(&stream, "attention_rows").unwrap();
        let got = stream.clone_dtoh(&attention).unwrap();
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let tolerance = 1e-6 + 2e-5 * expected;
            let difference = (f64::from(*got) - expected).abs();
            assert!(
                difference <= tolerance,
                "{heads:?}, {index}: {got} for {expected}"
            );
        }
    }
}
