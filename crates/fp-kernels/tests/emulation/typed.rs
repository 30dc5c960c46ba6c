//! Tensors of the emulated device in one of the three formats.

use std::ffi::c_void;

use half::{bf16, f16};

use crate::emulation::cases::Random;
use crate::emulation::device::Buffer;
use crate::emulation::ffi::{BF16, F16, F32};
use crate::emulation::ffi_rows::fp_emulation_narrow;

/// Values in one of the three formats.
pub(crate) struct Typed {
    dtype: u32,
    memory: Buffer<u8>,
    /// Bytes before the first value.
    shift: usize,
}

pub(crate) fn bytes_of(dtype: u32) -> usize {
    if dtype == F32 { 4 } else { 2 }
}

fn encode(values: &[f32], dtype: u32) -> Vec<u8> {
    let halves = |bits: &dyn Fn(f32) -> u16| {
        let bytes = values.iter().flat_map(|&value| bits(value).to_ne_bytes());
        bytes.collect()
    };
    match dtype {
        F32 => values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        F16 => halves(&|value| f16::from_f32(value).to_bits()),
        _ => halves(&|value| bf16::from_f32(value).to_bits()),
    }
}

fn decode(bytes: &[u8], dtype: u32) -> Vec<f32> {
    let halves = |widen: fn(u16) -> f32| {
        let (pairs, _) = bytes.as_chunks::<2>();
        pairs
            .iter()
            .map(|&p| widen(u16::from_ne_bytes(p)))
            .collect()
    };
    match dtype {
        F32 => {
            let (fours, _) = bytes.as_chunks::<4>();
            fours.iter().map(|&four| f32::from_ne_bytes(four)).collect()
        }
        F16 => halves(|bits| f16::from_bits(bits).to_f32()),
        _ => halves(|bits| bf16::from_bits(bits).to_f32()),
    }
}

/// `value` rounded to the format.
pub(crate) fn round(value: f32, dtype: u32) -> f32 {
    match dtype {
        F32 => value,
        F16 => f16::from_f32(value).to_f32(),
        _ => bf16::from_f32(value).to_f32(),
    }
}

impl Typed {
    /// A read-only buffer with `values` rounded to the format.
    pub(crate) fn input(values: &[f32], dtype: u32) -> Typed {
        Typed {
            dtype,
            memory: Buffer::input(&encode(values, dtype)),
            shift: 0,
        }
    }

    /// A writable, poisoned buffer.
    pub(crate) fn output(len: usize, dtype: u32) -> Typed {
        Typed {
            dtype,
            memory: Buffer::output(len * bytes_of(dtype)),
            shift: 0,
        }
    }

    /// A writable buffer with `values` rounded to the format.
    pub(crate) fn writable(values: &[f32], dtype: u32) -> Typed {
        Typed::shifted(values, dtype, 0)
    }

    /// As [`Typed::writable`], starting `by` values after a multiple of 16 bytes.
    pub(crate) fn shifted(values: &[f32], dtype: u32, by: usize) -> Typed {
        let (bytes, shift) = (encode(values, dtype), by * bytes_of(dtype));
        let memory: Buffer<u8> = Buffer::output(shift + bytes.len());
        // SAFETY: the buffer holds this many bytes after `shift`.
        unsafe {
            memory
                .mut_ptr()
                .add(shift)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Typed {
            dtype,
            memory,
            shift,
        }
    }

    pub(crate) fn ptr(&self) -> *const c_void {
        self.memory.void().wrapping_byte_add(self.shift)
    }

    pub(crate) fn mut_ptr(&self) -> *mut c_void {
        self.memory.mut_ptr().wrapping_add(self.shift).cast()
    }

    pub(crate) fn read(&self) -> Vec<f32> {
        decode(&self.memory.read()[self.shift..], self.dtype)
    }

    pub(crate) fn wide(&self) -> Vec<f64> {
        self.read().into_iter().map(f64::from).collect()
    }

    pub(crate) fn bits(&self) -> Vec<u8> {
        self.memory.read()[self.shift..].to_vec()
    }
}

/// Values around 0, mostly within ±1.5 · `width`.
pub(crate) fn normal_like(random: &mut Random, count: usize, width: f32) -> Vec<f32> {
    (0..count)
        .map(|_| (random.unit() + random.unit() + random.unit() - 1.5) * width)
        .collect()
}

/// Compares with the reference. `relative` and `absolute` are the tolerances of `f32` arithmetic,
/// to which half a unit in the last place of the format is added.
#[track_caller]
pub(crate) fn assert_near(got: &[f32], expected: &[f64], dtype: u32, relative: f64, absolute: f64) {
    assert_eq!(got.len(), expected.len());
    let (unit, smallest) = match dtype {
        F32 => (2f64.powi(-24), 0.0),
        F16 => (2f64.powi(-11), 2f64.powi(-25)),
        _ => (2f64.powi(-8), 0.0),
    };
    for (at, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        let allowed = (relative + unit * (1.0 + relative)) * expected.abs() + absolute + smallest;
        assert!(
            error <= allowed,
            "value {at}: {got:e}, reference {expected:e}, off by {error:e} of {allowed:e}"
        );
    }
}

/// Widths at the limits of packs and row shapes, and random ones.
pub(crate) fn width(random: &mut Random, case: usize, largest: usize) -> usize {
    const EDGES: [usize; 16] = [
        1, 2, 3, 7, 8, 9, 31, 64, 255, 256, 1024, 1030, 4096, 5120, 8200, 16384,
    ];
    match EDGES.get(case) {
        Some(&edge) if edge <= largest => edge,
        _ if case.is_multiple_of(3) => 8 * random.between(1, 60.min(largest / 8)),
        _ => random.between(1, 500.min(largest)),
    }
}

/// The kernels' rounding against that of the `half` crate.
#[test]
fn narrow_values_are_rounded_to_the_nearest() {
    let mut random = Random::new(1140);
    let mut bits: Vec<u32> = (0..6000).map(|_| random.next() as u32).collect();
    // Every exponent, with mantissas at and next to ties.
    for exponent in 0..256_u32 {
        for mantissa in [
            0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x1_8000, 0x7f_ffff,
        ] {
            bits.push(exponent << 23 | mantissa);
            bits.push(1 << 31 | exponent << 23 | mantissa);
        }
    }
    for value in bits.into_iter().map(f32::from_bits) {
        let half = narrow(value, F16);
        let brain = narrow(value, BF16);
        if value.is_nan() {
            assert!(f16::from_bits(half).is_nan() && bf16::from_bits(brain).is_nan());
        } else {
            assert_eq!(half, f16::from_f32(value).to_bits(), "{value:e}");
            assert_eq!(brain, bf16::from_f32(value).to_bits(), "{value:e}");
        }
    }
}

fn narrow(value: f32, dtype: u32) -> u16 {
    // SAFETY: accepts any number.
    unsafe { fp_emulation_narrow(value, dtype) }
}
