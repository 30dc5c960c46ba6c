//! Damage to text: cells, lines, words.

use super::bytes;
use crate::random::Random;

/// Words that are hard to parse as a number, a name or a text.
pub(super) const WORDS: [&str; 48] = [
    "",
    " ",
    "0",
    "-0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "-1e999",
    "1e308",
    "5e-324",
    "0.1",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{0}",
    "\r",
    "\n",
    "\t",
    "\u{85}",
    "é",
    "𝟘",
    "ﬀ",
    "\u{202e}",
    "../../etc/passwd",
    "/dev/zero",
    "=1+1",
    "1/0",
    "0/1",
    "1..2",
];

/// A word that is hard to parse.
pub(super) fn word(random: &mut Random) -> String {
    match random.below(12) {
        0 => "a".repeat(random.length(100_000)),
        1 => "é ".repeat(random.length(2000)),
        2 => random.bits().to_string(),
        3 => format!("{}", f64::from_bits(random.bits())),
        _ => random.pick(&WORDS).copied().unwrap_or_default().to_owned(),
    }
}

/// Inserts a word, overwrites something with one, or changes a number in the text.
pub(super) fn words(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let at = random.below(seed.len() + 1);
    let digits = |from: usize| {
        let rest = seed[from..].iter();
        from + rest.take_while(|byte| byte.is_ascii_digit()).count()
    };
    let number = (at..seed.len()).find(|place| seed[*place].is_ascii_digit());
    let range = match number {
        Some(start) if !random.one_in(3) => start..digits(start),
        _ => at..at + random.length(8).min(seed.len() - at),
    };
    let word = word(random);
    let mut text = seed.to_vec();
    if random.one_in(4) {
        text.splice(range.start..range.start, word.bytes());
    } else {
        text.splice(range, word.bytes());
    }
    text
}

/// Changes lines and cells of a table.
pub(super) fn table(seed: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = split(seed, b'\n');
    let at = random.below(lines.len());
    match random.below(8) {
        0 => drop(lines.remove(at)),
        1 => {
            let line = lines[at].clone();
            let times = if random.one_in(8) {
                random.length(300)
            } else {
                1
            };
            lines.splice(at..at, std::iter::repeat_n(line, times));
        }
        2 => {
            let to = random.below(lines.len());
            lines.swap(at, to);
        }
        3 => {
            let others = split(other, b'\n');
            lines.insert(at, random.pick(&others)?.clone());
        }
        4 => lines[at] = bytes::damage(&lines[at], other, random),
        _ => lines[at] = cells(&lines[at], random)?,
    }
    Some(lines.join(&b'\n'))
}

/// Changes cells of one line.
fn cells(line: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let separator = *[b'\t', b',', b' ']
        .iter()
        .find(|separator| line.contains(separator))?;
    let mut cells = split(line, separator);
    let at = random.below(cells.len());
    match random.below(6) {
        0 => drop(cells.remove(at)),
        1 => cells.insert(at, cells[at].clone()),
        2 => {
            let to = random.below(cells.len());
            cells.swap(at, to);
        }
        3 => cells[at] = bytes::damage(&cells[at], b"\"\"", random),
        _ => cells[at] = word(random).into_bytes(),
    }
    Some(cells.join(&separator))
}

fn split(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == separator)
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_any_shape_can_be_damaged() {
        for number in 0..5000 {
            let mut random = Random::of_input(1, "table", number);
            for seed in [&b""[..], b"a", b"a\tb\n1\t2\n", b"\n\n"] {
                table(seed, b"x\ty", &mut random);
                words(seed, &mut random);
            }
        }
    }
}
