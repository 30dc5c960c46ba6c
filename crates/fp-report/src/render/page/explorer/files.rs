//! Samples in files beside the page. They are scripts, since a page opened from a disk may load
//! nothing else. Each calls the page back with its content and the report that it belongs to.

use super::samples::Samples;
use super::to_json;
use crate::error::ReportError;
use crate::render::page::Apart;
use crate::render::page::markup::ScriptJson;
use crate::render::page::pictures::Pictures;

/// Number of samples per file.
pub(super) const SAMPLES: usize = 128;
/// Number of pictures per file.
pub(super) const PICTURES: usize = 64;

pub(super) fn files(
    samples: &Samples,
    pictures: &Pictures<'_>,
    run: &str,
) -> Result<Vec<Apart>, ReportError> {
    let mut files = vec![file("index", 0, run, &samples.index_json()?)];
    for (number, seen) in samples.seen.chunks(SAMPLES).enumerate() {
        files.push(file("seen", number, run, &to_json(&seen)?));
    }
    for (number, encoded) in pictures.encoded.chunks(PICTURES).enumerate() {
        files.push(file("pictures", number, run, &to_json(&encoded)?));
    }
    Ok(files)
}

fn file(kind: &str, number: usize, run: &str, json: &str) -> Apart {
    Apart {
        name: format!("{kind}-{number}.js"),
        content: format!(
            "fineprunerSamples(\"{kind}\", {number}, \"{run}\", {});\n",
            ScriptJson::new(json)
        ),
    }
}
