//! gather_rows: embeddings, with features of an image in between.

use crate::emulation::cases::Random;
use crate::emulation::device::{Buffer, Device, ErrorWord, launch, set_order, try_launch};
use crate::emulation::ffi;
use crate::emulation::ffi_rows::{BAD_ROW, FROM_TABLE, GatherRowsArgs, fp_emulated_gather_rows};

struct Case {
    table: Vec<u8>,
    features: Vec<u8>,
    indices: Vec<u32>,
    feature_rows: Option<Vec<u32>>,
    out: Buffer<u8>,
    error: ErrorWord,
    args: GatherRowsArgs,
}

/// Sizes in bytes of table, features and rows, with padding between rows.
struct Sizes {
    row_bytes: usize,
    table: (usize, usize),
    features: (usize, usize),
}

impl Case {
    fn new(
        random: &mut Random,
        sizes: &Sizes,
        indices: Vec<u32>,
        feature_rows: Option<Vec<u32>>,
    ) -> Case {
        let mut bytes = |(rows, gap): (usize, usize)| -> Vec<u8> {
            let count = rows * (sizes.row_bytes + gap);
            (0..count).map(|_| random.below(256) as u8).collect()
        };
        let (table, features) = (bytes(sizes.table), bytes(sizes.features));
        let (on_device, out) = (
            (Buffer::input(&table), Buffer::input(&features)),
            Buffer::<u8>::output(indices.len() * sizes.row_bytes),
        );
        let memory = Buffer::input(&indices);
        let error = ErrorWord::new();
        let null = std::ptr::null();
        let rows = feature_rows.as_ref().map(|rows| Buffer::input(rows));
        let args = GatherRowsArgs {
            table: on_device.0.void(),
            features: rows.as_ref().map_or(null, |_| on_device.1.void()),
            indices: memory.ptr(),
            feature_rows: rows.as_ref().map_or(std::ptr::null(), Buffer::ptr),
            out: out.mut_ptr().cast(),
            error: error.mut_ptr(),
            table_stride: sizes.row_bytes + sizes.table.1,
            feature_stride: sizes.row_bytes + sizes.features.1,
            num_rows: indices.len() as u32,
            row_bytes: sizes.row_bytes as u32,
            table_rows: sizes.table.0 as u32,
            num_features: sizes.features.0 as u32,
        };
        Case {
            table,
            features,
            indices,
            feature_rows,
            out,
            error,
            args,
        }
    }

    /// The output by definition.
    fn expected(&self) -> Vec<u8> {
        let bytes = self.args.row_bytes as usize;
        let of_row = |t: usize| {
            let feature = self
                .feature_rows
                .as_ref()
                .map_or(FROM_TABLE, |rows| rows[t]);
            match feature {
                FROM_TABLE => {
                    &self.table[self.indices[t] as usize * self.args.table_stride..][..bytes]
                }
                row => &self.features[row as usize * self.args.feature_stride..][..bytes],
            }
        };
        (0..self.indices.len()).flat_map(of_row).copied().collect()
    }
}

#[test]
fn gathered_rows_equal_reference() {
    let mut random = Random::new(900);
    for index in 0..300 {
        let _device = Device::new();
        let unit = [2, 4, 16][index % 3];
        let row_bytes = match index {
            0 => 8192,
            1 => 20000,
            _ => unit * random.between(1, 90),
        };
        let sizes = Sizes {
            row_bytes,
            table: (random.between(1, 40), unit * random.below(3)),
            features: (random.between(1, 20), unit * random.below(3)),
        };
        let count = random.between(1, 30);
        let below = |random: &mut Random, end| random.below(end) as u32;
        let indices = (0..count)
            .map(|_| below(&mut random, sizes.table.0))
            .collect();
        let feature_rows = (index % 2 == 0).then(|| {
            let one = |_| match random.below(3) {
                0 => FROM_TABLE,
                _ => below(&mut random, sizes.features.0),
            };
            (0..count).map(one).collect::<Vec<u32>>()
        });
        let mut case = Case::new(&mut random, &sizes, indices, feature_rows);
        if let Some(rows) = &case.feature_rows {
            // The ids of image rows are placeholders, which may have any value.
            for (id, row) in case.indices.iter_mut().zip(rows) {
                if *row != FROM_TABLE && random.below(2) == 0 {
                    *id = u32::MAX;
                }
            }
            let memory = Buffer::input(&case.indices);
            case.args.indices = memory.ptr();
        }
        set_order(index as u64 % 4);
        launch(fp_emulated_gather_rows, &case.args);
        set_order(0);
        assert_eq!(case.error.found(), None);
        assert_eq!(case.out.read(), case.expected(), "case {index}");
    }
}

#[test]
fn rows_that_are_not_there_are_named() {
    let sizes = Sizes {
        row_bytes: 32,
        table: (5, 0),
        features: (3, 0),
    };
    for (indices, rows, found) in [
        (vec![0, 5, 7, 1], None, (1, 0)),
        (vec![0, 1, 2, u32::MAX], None, (3, 0)),
        (
            vec![0, 9, 9, 1],
            Some(vec![FROM_TABLE, 0, 3, FROM_TABLE]),
            (2, 1),
        ),
        (
            vec![0, 9, 9, 1],
            Some(vec![FROM_TABLE, FROM_TABLE, 3, 4]),
            (1, 0),
        ),
    ] {
        let _device = Device::new();
        let case = Case::new(&mut Random::new(3), &sizes, indices, rows);
        launch(fp_emulated_gather_rows, &case.args);
        let (row, place) = found;
        assert_eq!(case.error.found(), Some((BAD_ROW, row, place)));
        assert_eq!(case.out.read()[..32], case.table[..32], "row 0 is there");
    }
}

#[test]
fn impossible_arguments_are_refused_and_short_buffers_caught() {
    let _device = Device::new();
    let sizes = Sizes {
        row_bytes: 32,
        table: (5, 0),
        features: (3, 0),
    };
    let case = Case::new(&mut Random::new(4), &sizes, vec![1, 2], Some(vec![0, 1]));
    let status = |change: &dyn Fn(&mut GatherRowsArgs)| {
        let mut args = case.args;
        change(&mut args);
        try_launch(fp_emulated_gather_rows, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.indices = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.feature_rows = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.features = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.num_rows = 0).0, -2);
    assert_eq!(status(&|args| args.num_features = 0).0, -2);
    assert_eq!(status(&|args| args.table_stride = 30).0, -2);
    assert_eq!(status(&|args| args.row_bytes = 1 << 25).0, -2);
    assert_eq!(status(&|args| args.row_bytes = 31).0, -8);
    let (code, fault) = status(&|args| args.num_rows = 3);
    assert_eq!(code, ffi::EMULATION_FAULT);
    assert!(fault.contains("outside its buffer"), "{fault}");
    let (_, fault) = status(&|args| args.out = args.table.cast_mut());
    assert!(fault.contains("read-only"), "{fault}");
}
