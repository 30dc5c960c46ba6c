//! The JSON of samples as two byte streams that compress well: text, and the ascending lists of
//! numbers in it.
//!
//! Kept tokens and heads are ascending lists and make up most of a record. In the text, a list of
//! three numbers or more is replaced by the byte [`LIST`]; the stream of lists has its length, its
//! first number, and for each further one its difference to the previous one minus 1, all as
//! LEB128. A `kept_hash` that equals the hash of the last list before it
//! ([`fp_scoring::KeptTokens::hash64`]) is replaced by the byte [`HASH`]. JSON contains no control
//! characters; if one of the first three occurs otherwise, [`ESCAPE`] precedes it. Each sample ends
//! with a line end.

use fp_scoring::hash::fnv1a;

const ESCAPE: u8 = 0;
const LIST: u8 = 1;
const HASH: u8 = 2;

const HASH_BEGIN: &[u8] = b"\"kept_hash\":\"";
const HASH_DIGITS: usize = 16;
/// Shorter lists stay in the text.
const FEWEST: usize = 3;
/// Lists with numbers of more digits stay in the text.
const MOST_DIGITS: usize = 9;

/// Samples as streams of text and lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) text: Vec<u8>,
    pub(super) lists: Vec<u8>,
}

impl Packed {
    /// Adds the JSON of a sample, which must not contain a line end.
    pub(super) fn add(&mut self, content: &[u8]) {
        let mut list = Vec::new();
        let mut last = hash_of(&[]);
        let mut at = 0;
        while let Some(&byte) = content.get(at) {
            let rest = &content[at..];
            if byte == b'['
                && let Some(len) = ascending(rest, &mut list)
            {
                self.text.push(LIST);
                self.add_list(&list);
                last = hash_of(&list);
                at += len;
            } else if byte == b'"' && is_hash(rest, last) {
                self.text.push(HASH);
                at += HASH_BEGIN.len() + HASH_DIGITS + 1;
            } else {
                if byte <= HASH {
                    self.text.push(ESCAPE);
                }
                self.text.push(byte);
                at += 1;
            }
        }
        self.text.push(b'\n');
    }

    fn add_list(&mut self, list: &[u32]) {
        add_number(&mut self.lists, list.len() as u32);
        let mut next = 0;
        for &value in list {
            add_number(&mut self.lists, value - next);
            next = value + 1;
        }
    }
}

/// Restores the added samples, each with a line end; `len` bytes in total.
pub(super) fn unpack(text: &[u8], lists: &[u8], len: usize) -> Result<Vec<u8>, &'static str> {
    let mut content = Vec::with_capacity(len);
    let mut lists = lists.iter();
    let mut text = text.iter();
    let mut list = Vec::new();
    while let Some(&byte) = text.next() {
        match byte {
            ESCAPE => content.push(*text.next().ok_or("its text ends too early")?),
            LIST => {
                read_list(&mut lists, &mut list).ok_or("its lists end too early")?;
                write_list(&mut content, &list);
            }
            HASH => {
                content.extend_from_slice(HASH_BEGIN);
                content.extend_from_slice(format!("{:016x}\"", hash_of(&list)).as_bytes());
            }
            _ => {
                content.push(byte);
                if byte == b'\n' {
                    list.clear();
                }
            }
        }
        if content.len() > len {
            return Err("it holds more than it states");
        }
    }
    match content.len() == len && lists.as_slice().is_empty() {
        true => Ok(content),
        false => Err("it holds less than it states"),
    }
}

/// Parses the list at the start of `text` and returns its length in bytes; `None` unless it
/// consists of ascending whole numbers in JSON's notation.
fn ascending(text: &[u8], list: &mut Vec<u32>) -> Option<usize> {
    list.clear();
    let mut at = 1;
    loop {
        let digits = text[at..].iter().take(MOST_DIGITS + 1);
        let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
        let number = &text[at..at + digits];
        if digits == 0 || digits > MOST_DIGITS || (number[0] == b'0' && digits > 1) {
            return None;
        }
        let value = number
            .iter()
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        if list.last().is_some_and(|last| *last >= value) {
            return None;
        }
        list.push(value);
        at += digits + 1;
        match text.get(at - 1)? {
            b',' => {}
            b']' => return (list.len() >= FEWEST).then_some(at),
            _ => return None,
        }
    }
}

