//! Vision parts that take images of any size, cut into patches.

use super::VisionConfig;

/// What a vision part that takes patches of images of any size has beside its layers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DynamicVision {
    /// Patches along a side of what becomes one image token.
    pub merge_size: usize,
    /// Pictures that a patch is of; a still image stands for all of them.
    pub temporal_patch_size: usize,
    /// Side of a window of attention in pixels, where layers have windows.
    pub window_size: Option<usize>,
    /// Layers that see the whole image even so, counted from 0.
    pub full_layers: Vec<usize>,
    /// Whether layers have RMS norms and a gated MLP, and not layer norms and a plain one.
    pub is_gated: bool,
}

impl DynamicVision {
    /// Columns and rows of the image tokens of `[height, width]` pixels.
    #[must_use]
    pub fn grid(&self, vision: &VisionConfig, [height, width]: [usize; 2]) -> [usize; 2] {
        let cell = (vision.patch_size * self.merge_size).max(1);
        [width / cell, height / cell]
    }

    /// Image tokens along a side of a window; none where layer `index` sees the whole image.
    #[must_use]
    pub fn window(&self, vision: &VisionConfig, index: usize) -> Option<usize> {
        let window = self.window_size?;
        let side = window / self.merge_size.max(1) / vision.patch_size.max(1);
        (!self.full_layers.contains(&index)).then_some(side.max(1))
    }
}
