//! The forms of a dump: attention per head, or rows over a whole sequence.

mod query_rows;
mod rows;
mod values;

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use fp_scoring::TokenLayout;

use crate::dump::Tensor;
pub(crate) use query_rows::QueryRows;
pub(crate) use rows::{ImageRows, RowSums, Squares};
pub(crate) use values::{Value, check_heads, read_per_head};

/// Meaning of the first of four dimensions, as the flags state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstDimension {
    /// Not stated.
    Unsaid,
    /// Layers, of which this one is read, counted from 1. For a tensor of one layer it only labels
    /// the layer.
    Layers(usize),
    /// Samples of one layer.
    Samples,
}

/// Form of a tensor, from its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[H, N]` or `[B, H, N]`: one row per head over the image; nothing else is known.
    PerHead {
        num_heads: usize,
        num_image: usize,
        /// B; `None` unless the tensor is a batch.
        num_samples: Option<usize>,
    },
    /// `[.., H, S, S]`: all query rows over the whole sequence, of one or more slabs; or
    /// `[.., H, Q, S]`: some of the rows.
    Squares {
        num_heads: usize,
        layout: TokenLayout,
        rows: QueryRows,
        slabs: Vec<Slab>,
    },
}

/// One `[H, S, S]` of a tensor, and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slab {
    /// Index along the tensor's first dimension, from 0.
    index: usize,
    /// Sample, from 0; `None` unless the tensor is a batch.
    pub(crate) sample: Option<usize>,
    /// Layer, from 1; `None` unless the tensor is a stack of layers.
    pub(crate) layer: Option<usize>,
}

impl Slab {
    /// `sample 3, `, `layer 2, ` or an empty text.
    pub(crate) fn place(&self) -> String {
        let sample = self.sample.map(|sample| format!("sample {sample}, "));
        let layer = self.layer.map(|layer| format!("layer {layer}, "));
        sample.or(layer).unwrap_or_default()
    }
}

impl Form {
    /// Determines the form from the shape; an error names a missing or superfluous flag.
    /// `query_rows` are the positions of the tensor's rows; without them it has one row per
    /// position.
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
            // If the first dimension is 1, its meaning doesn't matter.
            (&[num_samples, num_heads, rows, columns], FirstDimension::Samples)
            | (&[num_samples @ 1, num_heads, rows, columns], FirstDimension::Unsaid) => {
                let slabs = (0..num_samples).map(Slab::of_sample).collect();
                (slabs, num_heads, rows, columns)
            }
            (&[count, _, _, _], FirstDimension::Unsaid) => bail!(
                "{whole} may hold {count} layers of one sample, [L, H, S, S], or {count} samples of one layer, [B, H, S, S]: select a layer with --prune-layer K, or give --batch if these are samples"
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
                    "{whole} is ragged: its last two dimensions are query and key positions of one sequence and must be equal, not {rows} and {columns}; if it has only some of the rows, give their positions with --query-rows"
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
                "{whole} covers a whole sequence of {columns} tokens: give the position of the image with --image-range A..B (half-open, such as 35..611), or --batch if it is [samples, heads, image tokens]"
            )
        })?;
        Ok(Form::Squares {
            num_heads,
            layout: TokenLayout::new(image_range, columns)?,
            rows: query_rows,
            slabs,
        })
    }

    /// One row per head, which allows no flags about positions in a sequence.
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
            "{whole} is read as [{batch}heads, image tokens]: all of it is image, so omit --image-range{or}"
        );
        ensure!(
            !has_rows,
            "{whole} is read as [{batch}heads, image tokens]: it has no rows to select from, so omit --query-rows{or}"
        );
        Ok(Form::PerHead {
            num_heads,
            num_image,
            num_samples,
        })
    }

    /// Number of samples, or of layers.
    pub(crate) fn num_slabs(&self) -> usize {
        match self {
            Form::PerHead { num_samples, .. } => num_samples.unwrap_or(1),
            Form::Squares { slabs, .. } => slabs.len(),
        }
    }

    /// H, the number of heads.
    pub(crate) fn num_heads(&self) -> usize {
        match self {
            Form::PerHead { num_heads, .. } | Form::Squares { num_heads, .. } => *num_heads,
        }
    }

    /// N, the number of image tokens.
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
