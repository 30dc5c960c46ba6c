//! gather_tokens and gather_positions.

use crate::emulation::cases::Random;
use crate::emulation::device::{Buffer, Device, ErrorWord, launch, set_order, try_launch};
use crate::emulation::ffi::{self, GatherPositionsArgs, GatherTokensArgs};

struct Sizes {
    batch_size: usize,
    outer: usize,
    row_bytes: usize,
    num_system: usize,
    n: usize,
    num_text: usize,
    kept: Vec<Vec<u32>>,
    /// Bytes after each `[S, row]` of the source.
    padding: usize,
}

impl Sizes {
    fn random(random: &mut Random, case: usize) -> Sizes {
        let n = random.between(1, 80);
        let num_kept = random.between(1, n);
        let batch_size = random.between(1, 3);
        let pick = |random: &mut Random| {
            let mut left = num_kept;
            (0..n as u32)
                .filter(|&token| {
                    let is_kept = random.below(n - token as usize) < left;
                    left -= usize::from(is_kept);
                    is_kept
                })
                .collect::<Vec<u32>>()
        };
        let num_lists = if case.is_multiple_of(3) {
            1
        } else {
            batch_size
        };
        Sizes {
            batch_size,
            outer: random.between(1, 3),
            row_bytes: 16 * random.between(1, 24),
            num_system: random.below(6),
            n,
            num_text: random.below(6),
            kept: (0..num_lists).map(|_| pick(random)).collect(),
            padding: 16 * random.below(3),
        }
    }

    fn num_kept(&self) -> usize {
        self.kept[0].len()
    }

    /// Source rows of a sample, by definition.
    fn rows(&self, sample: usize) -> Vec<usize> {
        let kept = &self.kept[sample % self.kept.len()];
        let text = self.num_system + self.n;
        (0..self.num_system)
            .chain(kept.iter().map(|&token| self.num_system + token as usize))
            .chain(text..text + self.num_text)
            .collect()
    }

    fn stretch_bytes(&self) -> usize {
        (self.num_system + self.n + self.num_text) * self.row_bytes + self.padding
    }
}

struct Case {
    source: Vec<u8>,
    target: Buffer<u8>,
    positions: Buffer<u32>,
    error: ErrorWord,
    tokens: GatherTokensArgs,
    of_positions: GatherPositionsArgs,
}

impl Case {
    fn new(sizes: &Sizes, random: &mut Random) -> Case {
        let stretches = sizes.batch_size * sizes.outer;
        let source: Vec<u8> = (0..stretches * sizes.stretch_bytes())
            .map(|_| random.below(256) as u8)
            .collect();
        let rows = sizes.num_system + sizes.num_kept() + sizes.num_text;
        let memory = Buffer::input(&source);
        let kept = Buffer::input(&sizes.kept.concat());
        let target: Buffer<u8> = Buffer::output(stretches * rows * sizes.row_bytes);
        let positions = Buffer::output(sizes.batch_size * rows);
        let error = ErrorWord::new();
        let kept_batch_stride = if sizes.kept.len() > 1 {
            sizes.num_kept()
        } else {
            0
        };
        let tokens = GatherTokensArgs {
            source: memory.void(),
            target: target.mut_ptr().cast(),
            kept_tokens: kept.ptr(),
            error: error.mut_ptr(),
            kept_batch_stride,
            source_batch_stride: sizes.outer * sizes.stretch_bytes(),
            source_outer_stride: sizes.stretch_bytes(),
            batch_size: sizes.batch_size as u32,
            outer: sizes.outer as u32,
            row_bytes: sizes.row_bytes as u32,
            num_system: sizes.num_system as u32,
            num_image_tokens: sizes.n as u32,
            num_text: sizes.num_text as u32,
            num_kept_tokens: sizes.num_kept() as u32,
        };
        let of_positions = GatherPositionsArgs {
            kept_tokens: kept.ptr(),
            positions: positions.mut_ptr(),
            error: error.mut_ptr(),
            kept_batch_stride,
            batch_size: tokens.batch_size,
            num_system: tokens.num_system,
            num_image_tokens: tokens.num_image_tokens,
            num_text: tokens.num_text,
            num_kept_tokens: tokens.num_kept_tokens,
        };
        Case {
            source,
            target,
            positions,
            error,
            tokens,
            of_positions,
        }
    }
}

#[test]
fn gathered_tokens_and_positions_equal_reference() {
    let mut random = Random::new(600);
    for index in 0..200 {
        let _device = Device::new();
        let sizes = Sizes::random(&mut random, index);
        let case = Case::new(&sizes, &mut random);
        set_order(index as u64 % 2);
        launch(ffi::fp_emulated_gather_tokens, &case.tokens);
        launch(ffi::fp_emulated_gather_positions, &case.of_positions);
        set_order(0);
        assert_eq!(case.error.found(), None);
        let mut expected = Vec::new();
        let mut positions = Vec::new();
        for sample in 0..sizes.batch_size {
            let rows = sizes.rows(sample);
            positions.extend(rows.iter().map(|&row| row as u32));
            for outer in 0..sizes.outer {
                let stretch = (sample * sizes.outer + outer) * sizes.stretch_bytes();
                for row in &rows {
                    let at = stretch + row * sizes.row_bytes;
                    expected.extend_from_slice(&case.source[at..][..sizes.row_bytes]);
                }
            }
        }
        assert_eq!(case.target.read(), expected);
        assert_eq!(case.positions.read(), positions);
    }
}

#[test]
fn tokens_that_are_not_there_or_not_ascending_are_named() {
    for (kept, position) in [
        (vec![0, 2, 5], 2),
        (vec![1, 1, 2], 1),
        (vec![3, 2, 4], 1),
        (vec![u32::MAX, 1, 2], 0),
    ] {
        let _device = Device::new();
        let sizes = Sizes {
            batch_size: 2,
            outer: 1,
            row_bytes: 32,
            num_system: 2,
            n: 5,
            num_text: 1,
            kept: vec![vec![0, 1, 2], kept],
            padding: 0,
        };
        let case = Case::new(&sizes, &mut Random::new(1));
        launch(ffi::fp_emulated_gather_tokens, &case.tokens);
        assert_eq!(case.error.found(), Some((ffi::BAD_INDEX, 1, position)));
        let case = Case::new(&sizes, &mut Random::new(1));
        launch(ffi::fp_emulated_gather_positions, &case.of_positions);
        assert_eq!(case.error.found(), Some((ffi::BAD_INDEX, 1, position)));
    }
}

#[test]
fn impossible_arguments_are_refused() {
    let _device = Device::new();
    let sizes = Sizes::random(&mut Random::new(2), 0);
    let case = Case::new(&sizes, &mut Random::new(3));
    let status = |change: &dyn Fn(&mut GatherTokensArgs)| {
        let mut args = case.tokens;
        change(&mut args);
        try_launch(ffi::fp_emulated_gather_tokens, &args)
            .unwrap_err()
            .0
    };
    assert_eq!(status(&|args| args.kept_tokens = std::ptr::null()), -1);
    assert_eq!(status(&|args| args.outer = 0), -2);
    assert_eq!(status(&|args| args.num_kept_tokens = 0), -6);
    assert_eq!(
        status(&|args| args.num_kept_tokens = args.num_image_tokens + 1),
        -6
    );
    assert_eq!(status(&|args| args.row_bytes += 8), -8);
    assert_eq!(status(&|args| args.source_batch_stride += 4), -8);
    assert_eq!(
        status(&|args| args.source = args.source.wrapping_byte_add(8)),
        -8
    );
    assert_eq!(status(&|args| args.num_text = 1 << 25), -3);
}
