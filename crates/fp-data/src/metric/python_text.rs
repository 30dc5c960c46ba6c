//! Python's string operations, since the reference evaluators are written in Python.

/// Whether Python's `str.isspace` holds: Unicode white space and U+001C–U+001F.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`: the words between runs of white space.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `str.lower()` of Python 2, one character per character: U+0130 becomes a plain i.
pub(crate) fn lower_python_2(text: &str) -> String {
    text.chars()
        .filter_map(|c| c.to_lowercase().next())
        .collect()
}

/// `str.capitalize()`: the first character in title case, the rest lower-cased.
pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // Rust has no title case; it differs from upper case only for a few ligatures.
        Some(first) => first
            .to_uppercase()
            .chain(chars.as_str().to_lowercase().chars())
            .collect(),
        None => String::new(),
    }
}

/// `json.dumps` of a string: printable ASCII unchanged, the rest escaped.
pub(crate) fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    json.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    json.push('"');
    json
}

/// Whether `\d` of Python 3 matches: a decimal digit of any script (category Nd).
pub(crate) fn is_decimal_digit(c: char) -> bool {
    let code = u32::from(c);
    match ZEROS.binary_search(&code) {
        Ok(_) => true,
        Err(0) => false,
        Err(next) => code - ZEROS[next - 1] < 10,
    }
}

/// The value of a decimal digit of any script, as an ASCII digit.
fn ascii_digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let place = ZEROS.partition_point(|&zero| zero <= code).checked_sub(1)?;
    char::from_digit(code - ZEROS[place], 10)
}

/// `float(text)`: surrounding white space, digits of any script and single underscores between
/// digits are allowed; so are `inf` and `nan` in any case.
pub(crate) fn float(text: &str) -> Option<f64> {
    let mut plain = String::new();
    let mut chars = strip(text).chars().peekable();
    let mut last = None;
    while let Some(c) = chars.next() {
        let c = ascii_digit(c).unwrap_or(c);
        if c == '_' {
            let is_digit = |c: Option<char>| c.is_some_and(is_decimal_digit);
            if !is_digit(last) || !is_digit(chars.peek().copied()) {
                return None;
            }
        } else {
            plain.push(c);
        }
        last = Some(c);
    }
    plain.parse().ok()
}

/// `round(number, 2)`: the nearest number with two decimals; exact binary ties go to even.
pub(crate) fn round_2(number: f64) -> f64 {
    // Formatting rounds the exact binary value, as Python does.
    format!("{number:.2}").parse().unwrap_or(number)
}

/// The zeros of all scripts, ascending; each is followed by its nine other digits.
/// Source: Unicode 14, general category Nd.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_pythons() {
        assert_eq!(strip("\u{a0}\u{1f} x \u{3000}"), "x");
        assert_eq!(strip("\u{200b}x"), "\u{200b}x");
        assert_eq!(split(" a\tb\u{1c}c  ").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(split(" \n").count(), 0);
    }

    #[test]
    fn digits_of_any_script() {
        assert!("09٠٩５𝟗".chars().all(is_decimal_digit));
        assert!(!"/:²½ⅷa٪".chars().any(is_decimal_digit));
        assert!(ZEROS.is_sorted());
    }

    #[test]
    fn numbers_as_python_reads_them() {
        for (text, expected) in [
            ("14", Some(14.0)),
            (" -1.5e3\n", Some(-1500.0)),
            ("+.5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1_000", Some(1000.0)),
            ("٣.٥", Some(3.5)),
            ("Infinity", Some(f64::INFINITY)),
            ("1__0", None),
            ("_1", None),
            ("1_.5", None),
            ("1,000", None),
            ("5%", None),
            ("1 2", None),
            ("", None),
            (".", None),
            ("²", None),
        ] {
            assert_eq!(float(text), expected, "{text:?}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn two_decimals() {
        // Exact ties go to the even digit; 2.675 is below its tie.
        for (number, expected) in [
            (0.125, 0.12),
            (0.375, 0.38),
            (2.675, 2.67),
            (1.005, 1.0),
            (-0.625, -0.62),
            (1e300, 1e300),
        ] {
            assert_eq!(round_2(number), expected, "{number}");
        }
    }

    #[test]
    fn case() {
        assert_eq!(lower_python_2("İSTANBUL"), "istanbul");
        assert_eq!(capitalize("what's THIS?"), "What's this?");
        assert_eq!(capitalize(""), "");
    }
}
