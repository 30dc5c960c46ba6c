//! Text of an error with all its causes, without repetition.

use std::error::Error;

/// The texts of an error and of its causes, outermost first, without repetition.
///
/// The error types of this project never repeat the text of their source. Those of other
/// libraries often do, so a cause whose text is already included is omitted, and a cause that
/// begins with the text before it replaces that text.
pub fn error_chain(error: &dyn Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().trim().to_owned();
        let is_told = text.is_empty() || texts.iter().any(|told| told.contains(&text));
        if !is_told {
            texts.pop_if(|last| continues(&text, last));
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

/// An error and its causes in one line, as shown to users and stored in records: `can't read
/// a.json: No such file or directory (os error 2)`.
pub fn error_text(error: &dyn Error) -> String {
    error_chain(error).join(": ")
}

/// Whether `text` is `start` followed by a colon and more.
fn continues(text: &str, start: &str) -> bool {
    let rest = text.strip_prefix(start);
    rest.is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let (first, rest) = texts.split_first().unwrap();
        Link {
            text: first,
            source: match rest {
                [] => None,
                rest => Some(Box::new(chain(rest))),
            },
        }
    }

    #[test]
    fn every_text_once() {
        assert_eq!(error_text(&chain(&["a", "b", "c"])), "a: b: c");
        // As in libraries that print their cause and also return it as their source.
        assert_eq!(error_text(&chain(&["a: b: c", "b: c", "c"])), "a: b: c");
        assert_eq!(
            error_text(&chain(&["p05.png", "p05.png: cut off"])),
            "p05.png: cut off"
        );
        assert_eq!(
            error_text(&chain(&["run", "running out", ""])),
            "run: running out"
        );
        let missing = io::Error::from_raw_os_error(2);
        let again = io::Error::other(missing);
        let text = error_text(&again);
        assert_eq!(text.matches("os error 2").count(), 1, "{text}");
    }
}
