//! Attention over runs of keys and values, for all layers from one table, against the CPU's.

use std::any::Any;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    AttentionPlan, AttentionTable, CudaError, ErrorWord, KeyValueRun, LayerAttention, SequenceKeys,
    attention_decode, attention_decode_workspace, attention_prefill,
};
use fp_kernels::dense::{AttentionShape, Cached, KeyValues, SequenceQueries, attention};

use crate::{Random, gpu};

const SHAPE: AttentionShape = AttentionShape {
    num_heads: 4,
    num_kv_heads: 2,
    head_dim: 16,
    scale: 0.25,
};
const WIDTH: usize = 4 * 16;
/// Width of a row of a projection: queries, keys and values.
const STRIDE: usize = WIDTH + 2 * 2 * 16;

/// A run on the host and on the device, `[H_kv, capacity, D]`.
struct Run {
    keys: Vec<f32>,
    values: Vec<f32>,
    len: usize,
    capacity: usize,
    device: Arc<(CudaSlice<f32>, CudaSlice<f32>)>,
}

impl Run {
    fn new(stream: &Arc<CudaStream>, random: &mut Random, len: usize, capacity: usize) -> Run {
        let mut numbers = || -> Vec<f32> {
            (0..SHAPE.num_kv_heads * capacity * SHAPE.head_dim)
                .map(|_| random.unit() * 2.0 - 1.0)
                .collect()
        };
        let (keys, values) = (numbers(), numbers());
        let device = Arc::new((
            stream.clone_htod(&keys).unwrap(),
            stream.clone_htod(&values).unwrap(),
        ));
        Run {
            keys,
            values,
            len,
            capacity,
            device,
        }
    }

    fn on_device(&self) -> KeyValueRun<'_, f32> {
        let owner: Arc<dyn Any + Send + Sync> = self.device.clone();
        KeyValueRun {
            keys: self.device.0.as_view(),
            values: self.device.1.as_view(),
            len: self.len,
            head_stride: self.capacity * SHAPE.head_dim,
            token_stride: SHAPE.head_dim,
            owner,
        }
    }

    fn on_host(&self) -> KeyValues<'_> {
        KeyValues {
            keys: Cached::F32(&self.keys),
            values: Cached::F32(&self.values),
            len: self.len,
            head_stride: self.capacity * SHAPE.head_dim,
        }
    }
}

/// Sequences, given by their number of rows and their runs.
fn sequences<'a>(runs: &'a [Run], all: &[(usize, &[usize])]) -> Vec<SequenceKeys<'a, f32>> {
    let mut begin = 0;
    all.iter()
        .map(|&(rows, of)| {
            let keys: usize = of.iter().map(|&run| runs[run].len).sum();
            begin += rows;
            SequenceKeys {
                rows: begin - rows..begin,
                first_key: keys - rows,
                runs: of.iter().map(|&run| runs[run].on_device()).collect(),
            }
        })
        .collect()
}

fn expected(runs: &[Run], all: &[(usize, &[usize])], queries: &[f32]) -> Vec<f32> {
    let mut begin = 0;
    let sequences: Vec<SequenceQueries<'_>> = all
        .iter()
        .map(|&(rows, of)| {
            let keys: usize = of.iter().map(|&run| runs[run].len).sum();
            begin += rows;
            SequenceQueries {
                rows: begin - rows..begin,
                runs: of.iter().map(|&run| runs[run].on_host()).collect(),
                past: Some(keys - rows),
            }
        })
        .collect();
    attention(&SHAPE, queries, STRIDE, &sequences)
}

fn compare(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= 1e-5,
            "value {at}: {got}, the CPU's {expected}"
        );
    }
}

fn table(
    stream: &Arc<CudaStream>,
    runs: &[Run],
    layers: &[Vec<(usize, &[usize])>],
) -> AttentionTable<f32> {
    let mut plan = AttentionPlan::new(stream, SHAPE).unwrap();
    for layer in layers {
        let num_rows = layer.iter().map(|(rows, _)| rows).sum();
        plan.add_layer(stream, num_rows, true, &sequences(runs, layer))
            .unwrap();
    }
    plan.upload(stream).unwrap()
}

