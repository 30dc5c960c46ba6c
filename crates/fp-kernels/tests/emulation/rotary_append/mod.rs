//! rotary_append: rotated queries, and keys and values into runs of a cache.

mod case;

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{Buffer, Device, launch, set_order, try_launch};
use crate::emulation::ffi::{self, F16, F32};
use crate::emulation::ffi_rows::{
    BAD_POSITION, BAD_SLOT, KvRun, RotaryAppendArgs, fp_emulated_rotary_append,
};
use crate::emulation::typed::{Typed, assert_near, normal_like};
use case::{Case, Sizes, angles, reference};
use fp_kernels::dense;

#[test]
fn appended_rows_equal_reference() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 1100);
        for index in 0..200 {
            let _device = Device::new();
            let sizes = Sizes::random(&mut random, index);
            let in_place = index % 2 == 0;
            let values = normal_like(&mut random, sizes.places.len() * sizes.stride(), 3.0);
            let case = Case::new(&sizes, &values, dtype, in_place);
            let before = case.projected.read();
            set_order(index as u64 % 3);
            launch(fp_emulated_rotary_append, &case.args);
            set_order(0);
            assert_eq!(case.error.found(), None);
            let wide: Vec<f64> = before.iter().copied().map(f64::from).collect();
            let (queries, runs) = reference(&sizes, &wide);
            let query_width = sizes.num_heads * sizes.head_dim;
            let after = case.projected.read();
            let got = match &case.queries {
                Some(queries) => {
                    assert_eq!(after, before, "the input");
                    queries.read()
                }
                None => {
                    let rows = || {
                        after
                            .chunks(sizes.stride())
                            .zip(before.chunks(sizes.stride()))
                    };
                    for (after, before) in rows() {
                        assert_eq!(
                            after[query_width..],
                            before[query_width..],
                            "beside queries"
                        );
                    }
                    rows()
                        .flat_map(|(row, _)| &row[..query_width])
                        .copied()
                        .collect()
                }
            };
            // Sums of two products of magnitude up to 4.5, one of which was rounded.
            assert_near(&got, &queries, dtype, 1e-6, 1e-6);
            for ((keys, values), (want_keys, want_values)) in case.runs.iter().zip(&runs) {
                assert_near(&keys.read(), want_keys, dtype, 1e-6, 1e-6);
                assert_eq!(values.wide(), *want_values);
            }
        }
    }
}

/// Equals the CPU's rotation bit for bit, and that of a row by itself.
#[test]
fn rotation_has_the_bits_of_the_cpus() {
    let mut random = Random::new(1120);
    for head_dim in [128, 20] {
        let _device = Device::new();
        let mut sizes = Sizes::random(&mut random, 0);
        (sizes.head_dim, sizes.gap) = (head_dim, 0);
        let values = normal_like(&mut random, sizes.places.len() * sizes.stride(), 3.0);
        let case = Case::new(&sizes, &values, F32, true);
        launch(fp_emulated_rotary_append, &case.args);
        let (table_cosines, table_sines) = angles(sizes.num_positions, head_dim);
        let half = head_dim / 2;
        let of_rows = |table: &[f32]| -> Vec<f32> {
            let rows = sizes.positions.iter();
            rows.flat_map(|&p| table[p as usize * half..][..half].to_vec())
                .collect()
        };
        let mut rotated = values.clone();
        let heads = sizes.num_heads + sizes.num_kv_heads;
        let (cosines, sines) = (of_rows(&table_cosines), of_rows(&table_sines));
        dense::rotate(
            &mut rotated,
            sizes.stride(),
            heads,
            head_dim,
            &cosines,
            &sines,
        );
        let got = case.projected.read();
        let (query_width, kv_width) = (sizes.num_heads * head_dim, sizes.num_kv_heads * head_dim);
        for (row, &(run, slot)) in sizes.places.iter().enumerate() {
            let want = &rotated[row * sizes.stride()..][..query_width + kv_width];
            assert_eq!(
                got[row * sizes.stride()..][..query_width],
                want[..query_width]
            );
            let keys = case.runs[run as usize].0.read();
            for head in 0..sizes.num_kv_heads {
                let at = head * sizes.capacities[run as usize] + slot as usize;
                let want = &want[query_width + head * head_dim..][..head_dim];
                assert_eq!(keys[at * head_dim..][..head_dim], *want);
            }
        }
        let last = sizes.places.len() - 1;
        let mut alone = sizes.clone();
        (alone.positions, alone.places) = (vec![sizes.positions[last]], vec![sizes.places[last]]);
        let row = &values[last * sizes.stride()..];
        let single = Case::new(&alone, row, F32, true);
        launch(fp_emulated_rotary_append, &single.args);
        assert_eq!(single.projected.read(), got[last * sizes.stride()..]);
    }
}