fn is_hash(text: &[u8], hash: u64) -> bool {
    text.strip_prefix(HASH_BEGIN)
        .is_some_and(|rest| rest.starts_with(format!("{hash:016x}\"").as_bytes()))
}

fn hash_of(list: &[u32]) -> u64 {
    fnv1a(list.iter().flat_map(|token| token.to_le_bytes()))
}

fn add_number(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.next()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn read_list(bytes: &mut std::slice::Iter<'_, u8>, list: &mut Vec<u32>) -> Option<()> {
    list.clear();
    let len = read_number(bytes)?;
    let mut next = 0_u32;
    for _ in 0..len {
        let value = next.checked_add(read_number(bytes)?)?;
        list.push(value);
        next = value.checked_add(1)?;
    }
    Some(())
}

fn write_list(content: &mut Vec<u8>, list: &[u32]) {
    content.push(b'[');
    let mut digits = [0; 10];
    for (position, &value) in list.iter().enumerate() {
        if position > 0 {
            content.push(b',');
        }
        let (mut at, mut value) = (digits.len(), value);
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        content.extend_from_slice(&digits[at..]);
    }
    content.push(b']');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(samples: &[&[u8]]) -> (Packed, Vec<u8>) {
        let mut packed = Packed::default();
        let mut all = Vec::new();
        for sample in samples {
            packed.add(sample);
            all.extend_from_slice(sample);
            all.push(b'\n');
        }
        (packed, all)
    }

    fn back(packed: &Packed, len: usize) -> Result<Vec<u8>, &'static str> {
        unpack(&packed.text, &packed.lists, len)
    }

    #[test]
    fn lists_and_hashes_are_taken_out_of_the_text() {
        let hash = format!("{:016x}", hash_of(&[3, 17, 300]));
        let sample = format!("{{\"kept\":[3,17,300],\"kept_hash\":\"{hash}\",\"x\":[1,2]}}");
        let (packed, all) = packed(&[sample.as_bytes()]);
        assert_eq!(packed.text, b"{\"kept\":\x01,\x02,\"x\":[1,2]}\n");
        // 3; 3, 17 − 4, 300 − 18 = 2 · 128 + 26.
        assert_eq!(packed.lists, [3, 3, 13, 0x80 | 26, 2]);
        assert_eq!(back(&packed, all.len()).unwrap(), all);
        assert!(back(&packed, all.len() - 1).is_err());
        assert!(back(&packed, all.len() + 1).is_err());
    }

    #[test]
    fn what_is_no_ascending_list_stays_text() {
        for sample in [
            "[1,2]",
            "[1,2,2]",
            "[01,2,3]",
            "[1,2,3.5]",
            "[1, 2, 3]",
            "[-1,2,3]",
            "[1,2,1234567890]",
            "[1,2,3",
            "[1,2,",
            "[",
            "\"kept_hash\":\"cbf29ce484222325\"",
            "\"kept_hash\":\"cbf29ce48422232",
            "\0\u{1}\u{2}",
        ] {
            let (packed, all) = packed(&[sample.as_bytes(), b"[1,2,3]", sample.as_bytes()]);
            assert_eq!(back(&packed, all.len()).unwrap(), all, "{sample:?}");
        }
    }

    #[test]
    fn a_hash_is_of_its_own_sample() {
        let sample = format!("\"kept_hash\":\"{:016x}\"", hash_of(&[1, 2, 3]));
        let (packed, all) = packed(&[b"[1,2,3]", sample.as_bytes()]);
        assert!(!packed.text.contains(&HASH));
        assert_eq!(back(&packed, all.len()).unwrap(), all);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(samples in proptest::collection::vec(
            "([\\[\\],0-9a\0\u{1}\u{2}\"]|\\[[0-9],[1-9][0-9],[1-9][0-9]{2}\\]|\"kept_hash\":\"){0,40}", 1..4)
        ) {
            let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_bytes()).collect();
            let (packed, all) = packed(&samples);
            prop_assert_eq!(back(&packed, all.len()).unwrap(), all);
        }

        #[test]
        fn any_bytes_are_an_error_or_something(
            text in proptest::collection::vec(0_u8..4, 0..60),
            lists in proptest::collection::vec(any::<u8>(), 0..60),
            len in 0_usize..400,
        ) {
            let _ = unpack(&text, &lists, len);
        }
    }
}
