//! `preprocessor_config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{ImageError, ResampleFilter};

/// Mean of CLIP's training images, the class default of Hugging Face's `CLIPImageProcessor`.
const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation of CLIP's training images, likewise.
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
/// Shortest edge and crop of `CLIPImageProcessor` when the file gives none.
const CLIP_SIDE: usize = 224;
/// Pinpoints `(height, width)` of `LlavaNextImageProcessor` when the file gives none.
const NEXT_PINPOINTS: [(usize, usize); 5] =
    [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];

const CLIP_TYPES: [&str; 6] = [
    "CLIPImageProcessor",
    "CLIPImageProcessorFast",
    "CLIPFeatureExtractor",
    "LlavaImageProcessor",
    "LlavaImageProcessorFast",
    "LlavaFeatureExtractor",
];
const NEXT_TYPES: [&str; 3] = [
    "LlavaNextImageProcessor",
    "LlavaNextImageProcessorFast",
    "LlavaNextFeatureExtractor",
];

/// Target of the resize step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeTarget {
    /// The shorter side becomes this many pixels, the longer keeps the aspect ratio (rounded down).
    ShortestEdge(usize),
    /// Exactly this size, whatever the aspect ratio.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// How pixels become the values that the vision tower sees. A field that the file lacks has the
/// default of Hugging Face's image processor class.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessorConfig {
    /// Resize before anything else; `None`: keep the size.
    pub resize: Option<ResizeTarget>,
    /// Kernel of the resize.
    pub resample: ResampleFilter,
    /// Cut `[height, width]` from the middle; `None`: keep everything.
    pub crop: Option<[usize; 2]>,
    /// Multiply samples of 0..=255 with this; `None`: leave them.
    pub rescale_factor: Option<f64>,
    /// Mean and standard deviation of each channel to normalise with; `None`: do not.
    pub normalize: Option<ChannelStatistics>,
    /// Mean of each channel, which also colours the padding, normalised or not.
    pub image_mean: [f64; 3],
    /// Any-resolution sizes `(height, width)`; `None`: not an any-resolution processor.
    pub grid_pinpoints: Option<Vec<(usize, usize)>>,
}

/// Mean and standard deviation of the red, green and blue channel, in units of rescaled samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelStatistics {
    /// Means.
    pub mean: [f64; 3],
    /// Standard deviations, all positive.
    pub std: [f64; 3],
}

impl Default for PreprocessorConfig {
    /// The class defaults of `CLIPImageProcessor`.
    fn default() -> Self {
        Self {
            resize: Some(ResizeTarget::ShortestEdge(CLIP_SIDE)),
            resample: ResampleFilter::Bicubic,
            crop: Some([CLIP_SIDE, CLIP_SIDE]),
            rescale_factor: Some(1.0 / 255.0),
            normalize: Some(ChannelStatistics {
                mean: CLIP_MEAN,
                std: CLIP_STD,
            }),
            image_mean: CLIP_MEAN,
            grid_pinpoints: None,
        }
    }
}

