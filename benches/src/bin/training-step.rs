//! Times a training step of decoder layers with the tensor library's own autograd, in the shapes of
//! the embedded model's training: `training-step [STEPS]` prints JSON.
//! `benches/peers/training_step.py` times the same in PyTorch.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::ops::{silu, softmax_last_dim};

const SEQUENCES: usize = 12;
const LENGTH: usize = 256;
const WIDTH: usize = 192;
const HEADS: usize = 8;
const MLP: usize = 512;
const LAYERS: usize = 2;

struct Layer {
    query_key_value: Var,
    out: Var,
    gate_up: Var,
    down: Var,
}

impl Layer {
    fn new(device: &Device) -> Result<Layer> {
        let random = |rows, columns| Var::randn(0f32, 0.05, (rows, columns), device);
        Ok(Layer {
            query_key_value: random(WIDTH, 3 * WIDTH)?,
            out: random(WIDTH, WIDTH)?,
            gate_up: random(WIDTH, 2 * MLP)?,
            down: random(MLP, WIDTH)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let heads = |t: Tensor| -> Result<Tensor> {
            let t = t.reshape((SEQUENCES, LENGTH, HEADS, WIDTH / HEADS))?;
            Ok(t.transpose(1, 2)?.contiguous()?)
        };
        let projected = x.matmul(self.query_key_value.as_tensor())?;
        let part = |n| projected.narrow(1, n * WIDTH, WIDTH)?.contiguous();
        let (q, k, v) = (heads(part(0)?)?, heads(part(1)?)?, heads(part(2)?)?);
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * 0.2)?;
        let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
        let mixed = mixed
            .transpose(1, 2)?
            .contiguous()?
            .reshape((SEQUENCES * LENGTH, WIDTH))?;
        let x = (x + mixed.matmul(self.out.as_tensor())?)?;
        let gate_up = x.matmul(self.gate_up.as_tensor())?;
        let gate = silu(&gate_up.narrow(1, 0, MLP)?.contiguous()?)?;
        let hidden = (gate * gate_up.narrow(1, MLP, MLP)?)?;
        Ok((&x + hidden.matmul(self.down.as_tensor())?)?)
    }
}

fn main() -> Result<()> {
    let steps: usize = match std::env::args().nth(1) {
        Some(steps) => steps.parse()?,
        None => 10,
    };
    let device = Device::Cpu;
    let layers: Vec<Layer> = (0..LAYERS)
        .map(|_| Layer::new(&device))
        .collect::<Result<_>>()?;
    let input = Tensor::randn(0f32, 1.0, (SEQUENCES * LENGTH, WIDTH), &device)?;
    let mut times = Vec::with_capacity(steps);
    for _ in 0..=steps {
        let start = Instant::now();
        let mut x = input.clone();
        for layer in &layers {
            x = layer.forward(&x)?;
        }
        let loss = x.sqr()?.mean_all()?.to_dtype(DType::F32)?;
        let gradients = loss.backward()?;
        anyhow::ensure!(gradients.get(layers[0].down.as_tensor()).is_some());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    // The first step is a warm-up.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"library\": \"candle\", \"layers\": {LAYERS}, \"rows\": {}, \"median_ms\": {:.1}, \"min_ms\": {:.1}}}",
        SEQUENCES * LENGTH,
        times[times.len() / 2],
        times[0]
    );
    Ok(())
}
