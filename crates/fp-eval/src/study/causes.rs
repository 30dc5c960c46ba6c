//! An error as one line of text, with everything that caused it.

use std::error::Error;

/// The texts of an error and of its sources, in their order and each once: what a
/// record holds, which keeps no error itself.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // Some errors tell their source themselves, others forward it whole.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fp_model::ModelError;
    use fp_model::image::ImageError;

    #[test]
    fn causes_are_told_once() {
        let damaged = ImageError::Damaged {
            format: "PNG",
            reason: "cut off".to_owned(),
        };
        let in_file = ModelError::from(ImageError::InFile {
            path: "p05.png".into(),
            source: Box::new(damaged),
        });
        assert_eq!(with_causes(&in_file), "p05.png: damaged PNG image: cut off");
        let missing = ImageError::Io {
            path: "p06.png".into(),
            source: std::io::Error::other("no such disk"),
        };
        assert_eq!(with_causes(&missing), "cannot read p06.png: no such disk");
    }
}
