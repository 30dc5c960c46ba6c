//! Evidence read from the vision tower.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::projections::{Part, Projections};
use super::request::{VisionRead, VisionRequest};
use crate::error::{ModelError, Result};
use crate::ops::host_values;

/// Number of query rows whose attention exists at one time if only their mean is needed.
const MEAN_ROWS: usize = 64;

/// Evidence that a [`VisionRequest`] listed, for one image, in the shapes stated by [`VisionRead`],
/// on the device that computed it.
#[derive(Debug, Clone, Default)]
pub struct VisionEvidence {
    tensors: BTreeMap<VisionRead, Tensor>,
}

impl VisionEvidence {
    /// The evidence `read`, in the number format of the model's hidden states unless [`VisionRead`]
    /// states `f32`.
    ///
    /// # Errors
    /// Evidence that wasn't requested.
    pub fn get(&self, read: VisionRead) -> Result<&Tensor> {
        self.tensors
            .get(&read)
            .ok_or_else(|| ModelError::InputValue {
                what: "the evidence to read from the vision tower",
                found: format!("{read:?}"),
                expected: format!(
                    "one of those requested: {:?}",
                    self.tensors.keys().collect::<Vec<_>>()
                ),
            })
    }

    /// The values of [`VisionEvidence::get`] on the CPU, in the same order.
    ///
    /// # Errors
    /// The same, and a GPU that fails.
    pub fn values(&self, read: VisionRead) -> Result<Vec<f32>> {
        host_values(self.get(read)?)
    }

    /// The evidence that was read.
    pub fn reads(&self) -> impl Iterator<Item = VisionRead> {
        self.tensors.keys().copied()
    }

    fn insert(&mut self, read: VisionRead, tensor: Tensor) -> Result<()> {
        check_finite(&tensor, "what was read of the vision tower")?;
        self.tensors.insert(read, tensor);
        Ok(())
    }
}

/// Collects the requested evidence while the tower runs on some images.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    request: &'a VisionRequest,
    images: Vec<VisionEvidence>,
    /// Number of tokens before the patches.
    num_class_tokens: usize,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        request: &'a VisionRequest,
        count: usize,
        num_class_tokens: usize,
    ) -> Collector<'a> {
        Collector {
            request,
            num_class_tokens,
            images: vec![VisionEvidence::default(); count],
        }
    }

    pub(super) fn request(&self) -> &VisionRequest {
        self.request
    }

    pub(super) fn finish(self) -> Vec<VisionEvidence> {
        self.images
    }

    /// Stores evidence taken from hidden states `[B, T, V]`, if it was requested; `make` computes
    /// the states.
    pub(super) fn states(
        &mut self,
        read: VisionRead,
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        if !self.request.contains(read) {
            return Ok(());
        }
        let states = make()?;
        for (image, evidence) in self.images.iter_mut().enumerate() {
            evidence.insert(read, states.get(image)?)?;
        }
        Ok(())
    }

    /// Stores the requested evidence from inside a layer.
    pub(super) fn layer(&mut self, layer: usize, projections: &Projections<'_>) -> Result<()> {
        for read in self
            .request
            .iter()
            .filter(|read| read.layer() == Some(layer))
        {
            for (image, evidence) in self.images.iter_mut().enumerate() {
                if let Some(tensor) = inside(read, projections, image, self.num_class_tokens)? {
                    evidence.insert(read, tensor)?;
                }
            }
        }
        Ok(())
    }
}

/// One image's evidence from inside a layer; `None` if `read` isn't from inside a layer.
fn inside(
    read: VisionRead,
    projections: &Projections<'_>,
    image: usize,
    num_class_tokens: usize,
) -> Result<Option<Tensor>> {
    let all = 0..projections.num_tokens();
    let patches = num_class_tokens..projections.num_tokens();
    let keys = || projections.keys(image);
    Ok(Some(match read {
        VisionRead::ClassAttention(_) => projections
            .weights(image, &keys()?, 0..1, patches)?
            .squeeze(1)?,
        VisionRead::Attention(_) => projections.weights(image, &keys()?, all.clone(), all)?,
        VisionRead::ReceivedAttention(_) => mean_over_rows(projections, image, &keys()?, patches)?,
        VisionRead::Queries(_) => projections.side_by_side(Part::Query, image)?,
        VisionRead::Keys(_) => projections.side_by_side(Part::Key, image)?,
        VisionRead::MeanKeys(_) => projections.mean_keys(image)?,
        VisionRead::Features | VisionRead::NormedFeatures | VisionRead::HiddenState(_) => {
            return Ok(None);
        }
    }))
}

/// Mean over all rows of their attention to the patches, `[H, P]`, accumulated in `f64`.
fn mean_over_rows(
    projections: &Projections<'_>,
    image: usize,
    keys: &Tensor,
    patches: Range<usize>,
) -> Result<Tensor> {
    let len = projections.num_tokens();
    let mut total: Option<Tensor> = None;
    for start in (0..len).step_by(MEAN_ROWS) {
        let rows = start..(start + MEAN_ROWS).min(len);
        let weights = projections.weights(image, keys, rows, patches.clone())?;
        let sums = weights
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .sum(1)?;
        total = Some(match total {
            Some(total) => (total + sums)?,
            None => sums,
        });
    }
    let total = total.ok_or(ModelError::InputValue {
        what: "the number of tokens of an image",
        found: "0".to_owned(),
        expected: "at least 1".to_owned(),
    })?;
    Ok((total / len as f64)?.to_dtype(DType::F32)?)
}

/// Checks that all values of `tensor` are finite.
pub(crate) fn check_finite(tensor: &Tensor, what: &'static str) -> Result<()> {
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return crate::gpu::check_finite(tensor, what);
    }
    let values = tensor.to_dtype(DType::F32)?;
    // The sum is finite if all values are, unless it overflows.
    if values.sum_all()?.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ModelError::NotFinite { what, index }),
        None => Ok(()),
    }
}
