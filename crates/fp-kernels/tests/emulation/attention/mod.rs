//! Attention over lists of sequences, each a list of runs, against the definition.

mod cases;
mod edges;
mod layer;

use cases::{layer as new_layer, layer_of, run, strided_run};
use layer::{Layer, Sequence, Shape};

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{Device, set_order};
use crate::emulation::ffi::{self, F16, F32};

/// Runs a layer in two orders of threads; the bytes must be equal.
fn in_any_order(layer: &Layer, is_decode: bool, case: &str) {
    let placed = layer.place();
    let run = || {
        if is_decode {
            placed.decode();
        } else {
            placed.prefill();
        }
        placed.rows(0..layer.num_rows)
    };
    let first = run();
    placed.check(layer, case);
    set_order(5);
    let second = run();
    set_order(0);
    assert_eq!(first, second, "{case}");
}

fn random_layers(is_decode: bool) {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 900 + u64::from(is_decode));
        for case in 0..200 {
            let _device = Device::new();
            let layer = cases::random(&mut random, case, dtype, is_decode);
            let name = format!("type {dtype}, case {case}");
            if case % 8 < 2 {
                in_any_order(&layer, is_decode, &name);
                continue;
            }
            let placed = layer.place();
            if is_decode {
                placed.decode();
            } else {
                placed.prefill();
            }
            placed.check(&layer, &name);
        }
    }
}

#[test]
fn prefill_equals_the_definition() {
    random_layers(false);
}

#[test]
fn decode_equals_the_definition() {
    random_layers(true);
}

fn causal(num_heads: usize, num_kv_heads: usize, head_dim: usize, dtype: u32) -> Shape {
    Shape {
        num_heads,
        num_kv_heads,
        head_dim,
        is_causal: true,
        dtype,
        padding: 0,
    }
}

#[test]
fn seven_query_heads_on_one_key_head() {
    for dtype in DTYPES {
        let mut random = Random::new(70);
        let _device = Device::new();
        let layer = layer_of(
            &mut random,
            causal(14, 2, 128, dtype),
            &[(40, 40), (150, 3)],
        );
        in_any_order(&layer, false, "prefill");
        let layer = layer_of(&mut random, causal(14, 2, 128, dtype), &[(40, 1), (300, 1)]);
        in_any_order(&layer, true, "decode");
    }
}

#[test]
fn lengths_of_one_and_of_three_thousand() {
    for dtype in DTYPES {
        let mut random = Random::new(71);
        let _device = Device::new();
        let shape = causal(1, 1, 64, dtype);
        let layer = layer_of(&mut random, shape, &[(1, 1), (3000, 70), (1, 1)]);
        in_any_order(&layer, false, "prefill");
        let layer = layer_of(&mut random, shape, &[(1, 1), (3000, 1), (4500, 1)]);
        in_any_order(&layer, true, "decode");
    }
}

/// Keys and values are columns of the tower's projection, without a mask.
#[test]
fn a_vision_tower_reads_its_projection() {
    for dtype in [F32, F16] {
        let mut random = Random::new(72);
        let _device = Device::new();
        let shape = Shape {
            is_causal: false,
            padding: 2 * 80,
            ..causal(1, 1, 80, dtype)
        };
        let runs = (0..2)
            .map(|_| strided_run(&mut random, &shape, 577))
            .collect();
        let sequences = (0..2)
            .map(|image| Sequence {
                rows: image * 577..(image + 1) * 577,
                first_key: 0,
                runs: vec![image],
            })
            .collect();
        let layer = new_layer(&mut random, shape, 2 * 577, runs, sequences);
        let placed = layer.place();
        placed.prefill();
        placed.check(&layer, "tower");
    }
}

