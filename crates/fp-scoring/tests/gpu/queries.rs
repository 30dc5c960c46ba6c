//! Query strategies: combine rows of one sample to one row per head.

use fp_scoring::cuda::{self, DeviceRows};
use fp_scoring::{AttentionRows, QueryStrategy, TokenLayout, image_attention};

use crate::{Random, gpu, num_cases};

#[test]
fn every_query_strategy_combines_as_on_the_cpu() {
    let Some(stream) = gpu("every_query_strategy_combines_as_on_the_cpu") else {
        return;
    };
    let mut random = Random(23);
    for _ in 0..num_cases(&stream, 120) {
        let layout = TokenLayout {
            num_system: random.between(0, 40),
            num_image: random.between(1, 700),
            num_text: random.between(1, 60),
        };
        let num_heads = random.between(1, 12);
        for &strategy in QueryStrategy::ALL {
            let rows = strategy.rows_needed(&layout).unwrap();
            let values = random.attention(num_heads * rows.len(), layout.num_image);
            let host = AttentionRows::causal(&values, &rows, num_heads, layout).unwrap();
            let (expected, audit) = image_attention(&host, strategy).unwrap();

            // cudarc refuses an empty buffer; no kernel reads this one then.
            let padded = if values.is_empty() {
                &[0.0][..]
            } else {
                &values
            };
            let uploaded = stream.clone_htod(padded).unwrap();
            let device = DeviceRows {
                values: uploaded.slice(..values.len()),
                rows: &rows,
                num_heads,
                layout,
            };
            let got = cuda::image_attention(&stream, &device, strategy).unwrap();
            let got_audit = got.audit().unwrap();
            assert_eq!(got_audit.rows, audit.rows, "{strategy}");
            assert_eq!(got_audit.branch, audit.branch, "{strategy}");
            for (got, expected) in got_audit.weights.iter().zip(&audit.weights) {
                assert!(
                    (got - expected).abs() <= 1e-12,
                    "{strategy}: {got} for {expected}"
                );
            }
            let got = stream.clone_dtoh(&got.values()).unwrap();
            assert_eq!(got.len(), expected.len(), "{strategy}");
            for (got, expected) in got.iter().zip(&expected) {
                // Summed in f64 and rounded to f32 once.
                let difference = (f64::from(*got) - expected).abs();
                assert!(
                    difference <= 1e-7 * expected.abs() + 1e-30,
                    "{strategy}, {layout:?}: {got} for {expected}"
                );
            }
        }
    }
}

/// Rows combined among other rows give the same bits as on their own.
#[test]
fn rows_of_other_strategies_change_nothing() {
    let Some(stream) = gpu("rows_of_other_strategies_change_nothing") else {
        return;
    };
    let mut random = Random(29);
    for _ in 0..num_cases(&stream, 60) {
        let layout = TokenLayout {
            num_system: random.between(0, 20),
            num_image: random.between(1, 300),
            num_text: random.between(2, 40),
        };
        let num_heads = random.between(1, 8);
        let all: Vec<usize> = (layout.num_system..layout.sequence_len()).collect();
        for &strategy in QueryStrategy::ALL {
            let needed = strategy.rows_needed(&layout).unwrap();
            if needed.is_empty() {
                continue;
            }
            // All required rows, and about a third of the others.
            let rows: Vec<usize> = all
                .iter()
                .copied()
                .filter(|row| needed.contains(row) || random.between(0, 2) == 0)
                .collect();
            let n = layout.num_image;
            let values = random.attention(num_heads * rows.len(), n);
            let mut alone = Vec::new();
            for head in values.chunks(rows.len() * n) {
                for (row, values) in rows.iter().zip(head.chunks(n)) {
                    if needed.contains(row) {
                        alone.extend_from_slice(values);
                    }
                }
            }
            let combined = |rows: &[usize], values: &[f32]| {
                let uploaded = stream.clone_htod(values).unwrap();
                let device = DeviceRows {
                    values: uploaded.as_view(),
                    rows,
                    num_heads,
                    layout,
                };
                let got = cuda::image_attention(&stream, &device, strategy).unwrap();
                let audit = got.audit().unwrap();
                (stream.clone_dtoh(&got.values()).unwrap(), audit)
            };
            let (expected, audit) = combined(&needed, &alone);
            let (got, got_audit) = combined(&rows, &values);
            assert_eq!(got, expected, "{strategy}, {layout:?}");
            assert_eq!(got_audit, audit, "{strategy}");
        }
    }
}
