//! The common colour scale for shading.

/// Six steps from dark blue to yellow with evenly increasing lightness (after cividis), so that
/// they look the same to colour-blind readers and in both themes.
const SHADES: [[f64; 3]; 6] = [
    [0.0, 34.0, 78.0],
    [53.0, 69.0, 108.0],
    [102.0, 105.0, 112.0],
    [148.0, 142.0, 119.0],
    [200.0, 184.0, 102.0],
    [254.0, 232.0, 56.0],
];

/// Red, green and blue for a value, which is clamped to 0 to 1.
pub(crate) fn shade(value: f64) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64;
    let below = (place as usize).min(SHADES.len() - 2);
    let share = place - below as f64;
    [0, 1, 2].map(|i| {
        let (from, to) = (SHADES[below][i], SHADES[below + 1][i]);
        (from + share * (to - from)).round() as u8
    })
}
