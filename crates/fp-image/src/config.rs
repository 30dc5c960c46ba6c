//! Parses `preprocessor_config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{ImageError, ImageSize, ResampleFilter, SmartResize};

/// Mean of CLIP's training images, the class default of Hugging Face's `CLIPImageProcessor`.
const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation of CLIP's training images, from the same class.
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
/// Shortest edge and crop of `CLIPImageProcessor` if the file gives none.
const CLIP_SIDE: usize = 224;
/// Pinpoints `(height, width)` of `LlavaNextImageProcessor` if the file gives none.
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

const ONEVISION_TYPES: [&str; 2] = [
    "LlavaOnevisionImageProcessor",
    "LlavaOnevisionImageProcessorFast",
];
/// Side that `LlavaOnevisionImageProcessor` resizes to if the file gives none.
const ONEVISION_SIDE: usize = 384;
/// Sides of the pinpoints of `LlavaOnevisionImageProcessor`, in all combinations.
const ONEVISION_SIDES: [usize; 6] = [384, 768, 1152, 1536, 1920, 2304];
const QWEN_TYPES: [&str; 3] = [
    "Qwen2VLImageProcessor",
    "Qwen2VLImageProcessorFast",
    "Qwen2_5_VLImageProcessor",
];
/// Patch side, patches per cell side, and pixel limits of `Qwen2VLImageProcessor` if the file
/// gives none.
const QWEN_PATCH: usize = 14;
const QWEN_MERGE: usize = 2;
const QWEN_PIXELS: [usize; 2] = [56 * 56, 28 * 28 * 1280];

/// Target of the resize step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeTarget {
    /// The shorter side becomes this many pixels, the longer keeps the aspect ratio (rounded down).
    ShortestEdge(usize),
    /// Exactly this size, regardless of the aspect ratio.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A whole number of cells, with the aspect ratio kept as closely as they allow.
    Smart(SmartResize),
}

impl ResizeTarget {
    /// The size to which an image or canvas of `size` is resized.
    ///
    /// # Errors
    /// As [`SmartResize::size`].
    pub fn size(self, size: ImageSize) -> Result<ImageSize, ImageError> {
        match self {
            ResizeTarget::Exact { height, width } => Ok(ImageSize { height, width }),
            ResizeTarget::ShortestEdge(edge) => Ok(super::shortest_edge(size, edge)),
            ResizeTarget::Smart(rule) => rule.size(size),
        }
    }
}

/// Conversion of pixels to the vision tower's input values. A field that is missing in the file
/// has the default of Hugging Face's image processor class.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessorConfig {
    /// Resize as the first step; `None`: keep the size.
    pub resize: Option<ResizeTarget>,
    /// Kernel of the resize.
    pub resample: ResampleFilter,
    /// Crop `[height, width]` from the centre; `None`: no crop.
    pub crop: Option<[usize; 2]>,
    /// Factor for samples of 0..=255; `None`: no rescaling.
    pub rescale_factor: Option<f64>,
    /// Mean and standard deviation of each channel for normalisation; `None`: no normalisation.
    pub normalize: Option<ChannelStatistics>,
    /// Mean of each channel, which is also the padding colour, with or without normalisation.
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

/// The file's fields, all of which are optional.
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
    min_pixels: Option<Value>,
    max_pixels: Option<Value>,
    patch_size: Option<Value>,
    merge_size: Option<Value>,
}

/// A file in which the image processor is one of several parts.
#[derive(Debug, Default, Deserialize)]
struct Whole {
    image_processor: Option<Raw>,
}

