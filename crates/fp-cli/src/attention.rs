//! What a dump holds: attention per head, or whole attention squares.

use std::fmt::Display;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use fp_scoring::TokenLayout;

use crate::dump::{Dump, Tensor, Values};

/// What the first of four dimensions was said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstDimension {
    /// Nothing was said.
    Unsaid,
    /// Layers, of which this one is read, counted from 1. Of a tensor of one layer it is
    /// the layer's name alone.
    Layers(usize),
    /// Samples of one layer.
    Samples,
}

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
        first: FirstDimension,
    ) -> Result<Self> {
        let (name, shape) = (&tensor.name, &tensor.shape);
        let whole = format!("tensor `{name}` of shape {shape:?}");
        ensure!(!shape.contains(&0), "{whole} is empty");
        let (slabs, num_heads, rows, columns) = match (shape.as_slice(), first) {
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
            (&[num_heads, rows, columns], first) => {
                let layer = match first {
                    FirstDimension::Layers(layer) => Some(layer),
                    _ => None,
                };
                let slab = Slab {
                    layer,
                    ..Slab::only()
                };
                (vec![slab], num_heads, rows, columns)
            }
            // One of something is read alike, whatever it is one of.
            (&[num_samples, num_heads, rows, columns], FirstDimension::Samples)
            | (&[num_samples @ 1, num_heads, rows, columns], FirstDimension::Unsaid) => {
                let slabs = (0..num_samples).map(Slab::of_sample).collect();
                (slabs, num_heads, rows, columns)
            }
            (&[count, _, _, _], FirstDimension::Unsaid) => bail!(
                "{whole} may hold {count} layers of one sample, [L, H, S, S], or {count} samples of one layer, [B, H, S, S]: choose a layer with --prune-layer K, or say --batch if these are samples"
            ),
            (&[num_layers, num_heads, rows, columns], FirstDimension::Layers(layer)) => {
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

/// Reads an `[H, N]` tensor, and refuses values that no head's attention to the image can have.
pub(crate) fn read_per_head(
    dump: &mut Dump,
    tensor: &Tensor,
    num_heads: usize,
    num_image: usize,
) -> Result<Values> {
    let values = dump.read(tensor, 0, num_heads * num_image)?;
    match &values {
        Values::F64(values) => check_heads(values, num_image, tensor)?,
        Values::F32(values) => check_heads(values, num_image, tensor)?,
    }
    Ok(values)
}

fn check_heads<T: Value>(values: &[T], num_image: usize, tensor: &Tensor) -> Result<()> {
    let tolerance = tensor.precision.row_sum_tolerance();
    for (head, row) in values.chunks_exact(num_image).enumerate() {
        let in_head = || format!("head {head} of tensor `{}`", tensor.name);
        check_values(row).with_context(in_head)?;
        let sum: f64 = row.iter().map(|&value| value.into()).sum();
        ensure!(
            sum <= 1.0 + tolerance,
            "{}: its row sums to {sum}; after a softmax the image's part of a row is at most 1. Is this attention before the softmax, or summed over rows or layers?",
            in_head()
        );
    }
    // A row sees itself and what is before it: nothing above the diagonal.
    let is_causal = |(row, values): (usize, &[T])| {
        let (before, after) = values.split_at(row + 1);
        after.iter().all(|&value| value.into() == 0.0)
            && before.iter().any(|&value| value.into() > 0.0)
    };
    let num_heads = values.len() / num_image;
    ensure!(
        num_heads != num_image
            || num_image < 2
            || !values.chunks_exact(num_image).enumerate().all(is_causal),
        "tensor `{}` of shape {:?} is zero above its diagonal, as one head's causal attention over {num_image} tokens is, and would be read as [heads, image tokens]: reshape it to [1, {num_image}, {num_image}] and say where the image stands with --image-range",
        tensor.name,
        tensor.shape
    );
    Ok(())
}

/// Query rows of one slab.
#[derive(Debug)]
pub(crate) struct ImageRows {
    /// `[H, Q, N]`.
    pub(crate) values: Values,
    /// What the rows sum to over the whole sequence.
    pub(crate) row_sums: RowSums,
}

/// Whether whole rows sum to 1, as they do after a softmax.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowSums {
    num_rows: usize,
    /// Rows further from 1 than the precision explains.
    num_off: usize,
    /// The sum that lies furthest from 1, and the row that has it.
    worst: f64,
    place: String,
}

impl Default for RowSums {
    fn default() -> Self {
        RowSums {
            num_rows: 0,
            num_off: 0,
            worst: 1.0,
            place: String::new(),
        }
    }
}

impl RowSums {
    /// Takes in what another slab's rows sum to.
    pub(crate) fn merge(&mut self, other: &RowSums) {
        self.num_rows += other.num_rows;
        self.num_off += other.num_off;
        if (other.worst - 1.0).abs() > (self.worst - 1.0).abs() {
            (self.worst, self.place) = (other.worst, other.place.clone());
        }
    }

    /// What to say of rows that don't look like a softmax's.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.num_off > 0).then(|| {
            format!(
                "{} of {} attention rows don't sum to 1 (furthest off: {}, of {}); is this attention after the softmax?",
                self.num_off, self.num_rows, self.worst, self.place
            )
        })
    }

    fn add(&mut self, sum: f64, tolerance: f64, place: impl FnOnce() -> String) {
        self.num_rows += 1;
        self.num_off += usize::from((sum - 1.0).abs() > tolerance);
        if (sum - 1.0).abs() > (self.worst - 1.0).abs() {
            (self.worst, self.place) = (sum, place());
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
    let capacity = num_heads * rows.len() * layout.num_image;
    let mut values = tensor.precision.empty(capacity);
    let mut row_sums = RowSums::default();
    for head in 0..num_heads {
        // Neighbouring rows lie side by side in the file.
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let first = (slab.index * num_heads + head) * sequence + run[0];
            let whole = dump.read(tensor, first * sequence, run.len() * sequence)?;
            let mut taken = Taken {
                tensor,
                layout,
                place: format!("{}head {head}", slab.place()),
                row_sums: &mut row_sums,
            };
            match (&mut values, &whole) {
                (Values::F64(values), Values::F64(whole)) => taken.take(run, whole, values)?,
                (Values::F32(values), Values::F32(whole)) => taken.take(run, whole, values)?,
                // A tensor is read in one precision.
                _ => bail!("tensor `{}` changed its precision", tensor.name),
            }
        }
    }
    Ok(ImageRows { values, row_sums })
}

