//! Rotary position embedding.

/// Parameters of a head's rotary position embedding.
#[derive(Debug, Clone, Copy)]
pub struct Rope {
    /// Width of a head.
    pub width: usize,
    /// The base of its angles.
    pub base: f64,
}

impl Rope {
    /// The product of two vectors of ones at positions `apart` from each other, due to the
    /// rotation only, divided by √width.
    pub fn gravity(self, apart: usize) -> f64 {
        let width = self.width as f64;
        let angles = (0..self.width / 2).map(|k| self.base.powf(-2.0 * k as f64 / width));
        let sum: f64 = angles.map(|angle| (apart as f64 * angle).cos()).sum();
        2.0 / width.sqrt() * sum
    }
}