/// The supported processor classes, by behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Clip,
    Next,
    Onevision,
    Qwen,
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
    /// [`ImageError::Io`] if it cannot be read (including a missing file), otherwise as
    /// [`from_json`](Self::from_json); both name the file.
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

    /// Reads the file at `path`, or returns the class defaults if it does not exist.
    ///
    /// # Errors
    /// As [`load`](Self::load), except for a missing file.
    pub fn load_or_default(path: &Path) -> Result<Self, ImageError> {
        match Self::load(path) {
            Err(ImageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            result => result,
        }
    }

    /// Parses the text of a `preprocessor_config.json`, including older forms (`"size": 336`), or
    /// of a `processor_config.json`, in which transformers 5 stores the same under
    /// `image_processor`.
    ///
    /// # Errors
    /// [`ImageError::ConfigSyntax`] and [`ImageError::ConfigField`].
    pub fn from_json(text: &str) -> Result<Self, ImageError> {
        let whole: Whole = serde_json::from_str(text)?;
        match whole.image_processor {
            Some(raw) => Self::from_raw(raw),
            None => Self::from_raw(serde_json::from_str(text)?),
        }
    }

    fn from_raw(raw: Raw) -> Result<Self, ImageError> {
        let class = match raw
            .image_processor_type
            .as_ref()
            .or(raw.feature_extractor_type.as_ref())
        {
            None => None,
            Some(name) if CLIP_TYPES.contains(&name.as_str()) => None,
            Some(name) if NEXT_TYPES.contains(&name.as_str()) => Some(Class::Next),
            Some(name) if ONEVISION_TYPES.contains(&name.as_str()) => Some(Class::Onevision),
            Some(name) if QWEN_TYPES.contains(&name.as_str()) => Some(Class::Qwen),
            Some(name) => {
                return Err(ImageError::ConfigField {
                    field: "image_processor_type",
                    got: format!("`{name}`"),
                    expected: "a CLIPImageProcessor, LlavaImageProcessor, LlavaNextImageProcessor, \
                               LlavaOnevisionImageProcessor or Qwen2VLImageProcessor",
                });
            }
        };
        let class = class.unwrap_or(if raw.image_grid_pinpoints.is_some() {
            Class::Next
        } else {
            Class::Clip
        });
        let defaults = Self::default();
        let resize = match (&raw.size, class) {
            (_, Class::Qwen) => Some(ResizeTarget::Smart(smart_resize(&raw)?)),
            (None, Class::Onevision) => Some(ResizeTarget::Exact {
                height: ONEVISION_SIDE,
                width: ONEVISION_SIDE,
            }),
            (None, _) => defaults.resize,
            (Some(size), _) => Some(resize_target(size)?),
        };
        let crop = match (&raw.crop_size, class) {
            (_, Class::Qwen) | (None, Class::Onevision) => None,
            (None, _) => defaults.crop,
            (Some(size), _) => Some(crop_size(size)?),
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
        let grid_pinpoints = match (class, raw.image_grid_pinpoints) {
            (Class::Clip | Class::Qwen, _) => None,
            (_, Some(pinpoints)) => Some(pinpoints),
            (Class::Next, None) => Some(NEXT_PINPOINTS.to_vec()),
            (Class::Onevision, None) => Some(onevision_pinpoints()),
        };
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

/// The sizes `(height, width)` that LLaVA-OneVision enlarges images to by default.
#[must_use]
pub fn onevision_pinpoints() -> Vec<(usize, usize)> {
    let columns = |height| ONEVISION_SIDES.iter().map(move |&width| (height, width));
    ONEVISION_SIDES
        .iter()
        .flat_map(|&side| columns(side))
        .collect()
}

/// `min_pixels` and `max_pixels` take precedence over `size`, whose edges hold the same numbers.
fn smart_resize(raw: &Raw) -> Result<SmartResize, ImageError> {
    const MOST: u64 = 1 << 32;
    let number = |field: &'static str, value: Option<&Value>, default: usize| {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(default);
        };
        value
            .as_u64()
            .filter(|number| (1..=MOST).contains(number))
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| ImageError::ConfigField {
                field,
                got: value.to_string(),
                expected: "a positive whole number",
            })
    };
    let of_size = |names: [&str; 2]| {
        let size = raw.size.as_ref()?;
        names.iter().find_map(|name| size.get(name))
    };
    let min = raw
        .min_pixels
        .as_ref()
        .or_else(|| of_size(["shortest_edge", "min_pixels"]));
    let max = raw
        .max_pixels
        .as_ref()
        .or_else(|| of_size(["longest_edge", "max_pixels"]));
    let patch = number("patch_size", raw.patch_size.as_ref(), QWEN_PATCH)?;
    let merge = number("merge_size", raw.merge_size.as_ref(), QWEN_MERGE)?;
    let rule = SmartResize {
        factor: patch.saturating_mul(merge),
        min_pixels: number("min_pixels", min, QWEN_PIXELS[0])?,
        max_pixels: number("max_pixels", max, QWEN_PIXELS[1])?,
    };
    if rule.factor as u64 > MAX_SIDE {
        return Err(size_error("patch_size", &Value::from(rule.factor)));
    }
    if rule.min_pixels > rule.max_pixels {
        return Err(ImageError::ConfigField {
            field: "min_pixels",
            got: rule.min_pixels.to_string(),
            expected: "no more than `max_pixels`",
        });
    }
    Ok(rule)
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

/// Larger sides are errors in the file, and would only exhaust memory.
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
    fn cells_of_any_size() {
        let smart = |json: &str| match PreprocessorConfig::from_json(json).expect("valid") {
            PreprocessorConfig {
                resize: Some(ResizeTarget::Smart(rule)),
                crop: None,
                grid_pinpoints: None,
                ..
            } => (rule.factor, rule.min_pixels, rule.max_pixels),
            other => panic!("{other:?}"),
        };
        let of_class = |fields: &str| {
            smart(&format!(
                r#"{{"image_processor_type": "Qwen2VLImageProcessor"{fields}}}"#
            ))
        };
        assert_eq!(of_class(""), (28, 3136, 1_003_520));
        let both = r#", "min_pixels": 100, "max_pixels": 900, "patch_size": 4, "merge_size": 3"#;
        assert_eq!(of_class(both), (12, 100, 900));
        let size = r#", "size": {"shortest_edge": 7, "longest_edge": 9}"#;
        assert_eq!(of_class(size), (28, 7, 9));
        let kind = r#"{"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 9,
                       "max_pixels": 8}"#;
        assert!(PreprocessorConfig::from_json(kind).is_err());
    }

    #[test]
    fn a_part_of_a_processor_is_the_same() {
        let part = r#"{"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 7}"#;
        let whole = format!(r#"{{"processor_class": "X", "image_processor": {part}}}"#);
        assert_eq!(
            PreprocessorConfig::from_json(&whole).expect("valid"),
            PreprocessorConfig::from_json(part).expect("valid")
        );
    }

    #[test]
    fn crops_of_one_vision() {
        let config = PreprocessorConfig::from_json(
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor"}"#,
        )
        .expect("valid");
        let side = ResizeTarget::Exact {
            height: 384,
            width: 384,
        };
        assert_eq!((config.resize, config.crop), (Some(side), None));
        let pinpoints = config.grid_pinpoints.expect("any resolution");
        assert_eq!(pinpoints.len(), 36);
        assert_eq!(pinpoints[..2], [(384, 384), (384, 768)]);
        assert_eq!(pinpoints[35], (2304, 2304));
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