#[test]
fn layers_of_one_table_equal_the_cpu() {
    let Some(stream) = gpu("layers_of_one_table_equal_the_cpu") else {
        return;
    };
    let mut random = Random(31);
    // A shared prefix, one from which tokens were dropped, and the sequences' own runs.
    let runs: Vec<Run> = [(40, 40), (17, 17), (5, 9), (150, 150), (1, 4), (0, 3)]
        .into_iter()
        .map(|(len, capacity)| Run::new(&stream, &mut random, len, capacity))
        .collect();
    let prefill: Vec<Vec<(usize, &[usize])>> = vec![
        vec![(5, &[0, 2][..]), (1, &[0, 5, 4][..]), (40, &[3][..])],
        vec![(5, &[1, 2][..]), (1, &[1, 4][..]), (40, &[0][..])],
    ];
    let decode: Vec<Vec<(usize, &[usize])>> = vec![
        vec![(1, &[0, 3, 2][..]), (1, &[0, 4][..]), (1, &[4][..])],
        vec![(1, &[1, 2][..]), (1, &[1, 4][..]), (1, &[2][..])],
    ];
    let mut error = ErrorWord::new(&stream).unwrap();
    for (layers, is_decode) in [(&prefill, false), (&decode, true)] {
        let table = table(&stream, &runs, layers);
        let bytes = attention_decode_workspace(&table).unwrap();
        let mut workspace = stream.alloc_zeros::<u8>(bytes).unwrap();
        for (layer, sequences) in layers.iter().enumerate() {
            let num_rows: usize = sequences.iter().map(|(rows, _)| rows).sum();
            let queries: Vec<f32> = (0..num_rows * STRIDE)
                .map(|_| random.unit() * 4.0 - 2.0)
                .collect();
            let on_device = stream.clone_htod(&queries).unwrap();
            let mut output = stream.alloc_zeros::<f32>(num_rows * WIDTH).unwrap();
            let call = LayerAttention {
                table: &table,
                layer,
                queries: on_device.as_view(),
                query_stride: STRIDE,
                output: output.as_view_mut(),
                error: &mut error,
            };
            if is_decode {
                attention_decode(&stream, call, workspace.as_view_mut()).unwrap();
            } else {
                attention_prefill(&stream, call).unwrap();
            }
            error.check(&stream, "attention").unwrap();
            let got = stream.clone_dtoh(&output).unwrap();
            compare(&got, &expected(&runs, sequences, &queries));
        }
    }
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    let Some(stream) = gpu("tables_that_contradict_themselves_are_refused") else {
        return;
    };
    let mut random = Random(32);
    let runs = [Run::new(&stream, &mut random, 8, 8)];
    let refused = |change: &dyn Fn(&mut Vec<SequenceKeys<'_, f32>>)| {
        let mut plan = AttentionPlan::new(&stream, SHAPE).unwrap();
        let mut all = sequences(&runs, &[(2, &[0][..]), (2, &[0][..])]);
        change(&mut all);
        plan.add_layer(&stream, 4, true, &all).unwrap_err()
    };
    let is_sequence = |error: CudaError, at: usize| matches!(error, CudaError::Sequence { index, .. } if index == at);
    assert!(is_sequence(refused(&|all| all[1].rows = 1..3), 1));
    assert!(is_sequence(refused(&|all| all[1].rows = 3..5), 1));
    assert!(is_sequence(refused(&|all| all[0].first_key = 7), 0));
    assert!(is_sequence(refused(&|all| all[0].runs.clear()), 0));
    assert!(matches!(
        refused(&|all| all[0].runs[0].len = 9),
        CudaError::Argument(_)
    ));
    assert!(matches!(
        refused(&|all| all[0].runs[0].token_stride = 14),
        CudaError::NotMultiple { got: 14, .. }
    ));
}
