//! Samples beside the page: scripts, as a page that was opened from a disk may read
//! nothing else. Each calls the page back with what it holds and of which report it is.

use super::samples::Samples;
use super::to_json;
use crate::error::ReportError;
use crate::render::page::Apart;
use crate::render::page::markup::ScriptJson;
use crate::render::page::pictures::Pictures;

/// Samples in a file, by what was seen of their images.
pub(super) const SAMPLES: usize = 128;
/// Pictures in a file.
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