/// Positions up to 32,768 against f64 angles of the same f32 products.
#[test]
fn angles_of_far_positions_hold() {
    let _device = Device::new();
    let (head_dim, far) = (16, 32_768);
    let sizes = Sizes {
        num_heads: 1,
        num_kv_heads: 1,
        head_dim,
        gap: 0,
        capacities: vec![2],
        positions: vec![far - 1, far - 1000],
        places: vec![(0, 0), (0, 1)],
        num_positions: far as usize,
    };
    let values: Vec<f32> = (0..2 * sizes.stride())
        .map(|i| ((i * 7 % 13) as f32 - 6.0) / 6.0)
        .collect();
    let case = Case::new(&sizes, &values, F32, true);
    launch(fp_emulated_rotary_append, &case.args);
    let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
    let (queries, _) = reference(&sizes, &wide);
    let got = case.projected.read();
    for (row, queries) in queries.chunks(head_dim).enumerate() {
        for (at, want) in queries.iter().enumerate() {
            let got = f64::from(got[row * sizes.stride() + at]);
            assert!((got - want).abs() < 1e-6, "{got} for {want}");
        }
    }
}

#[test]
fn places_that_are_not_there_are_named_and_left_alone() {
    type Change = fn(&mut Sizes);
    let cases: [(Change, (u64, usize, usize)); 4] = [
        (|sizes| sizes.places[1] = (2, 0), (BAD_SLOT, 1, 0)),
        (|sizes| sizes.places[0] = (0, 4), (BAD_SLOT, 0, 0)),
        (
            |sizes| sizes.places[2] = (u32::MAX, u32::MAX),
            (BAD_SLOT, 2, 0),
        ),
        (|sizes| sizes.positions[1] = 10, (BAD_POSITION, 1, 0)),
    ];
    for dtype in [F32, F16] {
        for (change, found) in cases {
            let _device = Device::new();
            let mut sizes = Sizes {
                num_heads: 2,
                num_kv_heads: 1,
                head_dim: 16,
                gap: 0,
                capacities: vec![4, 5],
                positions: vec![3, 9, 0],
                places: vec![(0, 3), (1, 4), (1, 0)],
                num_positions: 10,
            };
            change(&mut sizes);
            let values = vec![0.5; 3 * sizes.stride()];
            let case = Case::new(&sizes, &values, dtype, true);
            launch(fp_emulated_rotary_append, &case.args);
            assert_eq!(case.error.found(), Some(found));
            let appended = |run: &(Typed, Typed)| {
                run.1.read().iter().filter(|&&value| value != 7.0).count() / 16
            };
            assert_eq!(case.runs.iter().map(appended).sum::<usize>(), 2);
            let row = &case.projected.read()[found.1 * sizes.stride()..][..sizes.stride()];
            assert!(
                row.iter().all(|&value| value == 0.5),
                "the row is as it was"
            );
        }
    }
}

#[test]
fn impossible_arguments_are_refused_and_short_buffers_caught() {
    let _device = Device::new();
    let mut sizes = Sizes::random(&mut Random::new(1130), 0);
    (sizes.head_dim, sizes.gap) = (16, 0);
    let values = vec![0.5; sizes.places.len() * sizes.stride()];
    let case = Case::new(&sizes, &values, F32, true);
    let status = |change: &dyn Fn(&mut RotaryAppendArgs)| {
        let mut args = case.args;
        change(&mut args);
        try_launch(fp_emulated_rotary_append, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.run_table = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.num_rows = 0).0, -2);
    assert_eq!(status(&|args| args.num_runs = 0).0, -2);
    assert_eq!(status(&|args| args.head_dim = 15).0, -2);
    assert_eq!(status(&|args| args.projected_stride -= 1).0, -2);
    assert_eq!(status(&|args| args.query_stride -= 4).0, -2);
    assert_eq!(status(&|args| args.head_dim = 258).0, -3);
    assert_eq!(status(&|args| args.num_kv_heads = args.num_heads + 1).0, -3);
    assert_eq!(status(&|args| args.dtype = 3).0, -4);
    let short = Typed::writable(&values[1..], F32);
    let (code, fault) = status(&|args| {
        args.projected = short.ptr();
        args.queries = short.mut_ptr();
    });
    assert_eq!(code, ffi::EMULATION_FAULT);
    assert!(fault.contains("outside its buffer"), "{fault}");
    // A run whose capacity is smaller than the table says.
    let small: Vec<KvRun> = sizes
        .capacities
        .iter()
        .map(|&capacity| KvRun {
            keys: Typed::output(sizes.num_kv_heads * capacity * 16 - 16, F32).mut_ptr(),
            values: Typed::output(0, F32).mut_ptr(),
            capacity: capacity as u64,
        })
        .collect();
    let table = Buffer::input(&small);
    let (_, fault) = status(&|args| args.run_table = table.ptr());
    assert!(
        fault.contains("write of 16 bytes outside its buffer"),
        "{fault}"
    );
}
