//! greedy: the next token in greedy decoding, its margin, and whether logits are finite.

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{Buffer, Device, launch, set_order, try_launch};
use crate::emulation::ffi::{self, F32};
use crate::emulation::ffi_rows::{GreedyArgs, GreedyChoice, fp_emulated_greedy};
use crate::emulation::typed::{Typed, normal_like};

fn args(
    logits: &Typed,
    choices: &Buffer<GreedyChoice>,
    shape: (usize, usize),
    dtype: u32,
) -> GreedyArgs {
    GreedyArgs {
        logits: logits.ptr(),
        choices: choices.mut_ptr(),
        batch_size: shape.0 as u32,
        vocabulary: shape.1 as u32,
        dtype,
    }
}

fn choose(logits: &Typed, shape: (usize, usize), dtype: u32) -> Vec<GreedyChoice> {
    let choices = Buffer::output(shape.0);
    launch(fp_emulated_greedy, &args(logits, &choices, shape, dtype));
    choices.read()
}

/// By sorting, ignoring NaN.
fn expected(logits: &[f32]) -> GreedyChoice {
    let mut order: Vec<usize> = (0..logits.len())
        .filter(|&i| logits[i] > f32::NEG_INFINITY)
        .collect();
    order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap().then(a.cmp(&b)));
    GreedyChoice {
        token: order.first().map_or(0, |&best| best as u32),
        margin: match order[..] {
            [first, second, ..] => logits[first] - logits[second],
            _ => f32::INFINITY,
        },
        is_finite: logits.iter().all(|logit| logit.is_finite()).into(),
    }
}

/// V up to 160,000, sometimes with the largest value twice, also at the very end.
#[test]
fn choices_equal_reference() {
    const SIZES: [usize; 11] = [1, 2, 3, 7, 31, 1023, 4097, 32_000, 32_064, 128_257, 160_000];
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 1000);
        for index in 0..200 {
            let _device = Device::new();
            let vocabulary = match SIZES.get(index) {
                Some(&size) => size,
                None => random.between(1, 700),
            };
            let batch_size = if vocabulary > 700 {
                1
            } else {
                random.between(1, 5)
            };
            let mut logits = normal_like(&mut random, batch_size * vocabulary, 6.0);
            for row in logits.chunks_mut(vocabulary) {
                let place = |random: &mut Random| random.below(row.len());
                match index % 6 {
                    0 => row[place(&mut random)] = 20.0,
                    1 => {
                        // Ties, which coarse values contain anyway.
                        let (a, b) = (place(&mut random), place(&mut random));
                        (row[a], row[b]) = (20.0, 20.0);
                    }
                    2 => row[row.len() - 1] = 20.0,
                    3 => row.iter_mut().for_each(|logit| *logit = logit.floor()),
                    4 => row.iter_mut().for_each(|logit| *logit = -logit.abs() - 1.0),
                    _ => {}
                }
            }
            let shift = [0, 0, 1][index % 3];
            let logits = Typed::shifted(&logits, dtype, shift);
            let got = choose(&logits, (batch_size, vocabulary), dtype);
            let values = logits.read();
            let want: Vec<GreedyChoice> = values.chunks(vocabulary).map(expected).collect();
            assert_eq!(got, want, "case {index}, V = {vocabulary}");
        }
    }
}

#[test]
fn what_is_not_finite_is_flagged_where_it_is() {
    let mut random = Random::new(1010);
    for dtype in DTYPES {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let _device = Device::new();
            let shape = (4, 3000);
            let mut logits = normal_like(&mut random, shape.0 * shape.1, 6.0);
            for (row, at) in [(1, 0), (2, 2999), (3, 1234)] {
                logits[row * shape.1 + at] = bad;
            }
            let logits = Typed::input(&logits, dtype);
            set_order(5);
            let got = choose(&logits, shape, dtype);
            set_order(0);
            assert_eq!(got, choose(&logits, shape, dtype));
            let want: Vec<GreedyChoice> = logits.read().chunks(shape.1).map(expected).collect();
            assert_eq!(got, want);
            assert_eq!(
                got.iter().map(|c| c.is_finite).collect::<Vec<_>>(),
                [1, 0, 0, 0]
            );
        }
    }
    let _device = Device::new();
    let none = Typed::input(&[f32::NAN, f32::NEG_INFINITY], F32);
    let choice = choose(&none, (1, 2), F32)[0];
    assert_eq!(
        (choice.token, choice.margin, choice.is_finite),
        (0, f32::INFINITY, 0)
    );
    let only = Typed::input(&[-7.0], F32);
    assert_eq!(choose(&only, (1, 1), F32)[0], expected(&[-7.0]));
}

#[test]
fn impossible_arguments_are_refused_and_short_buffers_caught() {
    let _device = Device::new();
    let logits = Typed::input(&[0.5; 40], F32);
    let choices = Buffer::output(2);
    let base = args(&logits, &choices, (2, 20), F32);
    let status = |change: &dyn Fn(&mut GreedyArgs)| {
        let mut args = base;
        change(&mut args);
        try_launch(fp_emulated_greedy, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.choices = std::ptr::null_mut()).0, -1);
    assert_eq!(status(&|args| args.batch_size = 0).0, -2);
    assert_eq!(status(&|args| args.vocabulary = 0).0, -2);
    assert_eq!(status(&|args| args.vocabulary = 1 << 25).0, -3);
    assert_eq!(status(&|args| args.dtype = 4).0, -4);
    for change in [
        |args: &mut GreedyArgs| args.vocabulary += 1,
        |args: &mut GreedyArgs| (args.batch_size, args.vocabulary) = (4, 10),
    ] {
        let (code, fault) = status(&change);
        assert_eq!(code, ffi::EMULATION_FAULT);
        assert!(fault.contains("outside its buffer"), "{fault}");
    }
}
