//! Prepared images as tensors.

use candle_core::{Device, Tensor};
use fp_image::{AnyResPixels, PixelValues};

/// Pixel values that the vision tower takes as a tensor.
pub trait ToTensor {
    /// The values as an f32 tensor: `[1, 3, height, width]` for one image, `[tiles, 3, height,
    /// width]` for one at any resolution.
    ///
    /// # Errors
    /// An error of candle, such as a device out of memory.
    fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor>;
}

impl ToTensor for PixelValues {
    fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.data, (1, 3, self.height, self.width), device)
    }
}

impl ToTensor for AnyResPixels {
    fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        let Some(first) = self.tiles.first() else {
            candle_core::bail!("an image without tiles");
        };
        // Joined on the host: one transfer, and no kernel of another library on a GPU.
        let tiles: Vec<&[f32]> = self.tiles.iter().map(|tile| &tile.data[..]).collect();
        let shape = (tiles.len(), 3, first.height, first.width);
        Tensor::from_vec(tiles.concat(), shape, device)
    }
}

#[cfg(test)]
mod tests {
    use fp_image::{GridPinpoints, ImageProcessor, PreprocessorConfig, RgbImage};

    use super::*;

    #[test]
    fn tiles_are_one_batch() {
        let config = PreprocessorConfig::from_json(r#"{"size": 4, "crop_size": 4}"#).unwrap();
        let pinpoints = GridPinpoints::new(&[(4, 8)]).unwrap();
        let image = RgbImage::new(4, 8, (0..96).collect()).unwrap();
        let pixels = ImageProcessor::new(config).preprocess_anyres(&image, &pinpoints);
        let pixels = pixels.unwrap();
        let tensor = pixels.to_tensor(&Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [pixels.tiles.len(), 3, 4, 4]);
        let tile = tensor.get(1).unwrap().flatten_all().unwrap();
        assert_eq!(tile.to_vec1::<f32>().unwrap(), pixels.tiles[1].data);
    }
}
