//! RMS norm and layer norm, alone and with an addition before them.

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{Device, launch, set_order, try_launch};
use crate::emulation::ffi::{self, F16, F32};
use crate::emulation::ffi_rows::{NormArgs, fp_emulated_norm};
use crate::emulation::typed::{self, Typed, assert_near, normal_like};

struct Case {
    x: Typed,
    add: Option<Typed>,
    weight: Typed,
    bias: Option<Typed>,
    out: Typed,
    args: NormArgs,
}

/// Values of a case, before they are rounded to a format.
struct Values {
    x: Vec<f32>,
    add: Option<Vec<f32>>,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    epsilon: f32,
}

impl Values {
    fn random(
        random: &mut Random,
        rows: usize,
        width: usize,
        is_layer: bool,
        adds: bool,
    ) -> Values {
        let size = 10f32.powi(random.between(0, 4) as i32 - 2);
        let offset = if is_layer {
            3.0 * random.unit() * size
        } else {
            0.0
        };
        let mut x = normal_like(random, rows * width, size);
        x.iter_mut().for_each(|x| *x += offset);
        Values {
            x,
            add: adds.then(|| normal_like(random, rows * width, size)),
            weight: normal_like(random, width, 2.0),
            bias: is_layer.then(|| normal_like(random, width, 1.0)),
            epsilon: [1e-5, 1e-6, 0.0][random.below(3)],
        }
    }
}

impl Case {
    /// Rows start `shift` values after a multiple of 16 bytes.
    fn new(values: &Values, dtype: u32, shift: usize) -> Case {
        let width = values.weight.len();
        let place = |values: &[f32]| Typed::shifted(values, dtype, shift);
        let x = place(&values.x);
        let add = values.add.as_deref().map(place);
        let weight = place(&values.weight);
        let bias = values.bias.as_deref().map(place);
        let out = place(&vec![f32::NAN; values.x.len()]);
        let optional = |typed: &Option<Typed>| typed.as_ref().map_or(std::ptr::null(), Typed::ptr);
        let args = NormArgs {
            x: x.mut_ptr(),
            add: optional(&add),
            weight: weight.ptr(),
            bias: optional(&bias),
            out: out.mut_ptr(),
            num_rows: (values.x.len() / width) as u32,
            width: width as u32,
            epsilon: values.epsilon,
            dtype,
        };
        Case {
            x,
            add,
            weight,
            bias,
            out,
            args,
        }
    }
}

/// Norm of the rows of `x` by definition.
fn reference(x: &[f64], weight: &[f64], bias: Option<&[f64]>, epsilon: f64) -> Vec<f64> {
    let width = weight.len();
    let n = width as f64;
    let mut out = Vec::new();
    for row in x.chunks(width) {
        let mean = bias.map_or(0.0, |_| row.iter().sum::<f64>() / n);
        let squares: f64 = row.iter().map(|x| (x - mean).powi(2)).sum();
        let scale = 1.0 / (squares / n + epsilon).sqrt();
        out.extend(
            row.iter()
                .enumerate()
                .map(|(at, x)| (x - mean) * scale * weight[at] + bias.map_or(0.0, |bias| bias[at])),
        );
    }
    out
}

#[test]
fn norms_equal_reference() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        for is_layer in [false, true] {
            let mut random = Random::new(seed as u64 + 700 + u64::from(is_layer) * 10);
            for index in 0..200 {
                let _device = Device::new();
                let width = typed::width(&mut random, index, 16384);
                let rows = if width > 1000 {
                    1
                } else {
                    random.between(1, 4)
                };
                let adds = index % 2 == 1;
                let values = Values::random(&mut random, rows, width, is_layer, adds);
                let case = Case::new(&values, dtype, 0);
                let (x, weight) = (case.x.read(), case.weight.wide());
                launch(fp_emulated_norm, &case.args);
                let sum: Vec<f32> = match &case.add {
                    Some(add) => (x.iter().zip(add.read()))
                        .map(|(x, add)| typed::round(x + add, dtype))
                        .collect(),
                    None => x,
                };
                assert_eq!(case.x.read(), sum, "case {index}: the residual stream");
                let sum: Vec<f64> = sum.into_iter().map(f64::from).collect();
                let bias = case.bias.as_ref().map(Typed::wide);
                let epsilon = f64::from(values.epsilon);
                let expected = reference(&sum, &weight, bias.as_deref(), epsilon);
                if expected.iter().any(|value| !value.is_finite()) {
                    assert!(width == 1 && is_layer && epsilon == 0.0);
                    continue;
                }
                // A mean that is large compared with the deviations costs their last bits.
                let absolute = if is_layer { 2e-5 } else { 0.0 };
                assert_near(&case.out.read(), &expected, dtype, 2e-6, absolute);
            }
        }
    }
}

