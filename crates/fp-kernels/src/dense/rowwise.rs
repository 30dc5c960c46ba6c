//! Operations of a transformer on single rows.

use rayon::prelude::*;

use super::level::{Level, for_level, multiply_add};
use super::math;

/// Fewest values of a task; fewer are not worth waking a thread.
const TASK_VALUES: usize = 16 * 1024;

/// Runs `body(row index, row)` for the rows of `out`, in parallel if that pays off.
fn for_rows(out: &mut [f32], width: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    if width == 0 {
        return;
    }
    let rows = (TASK_VALUES / width).max(1);
    out.par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(task, chunk)| {
            for (row, values) in chunk.chunks_exact_mut(width).enumerate() {
                body(task * rows + row, values);
            }
        });
}

/// Runs `body` on all values in place, in parallel if that pays off.
fn for_values(mut x: Vec<f32>, body: fn(Level, &mut [f32])) -> Vec<f32> {
    let level = Level::best();
    x.par_chunks_mut(TASK_VALUES)
        .for_each(|values| body(level, values));
    x
}

/// `y = x / sqrt(mean(x²) + epsilon) · weight`, per row of `x [T, D]`.
///
/// # Panics
/// If `x` isn't made of rows as long as `weight`.
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    assert!(
        width > 0 && x.len().is_multiple_of(width),
        "x is not [_, {width}]"
    );
    let level = Level::best();
    let mut out = vec![0.0; x.len()];
    for_rows(&mut out, width, |row, out| {
        rms_norm_row(level, &x[row * width..][..width], weight, epsilon, out);
    });
    out
}

for_level! {
    fn rms_norm_row(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) = rms_norm_body
}

#[inline(always)]
fn rms_norm_body<const FUSED: bool>(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean = math::dot::<FUSED>(x, x) / x.len() as f32;
    let scale = 1.0 / (mean + epsilon).sqrt();
    for ((out, &x), &weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

/// `y = (x − mean) / sqrt(variance + epsilon) · weight + bias`, per row of
/// `x [T, D]`, with the population variance.
///
/// # Panics
/// If `x` isn't made of rows as long as `weight` and `bias`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    assert_eq!(width, bias.len(), "weight and bias differ in length");
    assert!(
        width > 0 && x.len().is_multiple_of(width),
        "x is not [_, {width}]"
    );
    let level = Level::best();
    let mut out = vec![0.0; x.len()];
    for_rows(&mut out, width, |row, out| {
        layer_norm_row(
            level,
            &x[row * width..][..width],
            weight,
            bias,
            epsilon,
            out,
        );
    });
    out
}

for_level! {
    fn layer_norm_row(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) = layer_norm_body
}

#[inline(always)]
fn layer_norm_body<const FUSED: bool>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
    out: &mut [f32],
) {
    let mean = math::sum(x) / x.len() as f32;
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x - mean;
    }
    let variance = math::dot::<FUSED>(out, out) / x.len() as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((out, &weight), &bias) in out.iter_mut().zip(weight).zip(bias) {
        *out = multiply_add::<FUSED>(*out * scale, weight, bias);
    }
}

/// `silu(gate) · up` with `gates_and_ups [T, 2 · width]`, gates first: `[T, width]`.
///
/// # Panics
/// If the input doesn't consist of rows of `2 · width` values.
pub fn gated_silu(gates_and_ups: &[f32], width: usize) -> Vec<f32> {
    assert!(
        width > 0 && gates_and_ups.len().is_multiple_of(2 * width),
        "not [_, 2 · {width}]"
    );
    let level = Level::best();
    let mut out = vec![0.0; gates_and_ups.len() / 2];
    for_rows(&mut out, width, |row, out| {
        let (gate, up) = gates_and_ups[row * 2 * width..][..2 * width].split_at(width);
        gated_silu_row(level, gate, up, out);
    });
    out
}

for_level! {
    fn gated_silu_row(gate: &[f32], up: &[f32], out: &mut [f32]) = gated_silu_body
}

#[inline(always)]
fn gated_silu_body<const FUSED: bool>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
        *out = math::sigmoid_gate::<FUSED>(gate, 1.0) * up;
    }
}

/// `x / (1 + e^(−1.702 x))` of every value: the approximation of GELU by a sigmoid that CLIP was
/// trained with.
pub fn quick_gelu(x: Vec<f32>) -> Vec<f32> {
    for_values(x, quick_gelu_slice)
}

