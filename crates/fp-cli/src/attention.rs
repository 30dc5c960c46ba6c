//! What a dump holds: attention per head, or whole attention squares.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use fp_scoring::TokenLayout;

use crate::dump::{Dump, Tensor};

/// What a tensor's shape says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[H, N]`: one row per head over the image, nothing else known.
    PerHead { num_heads: usize, num_image: usize },
    /// `[.., H, S, S]`: every query row over the whole sequence, of one or more
    /// slabs.
    Squares {
        num_heads: usize,
        layout: TokenLayout,
        slabs: Vec<Slab>,
    },
}

/// One `[H, S, S]` of a tensor, and what to call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slab {
    /// Counted from 0 along the tensor's first dimension.
    index: usize,
    /// Counted from 0; none unless the tensor is a batch.
    pub(crate) sample: Option<usize>,
    /// Counted from 1; none unless the tensor is a stack of layers.
    pub(crate) layer: Option<usize>,
}

impl Slab {
    /// `sample 3, `, `layer 2, ` or nothing.
    pub(crate) fn place(&self) -> String {
        let sample = self.sample.map(|sample| format!("sample {sample}, "));
        let layer = self.layer.map(|layer| format!("layer {layer}, "));
        sample.or(layer).unwrap_or_default()
    }
}

impl Form {
    /// Reads the shape; says which flag is missing or too many.
    pub(crate) fn new(
        tensor: &Tensor,
        image_range: Option<Range<usize>>,
        prune_layer: Option<usize>,
    ) -> Result<Self> {
        let (name, shape) = (&tensor.name, &tensor.shape);
        let whole = format!("tensor `{name}` of shape {shape:?}");
        ensure!(!shape.contains(&0), "{whole} is empty");
        let (slabs, num_heads, rows, columns) = match (shape.as_slice(), prune_layer) {
            (&[num_heads, num_image], _) => {
                ensure!(
                    image_range.is_none(),
                    "{whole} is read as [heads, image tokens]: all of it is image, so leave out --image-range"
                );
                return Ok(Form::PerHead {
                    num_heads,
                    num_image,
                });
            }
            (&[num_heads, rows, columns], layer) => {
                let slab = Slab {
                    layer,
                    ..Slab::only()
                };
                (vec![slab], num_heads, rows, columns)
            }
            (&[num_samples, num_heads, rows, columns], None) => {
                let slabs = (0..num_samples).map(Slab::of_sample).collect();
                (slabs, num_heads, rows, columns)
            }
            (&[num_layers, num_heads, rows, columns], Some(layer)) => {
                ensure!(
                    (1..=num_layers).contains(&layer),
                    "--prune-layer {layer}: {whole} has layers 1 to {num_layers}"
                );
                (vec![Slab::of_layer(layer)], num_heads, rows, columns)
            }
            _ => bail!(
                "{whole} has {} dimensions; attention is [H, N], [H, S, S], [B, H, S, S] or [L, H, S, S]",
                shape.len()
            ),
        };
        ensure!(
            rows == columns,
            "{whole} is ragged: its last two dimensions are query and key positions of one sequence and must be equal, not {rows} and {columns}"
        );
        let image_range = image_range.with_context(|| {
            format!(
                "{whole} covers a whole sequence of {columns} tokens: say where the image stands with --image-range A..B (half open, such as 35..611)"
            )
        })?;
        Ok(Form::Squares {
            num_heads,
            layout: TokenLayout::new(image_range, columns)?,
            slabs,
        })
    }

    /// H.
    pub(crate) fn num_heads(&self) -> usize {
        match self {
            Form::PerHead { num_heads, .. } | Form::Squares { num_heads, .. } => *num_heads,
        }
    }

    /// N.
    pub(crate) fn num_image(&self) -> usize {
        match self {
            Form::PerHead { num_image, .. } => *num_image,
            Form::Squares { layout, .. } => layout.num_image,
        }
    }
}

impl Slab {
    fn only() -> Self {
        Slab {
            index: 0,
            sample: None,
            layer: None,
        }
    }