/// Independent of other rows, alignment, the order of threads, and whether the addition is a
/// separate step.
#[test]
fn a_rows_norm_depends_on_nothing_but_the_row() {
    let mut random = Random::new(740);
    for dtype in DTYPES {
        for (index, is_layer) in [false, true, false, true, true].into_iter().enumerate() {
            let _device = Device::new();
            let width = [64, 72, 37, 1500, 4096][index];
            let mut values = Values::random(&mut random, 5, width, is_layer, true);
            values.epsilon = 1e-5;
            let whole = Case::new(&values, dtype, 0);
            launch(fp_emulated_norm, &whole.args);
            let bytes = width * typed::bytes_of(dtype);
            for (row, shift) in [(0, 1), (2, 3), (4, 0)] {
                let of_row = |x: &[f32]| x[row * width..][..width].to_vec();
                let mut alone = Values {
                    x: of_row(&values.x),
                    add: values.add.as_deref().map(of_row),
                    weight: values.weight.clone(),
                    bias: values.bias.clone(),
                    epsilon: values.epsilon,
                };
                set_order(11 + row as u64);
                let case = Case::new(&alone, dtype, shift);
                launch(fp_emulated_norm, &case.args);
                set_order(0);
                let expected = &whole.out.bits()[row * bytes..][..bytes];
                assert_eq!(case.out.bits(), expected, "row {row} of width {width}");
                alone.x = case.x.read();
                alone.add = None;
                let case = Case::new(&alone, dtype, 0);
                launch(fp_emulated_norm, &case.args);
                assert_eq!(case.out.bits(), expected, "added before");
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_visible() {
    let _device = Device::new();
    let values = Values {
        x: vec![1.0, f32::NAN, 1.0, 2.0],
        add: None,
        weight: vec![1.0, 1.0],
        bias: None,
        epsilon: 0.0,
    };
    let case = Case::new(&values, F16, 0);
    launch(fp_emulated_norm, &case.args);
    let out = case.out.read();
    assert!(out[0].is_nan() && out[1].is_nan());
    assert!(out[2].is_finite() && out[3].is_finite());
}

#[test]
fn impossible_arguments_are_refused_and_short_buffers_caught() {
    let _device = Device::new();
    let values = Values::random(&mut Random::new(750), 3, 40, true, true);
    let case = Case::new(&values, F32, 0);
    let status = |change: &dyn Fn(&mut NormArgs)| {
        let mut args = case.args;
        change(&mut args);
        try_launch(fp_emulated_norm, &args).unwrap_err()
    };
    assert_eq!(status(&|args| args.weight = std::ptr::null()).0, -1);
    assert_eq!(status(&|args| args.num_rows = 0).0, -2);
    assert_eq!(status(&|args| args.width = 0).0, -2);
    assert_eq!(status(&|args| args.width = 16385).0, -3);
    assert_eq!(status(&|args| args.dtype = 3).0, -4);
    assert_eq!(status(&|args| args.epsilon = -1.0).0, -5);
    assert_eq!(status(&|args| args.epsilon = f32::NAN).0, -5);
    for change in [
        |args: &mut NormArgs| args.num_rows += 1,
        |args: &mut NormArgs| args.width += 4,
    ] {
        let (status, fault) = status(&change);
        assert_eq!(status, ffi::EMULATION_FAULT);
        assert!(fault.contains("outside its buffer"), "{fault}");
    }
    let read_only = Typed::input(&values.x, F32);
    let (_, fault) = status(&|args| args.x = read_only.ptr().cast_mut());
    assert!(fault.contains("read-only"), "{fault}");
}
