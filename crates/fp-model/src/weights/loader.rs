//! From tensors on disk to the forms that the model computes with.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use fp_kernels::dense::{HalfFormat, HalfMatrix, PackedMatrix};
use half::{bf16, f16};

use super::checkpoint::Checkpoint;
use super::random::RandomWeights;
use super::shard::StoredDtype;
use crate::cpu_format::CpuFormat;
use crate::error::Result;
use crate::kernel_matrix::KernelMatrix;
use crate::linear::{Embedding, Linear};

/// The device and precision of a model's computations.
#[derive(Debug, Clone)]
pub(crate) struct ComputeContext {
    pub(crate) device: Device,
    /// Number format of hidden states and caches.
    pub(crate) dtype: DType,
    /// Precision that weights are rounded to before they are stored as `dtype`.
    pub(crate) rounding: Option<DType>,
    /// Whether this project's own CPU kernels are used rather than the tensor library.
    pub(crate) kernels: bool,
    /// Format to which those kernels round rows before multiplying them by `bf16` weights.
    pub(crate) activations: CpuFormat,
    /// Format of those kernels' KV cache.
    pub(crate) kv_cache: CpuFormat,
}

impl ComputeContext {
    /// The two-byte format in which the CPU kernels keep a matrix: the one that its values are
    /// rounded to, else the one in which they are stored. `None` means `f32`.
    pub(crate) fn kept(&self, stored: Option<StoredDtype>) -> Option<HalfFormat> {
        if !self.kernels {
            return None;
        }
        match (self.rounding, stored) {
            (Some(DType::F16), _) | (None, Some(StoredDtype::F16)) => Some(HalfFormat::F16),
            (Some(DType::BF16), _) | (None, Some(StoredDtype::Bf16)) => Some(HalfFormat::Bf16),
            _ => None,
        }
    }

    /// The same precision on the CPU, with this project's kernels unless they are disabled.
    pub(crate) fn on_cpu(&self) -> ComputeContext {
        if self.device.is_cpu() {
            return self.clone();
        }
        ComputeContext {
            device: Device::Cpu,
            dtype: DType::F32,
            rounding: Some(self.dtype).filter(|dtype| *dtype != DType::F32),
            kernels: true,
            activations: CpuFormat::F32,
            kv_cache: CpuFormat::F32,
        }
    }
}

/// Source of a model's values.
#[derive(Debug)]
pub(crate) enum Source {
    /// Files on disk; the tower may have a folder of its own.
    Files {
        main: Checkpoint,
        tower: Option<Checkpoint>,
    },
    /// Dummy weights from a seed.
    Random(RandomWeights),
}

impl Source {
    /// The files that hold a tensor.
    fn checkpoint(&self, in_tower: bool) -> Option<&Checkpoint> {
        match self {
            Source::Files { main, tower } => {
                Some(tower.as_ref().filter(|_| in_tower).unwrap_or(main))
            }
            Source::Random(_) => None,
        }
    }

    /// The format in which a tensor is stored; `None` for dummy weights.
    fn stored(&self, name: &str, in_tower: bool) -> Option<StoredDtype> {
        self.checkpoint(in_tower)?.info(name)?.1
    }

    pub(crate) fn read(
        &self,
        name: &str,
        shape: &[usize],
        in_tower: bool,
        config: &Path,
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        match self {
            Source::Files { main, tower } => {
                let tower = tower.as_ref().filter(|_| in_tower);
                tower.unwrap_or(main).read(name, shape, config, take)
            }
            Source::Random(weights) => {
                const CHUNK_VALUES: usize = 1 << 20;
                let num_rows = shape.first().copied().unwrap_or(1);
                let width: usize = shape.iter().skip(1).product();
                let run = (CHUNK_VALUES / width.max(1)).max(1);
                for first in (0..num_rows).step_by(run) {
                    let mut values = vec![0.0; run.min(num_rows - first) * width];
                    weights.fill(name, first * width, &mut values);
                    take(first, &values);
                }
                Ok(())
            }
        }
    }
}

/// Reads the parts of one model.
pub(crate) struct Loader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) context: &'a ComputeContext,
    /// The config that requires the tensors, for error messages.
    pub(crate) config: &'a Path,
    /// Whether the tensors are in the tower's own folder.
    pub(crate) in_tower: bool,
}