    fn of_sample(sample: usize) -> Self {
        Slab {
            index: sample,
            sample: Some(sample),
            layer: None,
        }
    }

    fn of_layer(layer: usize) -> Self {
        Slab {
            index: layer - 1,
            sample: None,
            layer: Some(layer),
        }
    }
}

/// Reads an `[H, N]` tensor.
pub(crate) fn read_per_head(
    dump: &mut Dump,
    tensor: &Tensor,
    num_heads: usize,
    num_image: usize,
) -> Result<Vec<f32>> {
    let values = dump.read(tensor, 0, num_heads * num_image)?;
    for (head, row) in values.chunks_exact(num_image).enumerate() {
        check_values(row).with_context(|| format!("head {head} of tensor `{}`", tensor.name))?;
    }
    Ok(values)
}

/// Query rows of one slab.
#[derive(Debug)]
pub(crate) struct ImageRows {
    /// `[H, Q, N]`.
    pub(crate) values: Vec<f32>,
    /// What the rows sum to over the whole sequence.
    pub(crate) row_sums: RowSums,
}

/// Whether whole rows sum to 1, as they do after a softmax.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowSums {
    num_rows: usize,
    /// Rows further from 1 than the precision explains.
    num_off: usize,
    /// The sum that lies furthest from 1.
    worst: f64,
}

impl Default for RowSums {
    fn default() -> Self {
        RowSums {
            num_rows: 0,
            num_off: 0,
            worst: 1.0,
        }
    }
}

impl RowSums {
    /// Takes in what another slab's rows sum to.
    pub(crate) fn merge(&mut self, other: RowSums) {
        self.num_rows += other.num_rows;
        self.num_off += other.num_off;
        if (other.worst - 1.0).abs() > (self.worst - 1.0).abs() {
            self.worst = other.worst;
        }
    }

    /// What to say of rows that don't look like a softmax's.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.num_off > 0).then(|| {
            format!(
                "{} of {} attention rows don't sum to 1 (furthest off: {}); is this attention after the softmax?",
                self.num_off, self.num_rows, self.worst
            )
        })
    }

    fn add(&mut self, sum: f64, tolerance: f64) {
        self.num_rows += 1;
        self.num_off += usize::from((sum - 1.0).abs() > tolerance);
        if (sum - 1.0).abs() > (self.worst - 1.0).abs() {
            self.worst = sum;
        }
    }
}

/// Reads the query rows `rows`, ascending positions, of one slab. Each whole row
/// is checked; what comes back is its image part.
pub(crate) fn read_rows(
    dump: &mut Dump,
    tensor: &Tensor,
    num_heads: usize,
    layout: &TokenLayout,
    slab: Slab,
    rows: &[usize],
) -> Result<ImageRows> {
    let sequence = layout.sequence_len();
    let mut values = Vec::with_capacity(num_heads * rows.len() * layout.num_image);
    let mut row_sums = RowSums::default();
    for head in 0..num_heads {
        // Neighbouring rows lie side by side in the file.
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let first = (slab.index * num_heads + head) * sequence + run[0];
            let whole = dump.read(tensor, first * sequence, run.len() * sequence)?;
            for (row, whole) in run.iter().zip(whole.chunks_exact(sequence)) {
                check_values(whole).with_context(|| {
                    let place = slab.place();
                    format!("{place}head {head}, row {row} of tensor `{}`", tensor.name)
                })?;
                let sum = whole.iter().map(|&value| f64::from(value)).sum();
                row_sums.add(sum, tensor.precision.row_sum_tolerance());
                values.extend_from_slice(&whole[layout.image_range()]);
            }
        }
    }
    Ok(ImageRows { values, row_sums })
}

/// Finds a value that no softmax gives.
fn check_values(row: &[f32]) -> Result<()> {
    let is_wrong = |value: &f32| !(0.0..=f32::MAX).contains(value);
    match row.iter().position(is_wrong) {
        None => Ok(()),
        Some(column) => bail!(
            "attention at column {column} is {}; after a softmax it is finite and not negative",
            row[column]
        ),
    }
}