for_level! {
    fn quick_gelu_slice(x: &mut [f32]) = quick_gelu_body
}

#[inline(always)]
fn quick_gelu_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x = math::sigmoid_gate::<FUSED>(*x, 1.702);
    }
}

/// `x · Φ(x)` of every value: exact GELU, to `f32` precision.
pub fn gelu(x: Vec<f32>) -> Vec<f32> {
    for_values(x, gelu_slice)
}

for_level! {
    fn gelu_slice(x: &mut [f32]) = gelu_body
}

#[inline(always)]
fn gelu_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x = math::gelu::<FUSED>(*x);
    }
}

/// `x · ½ (1 + tanh(√(2/π) (x + 0.044715 x³)))` of every value: the approximation of GELU that
/// SigLIP was trained with.
pub fn gelu_tanh(x: Vec<f32>) -> Vec<f32> {
    for_values(x, gelu_tanh_slice)
}

for_level! {
    fn gelu_tanh_slice(x: &mut [f32]) = gelu_tanh_body
}

#[inline(always)]
fn gelu_tanh_body<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x = math::gelu_tanh::<FUSED>(*x);
    }
}

/// Rotary position embedding, in place, of `num_heads` heads that lie side by side from the start
/// of each row of `x [T, stride]`.
///
/// The first half of a head's `head_dim` values pairs with the second:
/// `(a, b) ← (a cos − b sin, b cos + a sin)`, with `cos` and `sin`
/// `[T, head_dim / 2]`.
///
/// # Panics
/// If the shapes contradict each other or `head_dim` is odd.
pub fn rotate(
    x: &mut [f32],
    stride: usize,
    num_heads: usize,
    head_dim: usize,
    cos: &[f32],
    sin: &[f32],
) {
    let half = head_dim / 2;
    assert!(
        head_dim.is_multiple_of(2) && num_heads * head_dim <= stride,
        "heads exceed the row"
    );
    assert!(
        x.len().is_multiple_of(stride.max(1)),
        "x is not [_, {stride}]"
    );
    assert_eq!(cos.len(), x.len() / stride * half, "cos is not [_, {half}]");
    assert_eq!(sin.len(), cos.len(), "sin is not [_, {half}]");
    let level = Level::best();
    for_rows(x, stride, |row, x| {
        let (cos, sin) = (&cos[row * half..][..half], &sin[row * half..][..half]);
        for head in x.chunks_exact_mut(head_dim).take(num_heads) {
            rotate_head(level, head, cos, sin);
        }
    });
}

for_level! {
    fn rotate_head(head: &mut [f32], cos: &[f32], sin: &[f32]) = rotate_body
}

#[inline(always)]
fn rotate_body<const FUSED: bool>(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((a, b), &cos), &sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        let (x, y) = (*a, *b);
        *a = multiply_add::<FUSED>(x, cos, -(y * sin));
        *b = multiply_add::<FUSED>(y, cos, x * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f32], expected: &[f32]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} for {expected}");
        }
    }

    #[test]
    fn norms() {
        // mean(x²) = 12.5; 3/√12.5 = 0.848528, 4/√12.5 = 1.131371
        close(
            &rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0),
            &[0.848_528_1, 2.262_741_7],
        );
        // mean 2, deviations ∓1, variance 1
        close(
            &layer_norm(&[1.0, 3.0], &[2.0, 2.0], &[0.5, 0.5], 0.0),
            &[-1.5, 2.5],
        );
    }

    #[test]
    fn activations() {
        let silu = |x: f32| x / (1.0 + (-x).exp());
        close(
            &gated_silu(&[1.0, -2.0, 3.0, 0.5], 2),
            &[silu(1.0) * 3.0, silu(-2.0) * 0.5],
        );
        close(&quick_gelu(vec![1.0]), &[1.0 / (1.0 + (-1.702_f32).exp())]);
    }

    #[test]
    fn rotation_turns_pairs_of_the_halves() {
        let mut x = [1.0, 0.0, 0.0, 1.0, 9.0];
        // one head of four, angle 90° for the first pair and 0° for the second
        rotate(&mut x, 5, 1, 4, &[0.0, 1.0], &[1.0, 0.0]);
        close(&x, &[0.0, 0.0, 1.0, 1.0, 9.0]);
    }
}