/// Whole rows of one head, of which the image's part is taken.
struct Taken<'a> {
    tensor: &'a Tensor,
    layout: &'a TokenLayout,
    /// Where they stand, for errors.
    place: String,
    row_sums: &'a mut RowSums,
}

impl Taken<'_> {
    fn take<T: Value>(&mut self, rows: &[usize], whole: &[T], values: &mut Vec<T>) -> Result<()> {
        let sequence = self.layout.sequence_len();
        for (row, whole) in rows.iter().zip(whole.chunks_exact(sequence)) {
            check_values(whole).with_context(|| {
                format!("{}, row {row} of tensor `{}`", self.place, self.tensor.name)
            })?;
            let sum = whole.iter().map(|&value| value.into()).sum();
            let tolerance = self.tensor.precision.row_sum_tolerance();
            let place = || format!("{}, row {row}", self.place);
            self.row_sums.add(sum, tolerance, place);
            values.extend_from_slice(&whole[self.layout.image_range()]);
        }
        Ok(())
    }
}

/// A number that attention is read as.
trait Value: Copy + Display + Into<f64> {}

impl Value for f32 {}
impl Value for f64 {}

/// Finds a value that no softmax gives.
fn check_values<T: Value>(row: &[T]) -> Result<()> {
    let is_wrong = |&value: &T| !(0.0..=f64::MAX).contains(&value.into());
    match row.iter().position(is_wrong) {
        None => Ok(()),
        Some(column) => bail!(
            "attention at column {column} is {}; after a softmax it is finite and not negative",
            row[column]
        ),
    }
}
