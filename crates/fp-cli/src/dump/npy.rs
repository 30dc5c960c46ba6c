//! The header of an `.npy` file: NumPy's format for one array, versions 1 to 3.
//! Source: the module documentation of `numpy.lib.format`.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

use super::{Entry, PRECISIONS, Precision};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Limit on the header, above that of any plain array: the largest length in version 1.
const MAX_HEADER_BYTES: u64 = u16::MAX as u64;

/// Whether a file with these first bytes is in this format.
pub(super) fn is_npy(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// The array that a file of `file_bytes` bytes declares, checked against its size.
pub(super) fn read(file: &mut File, file_bytes: u64) -> Result<Entry> {
    let mut preamble = [0; 8];
    read_all(file, &mut preamble)?;
    let (length_bytes, header_bytes) = match preamble[6] {
        1 => {
            let mut length = [0; 2];
            read_all(file, &mut length)?;
            (2, u64::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            read_all(file, &mut length)?;
            (4, u64::from(u32::from_le_bytes(length)))
        }
        other => bail!("it is an .npy file of version {other}; versions 1, 2 and 3 are read"),
    };
    let data_start = preamble.len() as u64 + length_bytes + header_bytes;
    ensure!(
        data_start <= file_bytes,
        "truncated: its header of {header_bytes} bytes doesn't fit into {file_bytes}"
    );
    ensure!(
        header_bytes <= MAX_HEADER_BYTES,
        "it announces a header of {header_bytes} bytes; that of an array of numbers is at most {MAX_HEADER_BYTES}"
    );
    let mut header = vec![0; usize::try_from(header_bytes)?];
    read_all(file, &mut header)?;
    let header = std::str::from_utf8(&header).context("damaged: its header isn't text")?;
    let header = Header::parse(header).context("its header can't be read")?;
    header.entry(data_start, file_bytes)
}

fn read_all(file: &mut File, bytes: &mut [u8]) -> Result<()> {
    file.read_exact(bytes)
        .context("truncated: it ends inside its header")
}

/// Contents of the header's dictionary.
#[derive(Debug, Default)]
struct Header {
    /// The number type, such as `<f4`.
    descr: Option<String>,
    fortran_order: Option<bool>,
    shape: Option<Vec<usize>>,
}

impl Header {
    /// Parses a Python dictionary with the format's three keys.
    fn parse(text: &str) -> Result<Header> {
        let mut header = Header::default();
        let mut rest = Literal(text);
        rest.expect('{')?;
        while !rest.take('}') {
            let key = rest.text()?;
            rest.expect(':')?;
            let is_new = match key {
                "descr" => header.descr.replace(rest.descr()?).is_none(),
                "fortran_order" => header.fortran_order.replace(rest.truth()?).is_none(),
                "shape" => header.shape.replace(rest.shape()?).is_none(),
                _ => bail!("unknown key `{key}`"),
            };
            ensure!(is_new, "the key `{key}` is given twice");
            if !rest.take(',') {
                rest.expect('}')?;
                break;
            }
        }
        ensure!(rest.0.trim().is_empty(), "text follows its dictionary");
        Ok(header)
    }

    fn entry(self, start: u64, file_bytes: u64) -> Result<Entry> {
        let missing = |key: &str| format!("its header can't be read: no key `{key}`");
        let dtype = self.descr.with_context(|| missing("descr"))?;
        let is_fortran = self
            .fortran_order
            .with_context(|| missing("fortran_order"))?;
        let shape = self.shape.with_context(|| missing("shape"))?;
        let precision = precision(&dtype)?;
        ensure!(
            !is_fortran,
            "its array is in Fortran order (the first index runs fastest); save it in C order: numpy.save(file, numpy.ascontiguousarray(array))"
        );
        let bytes = shape
            .iter()
            .try_fold(precision.bytes() as u64, |product, &length| {
                product.checked_mul(length as u64)
            });
        let bytes =
            bytes.with_context(|| format!("damaged: no file holds an array of shape {shape:?}"))?;
        super::check_len(bytes, file_bytes - start)?;
        Ok(Entry {
            dtype,
            precision: Some(precision),
            shape,
            start,
        })
    }
}

/// The number type in a `descr`; `=` and `|` don't occur for numbers of several bytes.
fn precision(descr: &str) -> Result<Precision> {
    Ok(match descr {
        "<f8" => Precision::F64,
        "<f4" => Precision::F32,
        "<f2" => Precision::F16,
        _ if descr.starts_with('>') => bail!(
            "its numbers ({descr}) have their highest byte first; save them as those of this machine: numpy.save(file, array.astype('<f4'))"
        ),
        _ if descr.ends_with("V2") => bail!(
            "its numbers are of a type that NumPy doesn't know ({descr}), such as bfloat16; save them as float32: numpy.save(file, array.astype('<f4'))"
        ),
        _ => bail!(
            "its numbers are {descr}; attention is read as {PRECISIONS}, and .npy has <f8, <f4 and <f2 of those"
        ),
    })
}

/// The remainder of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Consumes `expected` if it comes next, after optional white space.
    fn take(&mut self, expected: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, expected: char) -> Result<()> {
        ensure!(
            self.take(expected),
            "`{expected}` expected before `{}`",
            self.shown()
        );
        Ok(())
    }

    /// The beginning of the remainder.
    fn shown(&self) -> String {
        self.0.trim_start().chars().take(20).collect()
    }

    fn text(&mut self) -> Result<&'a str> {
        let quote = if self.take('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) = self
            .0
            .split_once(quote)
            .context("a quotation doesn't end")?;
        self.0 = rest;
        Ok(text)
    }

    fn descr(&mut self) -> Result<String> {
        let is_structured = self.0.trim_start().starts_with(['[', '(']);
        ensure!(
            !is_structured,
            "its array is of records with fields, not of numbers"
        );
        let descr = self.text()?;
        ensure!(
            !descr.contains('O'),
            "its array is of Python objects ({descr}), which can hold any program and aren't read; save numbers: numpy.save(file, array.astype('<f4'))"
        );
        Ok(descr.to_owned())
    }

    fn truth(&mut self) -> Result<bool> {
        let rest = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        bail!("True or False expected before `{}`", self.shown())
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            shape.push(self.number()?);
            // Python 2 wrote long numbers with a trailing letter.
            self.take('L');
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize> {
        let rest = self.0.trim_start();
        let end = rest.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let number = digits.parse();
        let number =
            number.with_context(|| format!("a length expected before `{}`", self.shown()))?;
        self.0 = rest;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_as_versions_of_numpy_write_them() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n",
            "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<f4'}",
            "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(2,3,)}",
        ] {
            let header = Header::parse(text).unwrap();
            assert_eq!(header.descr.as_deref(), Some("<f4"), "{text}");
            assert_eq!(header.fortran_order, Some(false));
            assert_eq!(header.shape, Some(vec![2, 3]));
        }
        let one = Header::parse("{'shape': (7,), 'fortran_order': True, 'descr': '<f2'}").unwrap();
        assert_eq!((one.shape, one.fortran_order), (Some(vec![7]), Some(true)));
        let none = Header::parse("{'shape': ()}").unwrap();
        assert_eq!(none.shape, Some(Vec::new()));
    }

    #[test]
    fn what_is_no_such_dictionary() {
        for (text, part) in [
            ("", "`{` expected"),
            ("{'descr': '<f4'", "`}` expected"),
            ("{'descr': '<f4", "doesn't end"),
            ("{'descr': [('a', '<f4')]}", "records with fields"),
            ("{'descr': '|O'}", "Python objects"),
            ("{'shape': (-1, 2)}", "a length expected before `-1, 2"),
            ("{'shape': (99999999999999999999,)}", "a length expected"),
            ("{'shape': 3}", "`(` expected"),
            ("{'fortran_order': 1}", "True or False"),
            ("{'more': 1}", "unknown key `more`"),
            ("{'shape': (), 'shape': ()}", "is given twice"),
            ("{} x", "text follows"),
        ] {
            let message = Header::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
