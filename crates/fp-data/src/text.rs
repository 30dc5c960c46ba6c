//! Text in drawings.

/// Lines of at most `most` characters, broken between words; a longer word gets a line of its own.
pub fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text escaped for an SVG element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_between_words() {
        let text = "word ".repeat(30);
        let lines = wrapped(&text, 46);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 46));
        assert_eq!(lines.join(" "), text.trim_end());
    }

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escaped("<a&b>"), "&lt;a&amp;b&gt;");
    }
}
