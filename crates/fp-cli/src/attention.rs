//! What a dump holds: attention per head, or rows over a whole sequence.

mod query_rows;

use std::fmt::Display;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use fp_scoring::TokenLayout;

use crate::dump::{Dump, Tensor, Values};
use crate::memory::{Array, Attention};
pub(crate) use query_rows::QueryRows;

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
    /// `[H, N]` or `[B, H, N]`: one row per head over the image, nothing else known.
    PerHead {
        num_heads: usize,
        num_image: usize,
        /// B; none unless the tensor is a batch.
        num_samples: Option<usize>,
    },
    /// `[.., H, S, S]`: every query row over the whole sequence, of one or more slabs; or
    /// `[.., H, Q, S]`, some of them.
    Squares {
        num_heads: usize,
        layout: TokenLayout,
        rows: QueryRows,
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
    /// Reads the shape; says which flag is missing or too many. `query_rows` are the positions
    /// that it has rows of; without any it has one of each.
    pub(crate) fn new(
        tensor: &Tensor,
        image_range: Option<Range<usize>>,
        query_rows: Option<&QueryRows>,
        first: FirstDimension,
    ) -> Result<Self> {
        let (name, shape) = (&tensor.name, &tensor.shape);
        let whole = format!("tensor `{name}` of shape {shape:?}");
        ensure!(!shape.contains(&0), "{whole} is empty");
        let is_placed = (image_range.is_some(), query_rows.is_some());
        let (slabs, num_heads, rows, columns) = match (shape.as_slice(), first) {
            (&[num_heads, num_image], _) => {
                return Form::per_head(&whole, num_heads, num_image, None, is_placed);
            }
            (&[num_samples, num_heads, num_image], FirstDimension::Samples) => {
                return Form::per_head(&whole, num_heads, num_image, Some(num_samples), is_placed);
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
                "{whole} has {} dimensions; attention is [H, N], [H, S, S], [B, H, N], [B, H, S, S] or [L, H, S, S]",
                shape.len()
            ),
        };
        let query_rows = match query_rows {
            None => {
                ensure!(
                    rows == columns,
                    "{whole} is ragged: its last two dimensions are query and key positions of one sequence and must be equal, not {rows} and {columns}; if it has only some of the rows, say of which positions with --query-rows"
                );
                QueryRows::all(rows)
            }
            Some(positions) => {
                ensure!(
                    positions.len() == rows && positions.end() <= columns,
                    "{whole} has {rows} rows over {columns} tokens, and --query-rows {positions} names {} positions up to {}",
                    positions.len(),
                    positions.end().saturating_sub(1)
                );
                positions.clone()
            }
        };
        let image_range = image_range.with_context(|| {
            format!(
                "{whole} covers a whole sequence of {columns} tokens: say where the image stands with --image-range A..B (half open, such as 35..611), or --batch if it is [samples, heads, image tokens]"
            )
        })?;
        Ok(Form::Squares {
            num_heads,
            layout: TokenLayout::new(image_range, columns)?,
            rows: query_rows,
            slabs,
        })
    }

    /// One row per head, which takes no flags that place it in a sequence.
    fn per_head(
        whole: &str,
        num_heads: usize,
        num_image: usize,
        num_samples: Option<usize>,
        (has_range, has_rows): (bool, bool),
    ) -> Result<Self> {
        let (batch, or) = match num_samples {
            None => ("", ""),
            Some(_) => ("samples, ", ", or --batch if it is of one sample"),
        };
        ensure!(
            !has_range,
            "{whole} is read as [{batch}heads, image tokens]: all of it is image, so leave out --image-range{or}"
        );
        ensure!(
            !has_rows,
            "{whole} is read as [{batch}heads, image tokens]: it has no rows to choose from, so leave out --query-rows{or}"
        );
        Ok(Form::PerHead {
            num_heads,
            num_image,
            num_samples,
        })
    }

    /// How many samples there are, or layers.
    pub(crate) fn num_slabs(&self) -> usize {
        match self {
            Form::PerHead { num_samples, .. } => num_samples.unwrap_or(1),
            Form::Squares { slabs, .. } => slabs.len(),
        }
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

    pub(crate) fn of_sample(sample: usize) -> Self {
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

/// Reads one row per head of a sample, counted from 0, and refuses values that no head's
/// attention to the image can have.
pub(crate) fn read_per_head(
    dump: &mut Dump,
    tensor: &Tensor,
    (num_heads, num_image): (usize, usize),
    sample: usize,
) -> Result<Values> {
    let len = num_heads * num_image;
    let values = dump.read(tensor, sample * len, len)?;
    match &values {
        Values::F64(values) => check_heads(values, num_image, tensor)?,
        Values::F32(values) => check_heads(values, num_image, tensor)?,
    }
    Ok(values)
}

/// Refuses values of `[H, N]` that no head's attention to the image can have.
pub(crate) fn check_heads<T: Value>(values: &[T], num_image: usize, tensor: &Tensor) -> Result<()> {
    let tolerance = tensor.precision.row_sum_tolerance();
    for (head, row) in values.chunks_exact(num_image).enumerate() {
        let in_head = || format!("head {head} of tensor `{}`", tensor.name);
        check_values(row).with_context(in_head)?;
        let sum = sum_of(row);
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

/// The rows over whole sequences of one tensor.
pub(crate) struct Squares<'a> {
    pub(crate) tensor: &'a Tensor,
    pub(crate) num_heads: usize,
    pub(crate) layout: TokenLayout,
    /// Which rows it has.
    pub(crate) rows: &'a QueryRows,
}

impl Squares<'_> {
    /// The row of the tensor that is of `position`.
    ///
    /// # Errors
    /// A position that the tensor has no row of.
    pub(crate) fn row_of(&self, position: usize) -> Result<usize> {
        self.rows.index_of(position).with_context(|| {
            format!(
                "tensor `{}` has no row of position {position}; it has those of {}",
                self.tensor.name, self.rows
            )
        })
    }

    /// Reads the query rows at `positions`, ascending, of one slab. Each whole row is checked;
    /// what comes back is its image part.
    pub(crate) fn read(
        &self,
        dump: &mut Dump,
        slab: Slab,
        positions: &[usize],
    ) -> Result<ImageRows> {
        let (tensor, sequence) = (self.tensor, self.layout.sequence_len());
        let capacity = self.num_heads * positions.len() * self.layout.num_image;
        let mut values = tensor.precision.empty(capacity);
        let mut row_sums = RowSums::default();
        for head in 0..self.num_heads {
            // Neighbouring rows lie side by side in the file.
            for run in positions.chunk_by(|a, b| a + 1 == *b) {
                let before = (slab.index * self.num_heads + head) * self.rows.len();
                let first = before + self.row_of(run[0])?;
                let whole = dump.read(tensor, first * sequence, run.len() * sequence)?;
                let mut taken = self.taken(slab, head, &mut row_sums);
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

    /// As [`Squares::read`], of an array in memory: `[H, Q, N]`.
    pub(crate) fn of_array<T: Attention>(
        &self,
        array: &Array<'_, T>,
        slab: Slab,
        positions: &[usize],
        row_sums: &mut RowSums,
    ) -> Result<Vec<T::Key>> {
        let capacity = self.num_heads * positions.len() * self.layout.num_image;
        let mut values = Vec::with_capacity(capacity);
        for head in 0..self.num_heads {
            let mut taken = self.taken(slab, head, &mut *row_sums);
            for &position in positions {
                let whole = array.row(slab.index, head, self.row_of(position)?);
                taken.take(&[position], &T::to_keys(&whole), &mut values)?;
            }
        }
        Ok(values)
    }

    fn taken<'a>(&'a self, slab: Slab, head: usize, row_sums: &'a mut RowSums) -> Taken<'a> {
        Taken {
            tensor: self.tensor,
            layout: &self.layout,
            place: format!("{}head {head}", slab.place()),
            row_sums,
        }
    }
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
            let sum = sum_of(whole);
            let tolerance = self.tensor.precision.row_sum_tolerance();
            let place = || format!("{}, row {row}", self.place);
            self.row_sums.add(sum, tolerance, place);
            values.extend_from_slice(&whole[self.layout.image_range()]);
        }
        Ok(())
    }
}

/// A number that attention is read as.
pub(crate) trait Value: Copy + Display + Into<f64> {}

impl Value for f32 {}
impl Value for f64 {}

/// Sum of a row, in eight parts so that it takes no longer than reading.
fn sum_of<T: Value>(row: &[T]) -> f64 {
    let (parts, rest) = row.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for part in parts {
        for (sum, &value) in sums.iter_mut().zip(part) {
            *sum += value.into();
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| value.into()).sum::<f64>()
}

/// Finds a value that no softmax gives.
fn check_values<T: Value>(row: &[T]) -> Result<()> {
    let is_wrong = |value: T| !(0.0..=f64::MAX).contains(&value.into());
    // Whole stretches at once: hardly ever there is anything to be found.
    let mut stretches = row.chunks(64).enumerate();
    let found = stretches.find(|(_, stretch)| {
        let any = |any, &value: &T| any | is_wrong(value);
        stretch.iter().fold(false, any)
    });
    let column = found.and_then(|(at, stretch)| {
        let within = stretch.iter().position(|&value| is_wrong(value));
        within.map(|within| at * 64 + within)
    });
    match column {
        None => Ok(()),
        Some(column) => bail!(
            "attention at column {column} is {}; after a softmax it is finite and not negative",
            row[column]
        ),
    }
}