/// The file as written; every field may be missing.
#[derive(Debug, Default, Deserialize)]
struct Raw {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Value>,
    resample: Option<i64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<PerChannel>,
    image_std: Option<PerChannel>,
    image_grid_pinpoints: Option<Vec<(usize, usize)>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum PerChannel {
    One(f64),
    Each([f64; 3]),
}

impl PerChannel {
    fn expand(self) -> [f64; 3] {
        match self {
            Self::One(value) => [value; 3],
            Self::Each(values) => values,
        }
    }
}

impl PreprocessorConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ImageError::Io`] if it cannot be read (a missing file included), else as
    /// [`from_json`](Self::from_json), both naming the file.
    pub fn load(path: &Path) -> Result<Self, ImageError> {
        let text = fp_scoring::read_text_file(path).map_err(|source| ImageError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_json(&text).map_err(|source| ImageError::InFile {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads the file at `path`, or takes the class defaults where there is none.
    ///
    /// # Errors
    /// As [`load`](Self::load), a missing file apart.
    pub fn load_or_default(path: &Path) -> Result<Self, ImageError> {
        match Self::load(path) {
            Err(ImageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            result => result,
        }
    }

    /// Parses the text of a `preprocessor_config.json`, older forms (`"size": 336`) included.
    ///
    /// # Errors
    /// [`ImageError::ConfigSyntax`] and [`ImageError::ConfigField`].
    pub fn from_json(text: &str) -> Result<Self, ImageError> {
        Self::from_raw(serde_json::from_str(text)?)
    }

    fn from_raw(raw: Raw) -> Result<Self, ImageError> {
        let is_next = match raw.image_processor_type.or(raw.feature_extractor_type) {
            None => raw.image_grid_pinpoints.is_some(),
            Some(name) if CLIP_TYPES.contains(&name.as_str()) => raw.image_grid_pinpoints.is_some(),
            Some(name) if NEXT_TYPES.contains(&name.as_str()) => true,
            Some(name) => {
                return Err(ImageError::ConfigField {
                    field: "image_processor_type",
                    got: format!("`{name}`"),
                    expected: "a CLIPImageProcessor, LlavaImageProcessor or LlavaNextImageProcessor",
                });
            }
        };
        let defaults = Self::default();
        let resize = match &raw.size {
            None => defaults.resize,
            Some(size) => Some(resize_target(size)?),
        };
        let crop = match &raw.crop_size {
            None => defaults.crop,
            Some(size) => Some(crop_size(size)?),
        };
        let resample = raw
            .resample
            .map_or(Ok(defaults.resample), ResampleFilter::from_code)?;
        let rescale_factor = raw.rescale_factor.or(defaults.rescale_factor);
        let image_mean = raw.image_mean.map_or(CLIP_MEAN, PerChannel::expand);
        let std = raw.image_std.map_or(CLIP_STD, PerChannel::expand);
        if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(ImageError::ConfigField {
                field: "image_std",
                got: bad.to_string(),
                expected: "a positive number for each channel",
            });
        }
        let grid_pinpoints = is_next.then(|| {
            raw.image_grid_pinpoints
                .unwrap_or_else(|| NEXT_PINPOINTS.to_vec())
        });
        Ok(Self {
            resize: resize.filter(|_| raw.do_resize.unwrap_or(true)),
            resample,
            crop: crop.filter(|_| raw.do_center_crop.unwrap_or(true)),
            rescale_factor: rescale_factor.filter(|_| raw.do_rescale.unwrap_or(true)),
            normalize: raw
                .do_normalize
                .unwrap_or(true)
                .then_some(ChannelStatistics {
                    mean: image_mean,
                    std,
                }),
            image_mean,
            grid_pinpoints,
        })
    }
}

fn resize_target(value: &Value) -> Result<ResizeTarget, ImageError> {
    let pixels = |v: &Value| side("size", v);
    match value {
        Value::Number(_) => pixels(value).map(ResizeTarget::ShortestEdge),
        Value::Object(map) => {
            if let Some(edge) = map.get("shortest_edge") {
                return pixels(edge).map(ResizeTarget::ShortestEdge);
            }
            match (map.get("height"), map.get("width")) {
                (Some(height), Some(width)) => Ok(ResizeTarget::Exact {
                    height: pixels(height)?,
                    width: pixels(width)?,
                }),
                _ => Err(size_error("size", value)),
            }
        }
        _ => Err(size_error("size", value)),
    }
}

fn crop_size(value: &Value) -> Result<[usize; 2], ImageError> {
    const FIELD: &str = "crop_size";
    match value {
        Value::Number(_) => side(FIELD, value).map(|s| [s, s]),
        Value::Object(map) => match (map.get("height"), map.get("width")) {
            (Some(height), Some(width)) => Ok([side(FIELD, height)?, side(FIELD, width)?]),
            _ => Err(size_error(FIELD, value)),
        },
        _ => Err(size_error(FIELD, value)),
    }
}

/// Larger sides than this are a mistake in the file, and would overflow nothing but memory.
const MAX_SIDE: u64 = 1 << 16;

fn side(field: &'static str, value: &Value) -> Result<usize, ImageError> {
    value
        .as_u64()
        .filter(|s| (1..=MAX_SIDE).contains(s))
        .and_then(|s| usize::try_from(s).ok())
        .ok_or_else(|| size_error(field, value))
}

fn size_error(field: &'static str, value: &Value) -> ImageError {
    ImageError::ConfigField {
        field,
        got: value.to_string(),
        expected: if field == "size" {
            "a number of pixels, {\"shortest_edge\": n} or {\"height\": h, \"width\": w}, all 1 to 65536"
        } else {
            "a number of pixels or {\"height\": h, \"width\": w}, all 1 to 65536"
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_class_defaults() {
        let config = PreprocessorConfig::from_json("{}").expect("valid");
        assert_eq!(config, PreprocessorConfig::default());
        assert_eq!(config.crop, Some([224, 224]));
    }

    #[test]
    fn older_and_newer_spellings_of_a_size_agree() {
        let old =
            r#"{"size": 336, "crop_size": 336, "feature_extractor_type": "CLIPFeatureExtractor"}"#;
        let new = r#"{"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336},
                      "image_processor_type": "CLIPImageProcessor"}"#;
        let old = PreprocessorConfig::from_json(old).expect("valid");
        assert_eq!(old, PreprocessorConfig::from_json(new).expect("valid"));
        assert_eq!(old.resize, Some(ResizeTarget::ShortestEdge(336)));
    }

    #[test]
    fn switched_off_steps_are_none_but_the_mean_stays_for_the_padding() {
        let off = r#"{"do_resize": false, "do_center_crop": false, "do_rescale": false,
                      "do_normalize": false, "image_mean": 0.5}"#;
        let config = PreprocessorConfig::from_json(off).expect("valid");
        assert_eq!(config.resize, None);
        assert_eq!(config.crop, None);
        assert_eq!(config.rescale_factor, None);
        assert_eq!(config.normalize, None);
        assert_eq!(config.image_mean, [0.5; 3]);
    }

    #[test]
    fn the_any_resolution_class_has_pinpoints_of_its_own() {
        let config =
            PreprocessorConfig::from_json(r#"{"image_processor_type": "LlavaNextImageProcessor"}"#)
                .expect("valid");
        assert_eq!(
            config.grid_pinpoints.as_deref(),
            Some(NEXT_PINPOINTS.as_slice())
        );
    }

    #[test]
    fn unusable_fields_are_named() {
        for (text, field) in [
            (r#"{"size": {"longest_edge": 336}}"#, "size"),
            (r#"{"size": 0}"#, "size"),
            (r#"{"size": -3}"#, "size"),
            (r#"{"crop_size": "big"}"#, "crop_size"),
            (r#"{"crop_size": {"shortest_edge": 336}}"#, "crop_size"),
            (r#"{"resample": 9}"#, "resample"),
            (r#"{"image_std": [0.2, 0, 0.2]}"#, "image_std"),
            (
                r#"{"image_processor_type": "SiglipImageProcessor"}"#,
                "image_processor_type",
            ),
        ] {
            match PreprocessorConfig::from_json(text) {
                Err(ImageError::ConfigField { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(
            PreprocessorConfig::from_json(r#"{"image_mean": [1, 2]}"#),
            Err(ImageError::ConfigSyntax(_))
        ));
    }
}