impl Loader<'_> {
    fn read(&self, name: &str, shape: &[usize], take: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        self.source.read(
            name,
            shape,
            self.in_tower,
            self.config,
            &mut |first, values| match self.context.rounding {
                Some(DType::F16) => {
                    let rounded: Vec<f32> =
                        values.iter().map(|&x| f16::from_f32(x).to_f32()).collect();
                    take(first, &rounded);
                }
                Some(DType::BF16) => {
                    let rounded: Vec<f32> =
                        values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect();
                    take(first, &rounded);
                }
                _ => take(first, values),
            },
        )
    }

    /// All values of a tensor, in order.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(shape.iter().product());
        self.read(name, shape, &mut |_, values| all.extend_from_slice(values))?;
        Ok(all)
    }

    /// A tensor in its shape on disk.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(self.values(name, shape)?, shape, &Device::Cpu)?;
        self.placed(&tensor)
    }

    /// A tensor of the host, converted to the model's format and moved to its device.
    fn placed(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor
            .to_dtype(self.context.dtype)?
            .to_device(&self.context.device)?)
    }

    /// The linear layers `names` (without `.weight`) with their numbers of outputs, stacked into
    /// one layer that computes all outputs side by side.
    pub(crate) fn linear(
        &self,
        names: &[(&str, usize)],
        num_in: usize,
        has_bias: bool,
    ) -> Result<Linear> {
        let num_out = names.iter().map(|(_, rows)| rows).sum();
        let bias = if has_bias {
            let mut bias = Vec::with_capacity(num_out);
            for (name, rows) in names {
                bias.extend(self.values(&format!("{name}.bias"), &[*rows])?);
            }
            Some(self.placed(&Tensor::from_vec(bias, num_out, &Device::Cpu)?)?)
        } else {
            None
        };
        let names: Vec<(String, usize)> = names
            .iter()
            .map(|(name, rows)| (format!("{name}.weight"), *rows))
            .collect();
        self.matrix(&names, &[num_in], bias)
    }

    /// A stack of matrices by their full names. `inputs` is the shape of one
    /// output's weights on disk, which may have several dimensions.
    pub(crate) fn matrix(
        &self,
        names: &[(String, usize)],
        inputs: &[usize],
        bias: Option<Tensor>,
    ) -> Result<Linear> {
        let num_in: usize = inputs.iter().product();
        if self.context.kernels {
            let matrix = self.kernel_matrix(names, inputs)?;
            return Ok(Linear::kernels(matrix, bias));
        }
        let mut parts = Vec::with_capacity(names.len());
        for (name, rows) in names {
            let shape: Vec<usize> = std::iter::once(*rows)
                .chain(inputs.iter().copied())
                .collect();
            let values = self.values(name, &shape)?;
            let part = Tensor::from_vec(values, (*rows, num_in), &Device::Cpu)?;
            parts.push(part.to_dtype(self.context.dtype)?);
        }
        let weight = Tensor::cat(&parts, 0)?.to_device(&self.context.device)?;
        Ok(Linear::dense(weight, bias))
    }

    /// The two-byte format in which a stack is kept; `None` if its tensors' formats differ.
    fn kept(&self, names: &[(String, usize)]) -> Option<HalfFormat> {
        let kept = |name: &str| self.context.kept(self.source.stored(name, self.in_tower));
        let mut formats = names.iter().map(|(name, _)| kept(name));
        let first = formats.next()??;
        formats.all(|format| format == Some(first)).then_some(first)
    }

    /// A stack of matrices for the CPU kernels.
    fn kernel_matrix(&self, names: &[(String, usize)], inputs: &[usize]) -> Result<KernelMatrix> {
        let num_in = inputs.iter().product();
        let shape = |rows: usize| -> Vec<usize> {
            std::iter::once(rows)
                .chain(inputs.iter().copied())
                .collect()
        };
        if let Some(format) = self.kept(names) {
            let mut matrix = HalfMatrix::new(format, num_in);
            for (name, rows) in names {
                self.push(name, &shape(*rows), &mut matrix)?;
            }
            let rounds_rows = self.context.activations == CpuFormat::Bf16;
            return Ok(KernelMatrix::half(matrix, rounds_rows));
        }
        let num_out = names.iter().map(|(_, rows)| rows).sum();
        let mut packed = PackedMatrix::zeros(num_out, num_in);
        let mut start = 0;
        for (name, rows) in names {
            self.read(name, &shape(*rows), &mut |first, values| {
                packed.set_rows(start + first, values);
            })?;
            start += rows;
        }
        Ok(KernelMatrix::packed(packed))
    }

    /// Adds a tensor to `matrix`: without copying if its file is mapped and has the same format,
    /// else rounded.
    fn push(&self, name: &str, shape: &[usize], matrix: &mut HalfMatrix) -> Result<()> {
        match self.source {
            Source::Random(weights) => {
                let num_rows = shape.first().copied().unwrap_or(1);
                matrix.push_rounded(num_rows, |first, out| weights.fill(name, first, out));
                return Ok(());
            }
            Source::Files { .. } => {
                let files = self.source.checkpoint(self.in_tower);
                if let Some(files) = files
                    && files.push_mapped(name, shape, self.config, matrix)?
                {
                    return Ok(());
                }
            }
        }
        let values = self.values(name, shape)?;
        matrix.push_rows(&values);
        Ok(())
    }

    /// An embedding table, and the output layer if it is the same table.
    pub(crate) fn embedding(
        &self,
        name: &str,
        num_rows: usize,
        width: usize,
        tied: bool,
    ) -> Result<(Embedding, Option<Linear>)> {
        if !tied {
            let names = [(name.to_owned(), num_rows)];
            if self.kept(&names).is_some() {
                let table = self.kernel_matrix(&names, &[width])?;
                return Ok((Embedding::Stored(table), None));
            }
            return Ok((
                Embedding::Table(self.tensor(name, &[num_rows, width])?),
                None,
            ));
        }
        let head = self.matrix(&[(name.to_owned(), num_rows)], &[width], None)?;
        Ok((Embedding::Tied(head.clone()), Some(head)))
    }
}
