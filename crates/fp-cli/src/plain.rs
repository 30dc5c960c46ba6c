//! Safe output of foreign text on a terminal.
//!
//! Names of tensors, datasets and files come from others. Control sequences and marks that change
//! the writing direction are shown instead of obeyed.

use std::borrow::Cow;

/// `text` with all control characters except tabs and line breaks escaped.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_command(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

fn is_command(letter: char) -> bool {
    let is_control = letter.is_control() && !matches!(letter, '\n' | '\t');
    // Marks that change or override the direction of the following text.
    is_control
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn commands_are_spelled_out() {
        for (text, shown) in [
            ("red\u{1b}[31m", "red\\u{1b}[31m"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\rb\u{8}", "a\\u{d}b\\u{8}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("abc\u{202e}gpj.exe", "abc\\u{202e}gpj.exe"),
            ("\u{7f}", "\\u{7f}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        for text in ["", "a\tb\nc", "größe – ≥ 你好 ▲", "{\"a\": \"\\u001b\"}"] {
            assert!(matches!(plain(text), std::borrow::Cow::Borrowed(same) if same == text));
        }
    }
}
