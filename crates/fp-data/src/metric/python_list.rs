//! Lists of strings in Python's notation, which some columns contain.

use super::python_text::{float, is_space, strip};

/// Parses a list as Python prints it, such as `['a', "it's"]`; `None` for anything else. Numbers in
/// it become text.
pub(crate) fn list(text: &str) -> Option<Vec<String>> {
    let inside = strip(text).strip_prefix('[')?.strip_suffix(']')?;
    let mut chars = inside.chars().peekable();
    let mut found = Vec::new();
    let skip_space = |chars: &mut Chars<'_>| while chars.next_if(|c| is_space(*c)).is_some() {};
    loop {
        skip_space(&mut chars);
        let Some(&first) = chars.peek() else { break };
        let item = if matches!(first, '\'' | '"') {
            chars.next();
            quoted(&mut chars, first)?
        } else {
            let mut bare = String::new();
            while let Some(c) = chars.next_if(|c| *c != ',') {
                bare.push(c);
            }
            let bare = strip(&bare);
            float(bare)?;
            bare.to_owned()
        };
        found.push(item);
        skip_space(&mut chars);
        match chars.next() {
            None => break,
            Some(',') => {}
            Some(_) => return None,
        }
    }
    Some(found)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The rest of a string literal after its opening quote.
fn quoted(chars: &mut Chars<'_>, quote: char) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'a' => text.push('\u{7}'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'v' => text.push('\u{b}'),
                'x' => text.push(code_point(chars, 2)?),
                'u' => text.push(code_point(chars, 4)?),
                'U' => text.push(code_point(chars, 8)?),
                c @ ('\\' | '\'' | '"') => text.push(c),
                // Python keeps a backslash that begins no escape sequence.
                c => text.extend(['\\', c]),
            },
            c if c == quote => return Some(text),
            c => text.push(c),
        }
    }
}

fn code_point(chars: &mut Chars<'_>, num_digits: usize) -> Option<char> {
    let digits: String = chars.by_ref().take(num_digits).collect();
    let code = (digits.len() == num_digits).then(|| u32::from_str_radix(&digits, 16));
    char::from_u32(code?.ok()?)
}

/// Formats a list as Python prints it, with single quotes.
pub(crate) fn print_list(texts: &[String]) -> String {
    let texts = texts.iter().map(|text| {
        let text = text
            .replace('\\', "\\\\")
            .replace('\'', "\\'")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t");
        format!("'{text}'")
    });
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_python_prints_them() {
        let texts = |texts: &[&str]| Some(texts.iter().map(|t| (*t).to_owned()).collect());
        for (text, expected) in [
            ("['$6', \"it's\", '1.5']", texts(&["$6", "it's", "1.5"])),
            (
                " ['a\\'b', 'c\\\\d', 'e\\nf', '\\xe9\\u4e00'] ",
                texts(&["a'b", "c\\d", "e\nf", "é一"]),
            ),
            (
                "['\\\\frac', '\\frac', '\\sqrt',]",
                texts(&["\\frac", "\u{c}rac", "\\sqrt"]),
            ),
            ("[1, 2.5]", texts(&["1", "2.5"])),
            ("[]", texts(&[])),
            ("['a' 'b']", None),
            ("['a", None),
            ("[a]", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(list(text), expected, "{text}");
        }
        let odd = ["a'b\"c".to_owned(), "\\n\n\t".to_owned(), "é".to_owned()];
        assert_eq!(list(&print_list(&odd)), Some(odd.to_vec()));
    }
}
