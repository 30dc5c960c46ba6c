//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::{DecoderPanic, ImageError, ImageSize, Resolution};

fn path() -> PathBuf {
    PathBuf::from("image.png")
}

fn text() -> String {
    "some text".to_owned()
}

fn json() -> serde_json::Error {
    serde_json::Error::custom(CAUSE)
}

fn panicked() -> DecoderPanic {
    DecoderPanic {
        decoder: "TIFF decoder",
        message: CAUSE.to_owned(),
    }
}

#[test]
fn images() {
    let resolution = Resolution {
        width: 3,
        height: 4,
    };
    check(&every_variant!(ImageError:
        Io { path: path(), source: io::Error::other(CAUSE) },
        InFile { path: path(), source: Box::new(ImageError::ConfigSyntax(json())) },
        Empty {},
        UnknownFormat { what: text(), known: "PNG, JPEG" },
        Damaged { format: "PNG", reason: text() },
        Unsupported { format: "PNG", reason: text() },
        Decoder { format: "PNG", source: CAUSE.into() },
        Panicked { format: "TIFF", source: panicked() },
        NoDecoder { format: "PNG", source: CAUSE.into() },
        TooLarge { width: 9, height: 9, max_pixels: 80 },
        TooLong { width: 9, height: 1, max_side: 8 },
        RawLength { width: 2, height: 2, expected: 12, got: 11 },
        NoPixels { width: 0, height: 3 },
        ConfigSyntax { 0: json() },
        ConfigField { field: "size", got: text(), expected: "a number" },
        NoPinpoints {},
        PinpointNotTiled { pinpoint: resolution, tile_side: 2 },
        Elongated { size: ImageSize { width: 1, height: 900 }, most: 200 },
        NoFittingPinpoint { size: ImageSize { width: 1, height: 900 } },
    ));
}
