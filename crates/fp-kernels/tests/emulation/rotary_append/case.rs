//! A case of rotary_append in emulated memory, and its expected results by definition.

use crate::emulation::cases::Random;
use crate::emulation::device::{Buffer, ErrorWord};
use crate::emulation::ffi_rows::{KvRun, RotaryAppendArgs};
use crate::emulation::typed::Typed;

/// Sizes of a case, and the destination of its rows.
#[derive(Clone)]
pub(super) struct Sizes {
    pub(super) num_heads: usize,
    pub(super) num_kv_heads: usize,
    pub(super) head_dim: usize,
    /// Padding between rows of the projections, in values.
    pub(super) gap: usize,
    pub(super) capacities: Vec<usize>,
    pub(super) positions: Vec<u32>,
    /// Run and slot of each row.
    pub(super) places: Vec<(u32, u32)>,
    pub(super) num_positions: usize,
}

impl Sizes {
    pub(super) fn random(random: &mut Random, case: usize) -> Sizes {
        const DIMS: [usize; 8] = [64, 128, 16, 8, 2, 6, 20, 80];
        let num_kv_heads = random.between(1, 3);
        let capacities: Vec<usize> = (0..random.between(1, 4))
            .map(|_| random.between(1, 9))
            .collect();
        let mut all: Vec<(u32, u32)> = (0..capacities.len())
            .flat_map(|run| (0..capacities[run]).map(move |slot| (run as u32, slot as u32)))
            .collect();
        let count = random.between(1, all.len());
        let mut places = Vec::new();
        for _ in 0..count {
            places.push(all.swap_remove(random.below(all.len())));
        }
        let num_positions = random.between(1, 60);
        Sizes {
            num_heads: num_kv_heads * random.between(1, 3),
            num_kv_heads,
            head_dim: DIMS[case % DIMS.len()],
            gap: [0, 0, 8, 3][case / 8 % 4],
            capacities,
            positions: places
                .iter()
                .map(|_| random.below(num_positions) as u32)
                .collect(),
            places,
            num_positions,
        }
    }

    pub(super) fn width(&self) -> usize {
        (self.num_heads + 2 * self.num_kv_heads) * self.head_dim
    }

    pub(super) fn stride(&self) -> usize {
        self.width() + self.gap
    }

    pub(super) fn run_len(&self, run: usize) -> usize {
        self.num_kv_heads * self.capacities[run] * self.head_dim
    }
}

/// Cosines and sines `[P, D/2]` as the decoder computes them: angles in f32.
pub(super) fn angles(num_positions: usize, head_dim: usize) -> (Vec<f32>, Vec<f32>) {
    let half = head_dim / 2;
    (0..num_positions * half)
        .map(|at| {
            let frequency = 10_000f64.powf(-2.0 * (at % half) as f64 / head_dim as f64) as f32;
            let (sine, cosine) = f64::from((at / half) as f32 * frequency).sin_cos();
            (cosine as f32, sine as f32)
        })
        .unzip()
}

pub(super) struct Case {
    pub(super) projected: Typed,
    pub(super) queries: Option<Typed>,
    pub(super) runs: Vec<(Typed, Typed)>,
    pub(super) error: ErrorWord,
    pub(super) args: RotaryAppendArgs,
}

impl Case {
    pub(super) fn new(sizes: &Sizes, projected: &[f32], dtype: u32, in_place: bool) -> Case {
        let rows = sizes.places.len();
        let projected = Typed::writable(projected, dtype);
        let query_width = sizes.num_heads * sizes.head_dim;
        let queries = (!in_place).then(|| Typed::output(rows * query_width, dtype));
        let runs: Vec<(Typed, Typed)> = (0..sizes.capacities.len())
            .map(|run| {
                let room = || Typed::writable(&vec![7.0; sizes.run_len(run)], dtype);
                (room(), room())
            })
            .collect();
        let table: Vec<KvRun> = runs
            .iter()
            .zip(&sizes.capacities)
            .map(|((keys, values), &capacity)| KvRun {
                keys: keys.mut_ptr(),
                values: values.mut_ptr(),
                capacity: capacity as u64,
            })
            .collect();
        let (cosines, sines) = angles(sizes.num_positions, sizes.head_dim);
        let of = |part: fn(&(u32, u32)) -> u32| -> Buffer<u32> {
            Buffer::input(&sizes.places.iter().map(part).collect::<Vec<_>>())
        };
        let error = ErrorWord::new();
        let args = RotaryAppendArgs {
            projected: projected.ptr(),
            queries: queries.as_ref().unwrap_or(&projected).mut_ptr(),
            cosines: Buffer::input(&cosines).ptr(),
            sines: Buffer::input(&sines).ptr(),
            positions: Buffer::input(&sizes.positions).ptr(),
            runs: of(|place| place.0).ptr(),
            slots: of(|place| place.1).ptr(),
            run_table: Buffer::input(&table).ptr(),
            error: error.mut_ptr(),
            projected_stride: sizes.stride(),
            query_stride: if in_place {
                sizes.stride()
            } else {
                query_width
            },
            num_rows: rows as u32,
            num_heads: sizes.num_heads as u32,
            num_kv_heads: sizes.num_kv_heads as u32,
            head_dim: sizes.head_dim as u32,
            num_positions: sizes.num_positions as u32,
            num_runs: sizes.capacities.len() as u32,
            dtype,
        };
        Case {
            projected,
            queries,
            runs,
            error,
            args,
        }
    }
}

/// Keys and values of a run.
pub(super) type RunValues = (Vec<f64>, Vec<f64>);

/// All results of a launch, by definition in f64: queries `[T, H·D]`, and keys and values of each
/// run, with 7 where nothing was appended.
pub(super) fn reference(sizes: &Sizes, projected: &[f64]) -> (Vec<f64>, Vec<RunValues>) {
    let (d, half) = (sizes.head_dim, sizes.head_dim / 2);
    let (cosines, sines) = angles(sizes.num_positions, d);
    let mut queries = Vec::new();
    let mut runs: Vec<RunValues> = (0..sizes.capacities.len())
        .map(|run| (vec![7.0; sizes.run_len(run)], vec![7.0; sizes.run_len(run)]))
        .collect();
    for (row, &(run, slot)) in sizes.places.iter().enumerate() {
        let values = &projected[row * sizes.stride()..];
        let rotated = |head: usize, at: usize| {
            let angle = sizes.positions[row] as usize * half + at % half;
            let (c, s) = (f64::from(cosines[angle]), f64::from(sines[angle]));
            let (x, y) = (
                values[head * d + at % half],
                values[head * d + half + at % half],
            );
            if at < half {
                x * c - y * s
            } else {
                y * c + x * s
            }
        };
        for head in 0..sizes.num_heads {
            queries.extend((0..d).map(|at| rotated(head, at)));
        }
        let (run, slot) = (run as usize, slot as usize);
        for head in 0..sizes.num_kv_heads {
            for at in 0..d {
                let to = (head * sizes.capacities[run] + slot) * d + at;
                runs[run].0[to] = rotated(sizes.num_heads + head, at);
                let from = (sizes.num_heads + sizes.num_kv_heads + head) * d;
                runs[run].1[to] = values[from + at];
            }
        }
    }
    (queries, runs)
}
