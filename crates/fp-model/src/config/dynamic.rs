//! Vision parts that take images of any size, as patches.

use super::VisionConfig;

/// Settings of a vision part that takes images of any size as patches, besides those of its layers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DynamicVision {
    /// Patches along each side of the square that is merged into one image token.
    pub merge_size: usize,
    /// Number of frames in a patch; a still image is repeated for all of them.
    pub temporal_patch_size: usize,
    /// Side of an attention window in pixels, if some layers have windows.
    pub window_size: Option<usize>,
    /// Layers without windows, which attend to the whole image, counted from 0.
    pub full_layers: Vec<usize>,
    /// Whether layers have RMS norms and a gated MLP, rather than layer norms and a plain MLP.
    pub is_gated: bool,
}

impl DynamicVision {
    /// Columns and rows of image tokens for an image of `[height, width]` pixels.
    #[must_use]
    pub fn grid(&self, vision: &VisionConfig, [height, width]: [usize; 2]) -> [usize; 2] {
        let cell = (vision.patch_size * self.merge_size).max(1);
        [width / cell, height / cell]
    }

    /// Image tokens along a side of a window; `None` if layer `index` attends to the whole image.
    #[must_use]
    pub fn window(&self, vision: &VisionConfig, index: usize) -> Option<usize> {
        let window = self.window_size?;
        let side = window / self.merge_size.max(1) / vision.patch_size.max(1);
        (!self.full_layers.contains(&index)).then_some(side.max(1))
    }
}
