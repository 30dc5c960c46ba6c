//! Decoding of pictures.

use fp_image::DecodeLimits;

use super::Input;

/// Pixel limit here, so that decoding a picture takes far less memory than an input may.
const LIMITS: DecodeLimits = DecodeLimits {
    max_pixels: 1 << 20,
};

pub(super) fn decode(input: &Input<'_>) -> bool {
    fp_image::decode(input.bytes, LIMITS).is_ok()
}
