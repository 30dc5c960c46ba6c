//! Queries, keys and values of one layer, and the attention between them.

use std::ops::Range;

use candle_core::{D, DType, Device, Tensor};
use fp_kernels::dense::{
    AttentionShape, Cached, KeyValues, SequenceQueries, attention, attention_rows,
};

use super::layer::EncoderShape;
use crate::error::Result;
use crate::linear::into_rows;
use crate::ops::{self, with_values};
use crate::weights::ComputeContext;

/// Which of the three projections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Query,
    Key,
    Value,
}

/// The norm and projections of a layer, for several sequences' hidden states.
#[derive(Debug)]
pub(crate) struct Projections<'a> {
    context: &'a ComputeContext,
    /// `[B · T, 3 · V]`: queries, keys, values.
    rows: Tensor,
    /// B, the number of sequences.
    count: usize,
    /// T, the number of tokens of each.
    len: usize,
    num_heads: usize,
    head_dim: usize,
    is_causal: bool,
}

impl<'a> Projections<'a> {
    pub(super) fn new(
        context: &'a ComputeContext,
        rows: Tensor,
        count: usize,
        shape: &EncoderShape,
    ) -> Result<Projections<'a>> {
        let (num_rows, width) = rows.dims2()?;
        Ok(Projections {
            context,
            rows,
            count,
            len: num_rows / count,
            num_heads: shape.num_heads,
            head_dim: width / 3 / shape.num_heads,
            is_causal: shape.is_causal,
        })
    }

    fn width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// T, the number of tokens: the patches, and the class token if there is one.
    pub(super) fn num_tokens(&self) -> usize {
        self.len
    }

    /// One image's queries, keys or values, heads side by side: `[T, V]`.
    pub(super) fn side_by_side(&self, part: Part, image: usize) -> Result<Tensor> {
        let width = self.width();
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let columns = crate::gpu::Columns {
                table: &self.rows,
                first: part as usize * width,
                width,
            };
            let rows = image * self.len..(image + 1) * self.len;
            let rows: Vec<u32> = rows.map(|row| row as u32).collect();
            return crate::gpu::rows_of(columns, &rows);
        }
        Ok(self
            .rows
            .narrow(0, image * self.len, self.len)?
            .narrow(1, part as usize * width, width)?
            .contiguous()?)
    }

    /// One image's keys in the form that [`Projections::weights`] takes, for any number of rows: by
    /// head, `[H, T, d]`; on a GPU the projections, since the kernels read keys from there.
    pub(super) fn keys(&self, image: usize) -> Result<Tensor> {
        if self.context.device.is_cuda() {
            return Ok(self.rows.clone());
        }
        self.by_head(Part::Key, image)
    }

    /// The mean over heads of one image's keys, `[T, d]` in `f32`, accumulated in `f64` on the
    /// host.
    pub(super) fn mean_keys(&self, image: usize) -> Result<Tensor> {
        let keys = if self.context.device.is_cuda() {
            let rows = self.side_by_side(Part::Key, image)?;
            let heads = (self.len, self.num_heads, self.head_dim);
            Tensor::from_vec(ops::host_values(&rows)?, heads, &Device::Cpu)?
                .transpose(0, 1)?
                .contiguous()?
        } else {
            self.by_head(Part::Key, image)?
        };
        let mean = keys.to_dtype(DType::F64)?.mean(0)?;
        Ok(mean.to_dtype(DType::F32)?)
    }

    /// One image's queries, keys or values by head: `[H, T, d]`.
    fn by_head(&self, part: Part, image: usize) -> Result<Tensor> {
        let width = self.width();
        ops::heads_of(
            &self.rows,
            image * self.len..(image + 1) * self.len,
            part as usize * width..(part as usize + 1) * width,
            self.head_dim,
        )
    }

    /// All images' queries, keys or values by head: `[B, H, T, d]`.
    fn all_by_head(&self, part: Part) -> Result<Tensor> {
        let width = self.width();
        Ok(self
            .rows
            .narrow(D::Minus1, part as usize * width, width)?
            .reshape((self.count, self.len, self.num_heads, self.head_dim))?
            .transpose(1, 2)?
            .contiguous()?)
    }

    fn kernel_shape(&self) -> AttentionShape {
        AttentionShape {
            num_heads: self.num_heads,
            num_kv_heads: self.num_heads,
            head_dim: self.head_dim,
            scale: 1.0 / (self.head_dim as f32).sqrt(),
        }
    }

    /// One image's query rows for the kernels, with its keys and values by head.
    fn sequence<'v>(
        &self,
        image: usize,
        keys: &'v [f32],
        values: &'v [f32],
    ) -> SequenceQueries<'v> {
        SequenceQueries {
            rows: image * self.len..(image + 1) * self.len,
            runs: vec![KeyValues {
                keys: Cached::F32(keys),
                values: Cached::F32(values),
                len: self.len,
                head_stride: self.len * self.head_dim,
            }],
            past: self.is_causal.then_some(0),
        }
    }

    /// Number of tokens that each of `rows` attends to.
    fn visible(&self, rows: Range<usize>) -> Vec<usize> {
        rows.map(|row| if self.is_causal { row + 1 } else { self.len })
            .collect()
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self) -> crate::gpu::Projected<'_> {
        crate::gpu::Projected {
            rows: &self.rows,
            len: self.len,
            shape: self.kernel_shape(),
        }
    }

    fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Attention output of all tokens over the tokens of their own sequences, `[B · T, V]`.
    pub(super) fn attend(&self) -> Result<Tensor> {
        let width = self.width();
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            return self.on_gpu().attend(self.is_causal);
        }
        if self.context.kernels {
            let (keys, values) = (self.all_by_head(Part::Key)?, self.all_by_head(Part::Value)?);
            let image = self.len * width;
            let mixed = with_values(&self.rows, |rows| {
                with_values(&keys, |keys| {
                    with_values(&values, |values| {
                        let sequences: Vec<_> = keys
                            .chunks_exact(image)
                            .zip(values.chunks_exact(image))
                            .enumerate()
                            .map(|(index, (keys, values))| self.sequence(index, keys, values))
                            .collect();
                        Ok(attention(&self.kernel_shape(), rows, 3 * width, &sequences))
                    })
                })
            })?;
            return into_rows(mixed, width);
        }
        let (queries, keys, values) = (
            self.all_by_head(Part::Query)?,
            self.all_by_head(Part::Key)?,
            self.all_by_head(Part::Value)?,
        );
        let mixed = (0..self.count)
            .map(|image| {
                let weights = ops::attention_weights(
                    &queries.get(image)?,
                    &keys.get(image)?,
                    self.scale(),
                    &self.visible(0..self.len),
                )?;
                let values = values.get(image)?;
                Ok(weights
                    .to_dtype(values.dtype())?
                    .matmul(&values)?
                    .transpose(0, 1)?
                    .reshape((self.len, width))?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&mixed, 0)?)
    }

    /// Attention of an image's tokens `rows` to its tokens `columns`, with the softmax over all of
    /// its tokens: `[H, rows, columns]` in `f32`. `keys` are the image's [`Projections::keys`].
    pub(super) fn weights(
        &self,
        image: usize,
        keys: &Tensor,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let visible = self.visible(rows.clone());
            return self.on_gpu().rows(image, rows, &visible, columns);
        }
        let dims = (self.num_heads, rows.len(), columns.len());
        if self.context.kernels {
            let stride = 3 * self.width();
            let start = image * self.len;
            let rows: Vec<usize> = rows.map(|row| start + row).collect();
            let weights = with_values(&self.rows, |queries| {
                with_values(keys, |keys| {
                    // The values aren't used; keys take their place.
                    let sequence = self.sequence(image, keys, keys);
                    let shape = self.kernel_shape();
                    Ok(attention_rows(
                        &shape, queries, stride, &sequence, &rows, columns,
                    ))
                })
            })?;
            return Ok(Tensor::from_vec(weights, dims, &Device::Cpu)?);
        }
        let queries = self
            .by_head(Part::Query, image)?
            .narrow(1, rows.start, rows.len())?
            .contiguous()?;
        let visible = self.visible(rows);
        let weights = ops::attention_weights(&queries, keys, self.scale(), &visible)?;
        Ok(weights
            .narrow(2, columns.start, columns.len())?
            .contiguous()?)
    }
}
