//! Pictures.

use fp_image::DecodeLimits;

use super::Input;

/// Most pixels here, so that the memory a picture may take is far below the limit that
/// inputs are held to.
const LIMITS: DecodeLimits = DecodeLimits {
    max_pixels: 1 << 20,
};

pub(super) fn decode(input: &Input<'_>) -> bool {
    fp_image::decode(input.bytes, LIMITS).is_ok()
}