/// The same keys in one run, and in runs of one key with empty runs between: the same bits.
#[test]
fn results_do_not_depend_on_the_cut_into_runs() {
    for dtype in DTYPES {
        let mut random = Random::new(73);
        for is_decode in [false, true] {
            let _device = Device::new();
            let shape = causal(2, 1, 16, dtype);
            let (len, rows) = (150, if is_decode { 1 } else { 67 });
            let whole = run(&mut random, &shape, len);
            let cut = |begin: usize, end: usize| {
                let mut part = whole.clone();
                part.len = end - begin;
                part.keys.drain(..begin * shape.head_dim);
                part.values.drain(..begin * shape.head_dim);
                part
            };
            let singles: Vec<_> = (0..len).map(|at| cut(at, at + 1)).collect();
            let uneven = vec![
                cut(0, 0),
                cut(0, 63),
                cut(63, 63),
                cut(63, 65),
                cut(65, len),
            ];
            let mut bytes = Vec::new();
            let queries = cases::numbers(&mut random, rows * shape.query_stride(), 3.0);
            for runs in [vec![whole.clone()], singles, uneven] {
                let sequence = Sequence {
                    rows: 0..rows,
                    first_key: len - rows,
                    runs: (0..runs.len()).collect(),
                };
                let mut layer = new_layer(&mut random, shape, rows, runs, vec![sequence]);
                layer.queries.clone_from(&queries);
                in_any_order(&layer, is_decode, "cut");
                let placed = layer.place();
                if is_decode {
                    placed.decode();
                } else {
                    placed.prefill();
                }
                bytes.push(placed.rows(0..rows));
            }
            assert_eq!(bytes[0], bytes[1]);
            assert_eq!(bytes[0], bytes[2]);
        }
    }
}

/// Each sequence alone, and all together.
#[test]
fn results_do_not_depend_on_company() {
    for dtype in DTYPES {
        let mut random = Random::new(74);
        for case in 0..12 {
            for is_decode in [false, true] {
                let _device = Device::new();
                let layer = cases::random(&mut random, case, dtype, is_decode);
                let together = layer.place();
                let run = |placed: &layer::Placed| {
                    if is_decode {
                        placed.decode();
                    } else {
                        placed.prefill();
                    }
                };
                run(&together);
                for sequence in &layer.sequences {
                    if sequence.rows.is_empty() {
                        continue;
                    }
                    let alone = Layer {
                        sequences: vec![sequence.clone()],
                        ..layer.clone()
                    }
                    .place();
                    run(&alone);
                    let rows = sequence.rows.clone();
                    assert_eq!(alone.rows(rows.clone()), together.rows(rows));
                }
            }
        }
    }
}

/// Rows in one prefill and in two give the same bits.
#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    for dtype in DTYPES {
        let mut random = Random::new(75);
        let _device = Device::new();
        let shape = causal(2, 1, 64, dtype);
        let whole = layer_of(&mut random, shape, &[(200, 150)]);
        let placed = whole.place();
        placed.prefill();
        for cut in [1, 31, 32, 64, 100] {
            let part = |rows: std::ops::Range<usize>| {
                let mut layer = whole.clone();
                layer.sequences[0].first_key = 50 + rows.start;
                layer.sequences[0].rows = rows.clone();
                let part = layer.place();
                part.prefill();
                part.rows(rows)
            };
            let rows = [part(0..cut), part(cut..150)].concat();
            assert_eq!(rows, placed.rows(0..150), "cut at {cut}");
        }
    }
}

/// A step of 70 sequences is two launches, a prefill one.
#[test]
fn launches_do_not_grow_with_sequences() {
    let mut random = Random::new(76);
    let _device = Device::new();
    let lengths: Vec<(usize, usize)> = (0..70).map(|i| (1 + 5 * i, 1)).collect();
    let layer = layer_of(&mut random, causal(2, 2, 32, F16), &lengths);
    let placed = layer.place();
    // SAFETY: reads a counter.
    let launches = || unsafe { ffi::fp_emulation_num_launches() };
    let before = launches();
    placed.decode();
    assert_eq!(launches() - before, 2);
    placed.check(&layer, "seventy");
    let before = launches();
    placed.prefill();
    assert_eq!(launches() - before, 1);
    placed.check(&layer, "seventy");
}
