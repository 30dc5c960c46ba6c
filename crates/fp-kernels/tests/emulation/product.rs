//! The matrix primitives: products, and mistakes that the emulation must detect.

use crate::emulation::cases::Random;
use crate::emulation::device::{Attention, Buffer, Device, last_fault, set_order};
use crate::emulation::ffi::{BF16, EMULATION_FAULT, F16};
use crate::emulation::ffi_attention::fp_emulation_product;

/// Adds the product [16, 16] · [16, 8] to `sums`; returns the fault if there was one.
fn product(a: &Attention, b: &Attention, sums: &[f32], mistake: u32) -> Result<Vec<f32>, String> {
    let out: Buffer<f32> = Buffer::output(sums.len());
    // SAFETY: room for these values; the emulation checks every access.
    let status = unsafe {
        out.mut_ptr().copy_from(sums.as_ptr(), sums.len());
        let is_bfloat = (a.dtype == BF16).into();
        fp_emulation_product(a.ptr(), b.ptr(), out.mut_ptr(), is_bfloat, mistake)
    };
    match status {
        EMULATION_FAULT => Err(last_fault()),
        status => {
            assert_eq!(status, 0);
            Ok(out.read())
        }
    }
}

#[test]
fn products_are_those_of_the_definition() {
    let mut random = Random::new(60);
    for dtype in [F16, BF16] {
        for _ in 0..200 {
            let _device = Device::new();
            let mut numbers =
                |count| -> Vec<f32> { (0..count).map(|_| (random.unit() - 0.5) * 8.0).collect() };
            let (a, b, sums) = (numbers(256), numbers(128), numbers(128));
            let (a, b) = (Attention::new(&a, dtype), Attention::new(&b, dtype));
            let got = product(&a, &b, &sums, 0).unwrap();
            for (at, got) in got.iter().enumerate() {
                let (row, column) = (at / 8, at % 8);
                let expected: f64 = (0..16)
                    .map(|k| {
                        f64::from(a.values[row * 16 + k]) * f64::from(b.values[k * 8 + column])
                    })
                    .sum::<f64>()
                    + f64::from(sums[at]);
                assert!(
                    (f64::from(*got) - expected).abs() <= 1e-5,
                    "{at}: {got} {expected}"
                );
            }
        }
    }
}

#[test]
fn misuse_of_matrices_is_caught() {
    for (mistake, says) in [
        (1, "a row of a matrix at byte 2"),
        (2, "shared array of 7 read to its 8th"),
        (3, "read of uninitialised shared memory"),
        (4, "divergence"),
        (5, "divergence"),
    ] {
        for order in 0..4 {
            let _device = Device::new();
            set_order(order);
            let a = Attention::new(&[1.0; 256], F16);
            let b = Attention::new(&[1.0; 128], F16);
            let fault = product(&a, &b, &[0.0; 128], mistake).unwrap_err();
            assert!(fault.contains(says), "{fault}");
            assert_eq!(product(&a, &b, &[1.0; 128], 0), Ok(vec![17.0; 128]));
        }
        set_order(0);
    }
}
