//! gated_silu and activate: operations between the matrix products of an MLP.

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{Device, launch, set_order, try_launch};
use crate::emulation::ffi::{self, F32};
use crate::emulation::ffi_rows::{
    ActivateArgs, GatedSiluArgs, fp_emulated_activate, fp_emulated_gated_silu,
};
use crate::emulation::typed::{self, Typed, assert_near, normal_like};

const NONE: u32 = 0;
const QUICK_GELU: u32 = 1;
const GELU: u32 = 2;
const GELU_TANH: u32 = 3;

/// x / (1 + e^(−slope·x)).
fn sigmoid_gate(x: f64, slope: f64) -> f64 {
    x / (1.0 + (-slope * x).exp())
}

/// The normal distribution function, by its power series and by the continued fraction of its
/// tail.
fn phi(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for k in 1..120 {
            term *= -x * x / (2.0 * f64::from(k));
            sum += term / f64::from(2 * k + 1);
        }
        return 0.5 + sum / (2.0 * std::f64::consts::PI).sqrt();
    }
    let size = x.abs();
    let fraction = (1..200)
        .rev()
        .fold(size, |below, k| size + f64::from(k) / below);
    let tail = (-size * size / 2.0).exp() / ((2.0 * std::f64::consts::PI).sqrt() * fraction);
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn activated(x: f64, activation: u32) -> f64 {
    match activation {
        NONE => x,
        QUICK_GELU => sigmoid_gate(x, 1.702),
        GELU => x * phi(x),
        _ => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x / (1.0 + (-2.0 * inner).exp())
        }
    }
}

#[test]
fn reference_functions_are_what_they_are_called() {
    for (x, expected) in [
        (1.0, 0.841_344_746_068_543),
        (-2.0, 0.022_750_131_948_179_2),
        (2.9999, 0.998_649_659_6),
        (-5.0, 2.866_515_718_791_94e-7),
    ] {
        assert!((phi(x) / expected - 1.0).abs() < 1e-9, "{x}");
    }
}

/// f32 exponentials of arguments up to a hundred: the relative error of the argument times the
/// argument.
const RELATIVE: f64 = 4e-5;
/// Values below the smallest normal number may be 0.
const ABSOLUTE: f64 = 1e-37;

fn gated_args(
    x: &Typed,
    bias: Option<&Typed>,
    out: &Typed,
    width: usize,
    dtype: u32,
) -> GatedSiluArgs {
    GatedSiluArgs {
        gates_and_ups: x.ptr(),
        bias: bias.map_or(std::ptr::null(), Typed::ptr),
        out: out.mut_ptr(),
        num_rows: 0,
        width: width as u32,
        dtype,
    }
}

#[test]
fn gated_silu_equals_reference() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 800);
        for index in 0..200 {
            let _device = Device::new();
            let width = typed::width(&mut random, index, 8200);
            let rows = if width > 1000 {
                1
            } else {
                random.between(1, 5)
            };
            let size = [1.0, 4.0, 30.0][random.below(3)];
            let x = Typed::input(&normal_like(&mut random, rows * 2 * width, size), dtype);
            let bias = (index % 3 == 0)
                .then(|| Typed::input(&normal_like(&mut random, 2 * width, 1.0), dtype));
            let out = Typed::output(rows * width, dtype);
            let mut args = gated_args(&x, bias.as_ref(), &out, width, dtype);
            args.num_rows = rows as u32;
            set_order(index as u64 % 2);
            launch(fp_emulated_gated_silu, &args);
            set_order(0);
            let bias = bias.map_or(vec![0.0; 2 * width], |bias| bias.wide());
            let expected: Vec<f64> = x
                .wide()
                .chunks(2 * width)
                .flat_map(|row| {
                    let bias = &bias;
                    (0..width).map(move |at| {
                        // The sum is computed in f32.
                        let sum = |at: usize| f64::from((row[at] + bias[at]) as f32);
                        sigmoid_gate(sum(at), 1.0) * sum(width + at)
                    })
                })
                .collect();
            assert_near(&out.read(), &expected, dtype, RELATIVE, ABSOLUTE);
        }
    }
}

