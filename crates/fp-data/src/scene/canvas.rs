//! A canvas of pixels.

/// A square picture, values unbounded until [`Canvas::into_rgb`].
pub(super) struct Canvas {
    side: i32,
    pixels: Vec<[i32; 3]>,
}

impl Canvas {
    pub(super) fn new(side: i32) -> Canvas {
        Canvas {
            side,
            pixels: vec![[0; 3]; (side * side) as usize],
        }
    }

    pub(super) fn side(&self) -> i32 {
        self.side
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let inside = 0..self.side;
        (inside.contains(&x) && inside.contains(&y)).then(|| (y * self.side + x) as usize)
    }

    /// Sets a pixel; ignored outside the picture.
    pub(super) fn set(&mut self, x: i32, y: i32, color: [i32; 3]) {
        if let Some(index) = self.index(x, y) {
            self.pixels[index] = color;
        }
    }

    /// Changes a pixel's values; ignored outside the picture.
    pub(super) fn change(&mut self, x: i32, y: i32, change: impl Fn(i32) -> i32) {
        if let Some(index) = self.index(x, y) {
            self.pixels[index] = self.pixels[index].map(change);
        }
    }

    /// Blends `color` over a pixel with weight `part`/`whole`.
    pub(super) fn blend(&mut self, x: i32, y: i32, color: [i32; 3], part: i32, whole: i32) {
        if let Some(index) = self.index(x, y) {
            for (value, color) in self.pixels[index].iter_mut().zip(color) {
                *value = (*value * (whole - part) + color * part + whole / 2) / whole;
            }
        }
    }

    /// Fills a rectangle whose upper left corner is (x, y).
    pub(super) fn fill(&mut self, x: i32, y: i32, width: i32, height: i32, color: [i32; 3]) {
        for y in y..y + height {
            for x in x..x + width {
                self.set(x, y, color);
            }
        }
    }

    /// Bytes of red, green and blue, row by row.
    pub(super) fn into_rgb(self) -> Vec<u8> {
        self.pixels
            .into_iter()
            .flatten()
            .map(|value| value.clamp(0, 255) as u8)
            .collect()
    }
}