#[test]
fn activations_equal_reference_in_place_too() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 810);
        for index in 0..240 {
            let _device = Device::new();
            let activation = index % 4;
            let width = typed::width(&mut random, index as usize / 4, 8200);
            let rows = if width > 1000 {
                1
            } else {
                random.between(1, 5)
            };
            let size = [1.0, 3.0, 6.0][random.below(3)];
            let shift = [0, 0, 3][random.below(3)];
            let x = normal_like(&mut random, rows * width, size);
            let x = Typed::shifted(&x, dtype, shift);
            let before = x.wide();
            let bias = random
                .below(2)
                .eq(&0)
                .then(|| Typed::input(&normal_like(&mut random, width, 1.0), dtype));
            let out = (random.below(2) == 0).then(|| Typed::output(rows * width, dtype));
            let out = out.as_ref().unwrap_or(&x);
            let args = ActivateArgs {
                x: x.ptr(),
                bias: bias.as_ref().map_or(std::ptr::null(), Typed::ptr),
                out: out.mut_ptr(),
                num_rows: rows as u32,
                width: width as u32,
                dtype,
                activation,
            };
            launch(fp_emulated_activate, &args);
            let bias = bias.map_or(vec![0.0; width], |bias| bias.wide());
            let expected: Vec<f64> = before
                .iter()
                .enumerate()
                .map(|(at, x)| activated(f64::from((x + bias[at % width]) as f32), activation))
                .collect();
            assert_near(&out.read(), &expected, dtype, RELATIVE, ABSOLUTE);
        }
    }
}

/// Values that are hard for the formulas: far from zero, zero, and NaN or infinite.
#[test]
fn far_values_are_what_they_come_to() {
    let _device = Device::new();
    let x = [0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 3e38, -3e38, f32::NAN];
    for activation in [QUICK_GELU, GELU, GELU_TANH] {
        let input = Typed::input(&x, F32);
        let out = Typed::output(x.len(), F32);
        let args = ActivateArgs {
            x: input.ptr(),
            bias: std::ptr::null(),
            out: out.mut_ptr(),
            num_rows: 1,
            width: x.len() as u32,
            dtype: F32,
            activation,
        };
        launch(fp_emulated_activate, &args);
        let got = out.read();
        assert_eq!(got[..2], [0.0, 0.0]);
        for (at, &x) in x.iter().enumerate().take(8).skip(2) {
            let expected = if x > 0.0 { x } else { 0.0 };
            assert!(
                (got[at] - expected).abs() <= 1e-30,
                "{activation}: {x} to {}",
                got[at]
            );
        }
        assert!(got[8].is_nan());
    }
}

#[test]
fn impossible_arguments_are_refused_and_short_buffers_caught() {
    let _device = Device::new();
    let x = Typed::input(&[0.5; 80], F32);
    let out = Typed::output(40, F32);
    let mut gated = gated_args(&x, None, &out, 20, F32);
    gated.num_rows = 2;
    let status = |change: &dyn Fn(&mut GatedSiluArgs)| {
        let mut args = gated;
        change(&mut args);
        try_launch(fp_emulated_gated_silu, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.out = std::ptr::null_mut()).0, -1);
    assert_eq!(status(&|args| args.width = 0).0, -2);
    assert_eq!(status(&|args| args.num_rows = 0).0, -2);
    assert_eq!(status(&|args| args.width = 1 << 21).0, -3);
    assert_eq!(status(&|args| args.dtype = 9).0, -4);
    let (code, fault) = status(&|args| args.num_rows = 3);
    assert_eq!(code, ffi::EMULATION_FAULT);
    assert!(fault.contains("outside its buffer"), "{fault}");

    let activate = ActivateArgs {
        x: x.ptr(),
        bias: std::ptr::null(),
        out: out.mut_ptr(),
        num_rows: 2,
        width: 20,
        dtype: F32,
        activation: GELU,
    };
    let status = |change: &dyn Fn(&mut ActivateArgs)| {
        let mut args = activate;
        change(&mut args);
        try_launch(fp_emulated_activate, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.x = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.activation = 4).0, -5);
    let (_, fault) = status(&|args| args.num_rows = 3);
    assert!(
        fault.contains("write of 16 bytes outside its buffer"),
        "{fault}"
    );
}
