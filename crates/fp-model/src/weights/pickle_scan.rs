//! Checks of a pickle before its reader builds objects from it.
//!
//! The reader trusts its input: it allocates a string by its stated length, copies an object each
//! time the memo is read, and drops nested objects by recursion. So a file of a few hundred bytes
//! could demand any amount of memory. The scan executes the same opcodes on sizes alone.

use std::collections::HashMap;
use std::io::Read;

/// Largest depth of nested objects; a checkpoint has fewer than ten.
const MOST_DEEP: u32 = 64;
/// Largest number of objects that the reader would create, copies by the memo included. The largest
/// LLaVA has about forty thousand per file.
const MOST_OBJECTS: u64 = 1 << 22;
/// Largest number of opcodes in a pickle.
const MOST_OPCODES: u64 = 1 << 23;
/// Largest number of bytes in a pickle: names and shapes, no weights.
const MOST_BYTES: u64 = 1 << 28;
/// Number of bytes of a string that count as one object.
const BYTES_PER_OBJECT: u64 = 32;

/// Size of what the reader would hold for one entry of its stack.
#[derive(Debug, Clone, Copy)]
struct Size {
    objects: u64,
    depth: u32,
    is_mark: bool,
}

impl Size {
    const ONE: Size = Size {
        objects: 1,
        depth: 1,
        is_mark: false,
    };

    fn of_text(bytes: u64) -> Size {
        Size {
            objects: 1 + bytes / BYTES_PER_OBJECT,
            ..Size::ONE
        }
    }

    /// Adds the size of a part to this object.
    fn add(&mut self, part: Size) {
        self.objects = self.objects.saturating_add(part.objects);
        self.depth = self.depth.max(part.depth + 1);
    }
}

/// Scans a pickle and refuses excessive sizes. Mere damage is left to the reader to report.
///
/// # Errors
/// Excessive nesting, number or length, or why the pickle can't be read.
pub(super) fn scan(pickle: impl Read) -> Result<(), String> {
    let mut bytes = Vec::new();
    pickle
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("its pickle can't be read: {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("its pickle has more than {MOST_BYTES} bytes"));
    }
    let mut scan = Scan {
        bytes: &bytes,
        at: 0,
        stack: Vec::new(),
        memo: HashMap::new(),
        objects: 0,
    };
    for _ in 0..MOST_OPCODES {
        match scan.step() {
            Ok(true) => {}
            // The reader stops here too.
            Ok(false) | Err(Stop::Damaged) => return Ok(()),
            Err(Stop::Beyond(reason)) => return Err(format!("at byte {}, {reason}", scan.at)),
        }
    }
    Err(format!("its pickle has more than {MOST_OPCODES} opcodes"))
}

/// Why the scan stops.
enum Stop {
    /// Damage, which the reader reports.
    Damaged,
    /// Excessive sizes that no checkpoint has.
    Beyond(String),
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Size>,
    memo: HashMap<u32, Size>,
    /// Number of objects created so far.
    objects: u64,
}

impl Scan<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Stop> {
        let end = self.at.checked_add(count).ok_or(Stop::Damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, count: usize) -> Result<u32, Stop> {
        let little_end = self.take(count)?.iter().rev();
        Ok(little_end.fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn line(&mut self) -> Result<u64, Stop> {
        let rest = self.bytes.get(self.at..).ok_or(Stop::Damaged)?;
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(Stop::Damaged)?;
        self.at += length + 1;
        Ok(length as u64)
    }

    /// Counts a created object and checks the limits.
    fn made(&mut self, size: Size) -> Result<Size, Stop> {
        self.objects = self.objects.saturating_add(size.objects);
        if self.objects > MOST_OBJECTS {
            let reason = format!("it creates more than {MOST_OBJECTS} objects");
            return Err(Stop::Beyond(reason));
        }
        if size.depth > MOST_DEEP {
            let reason = format!("its objects are nested more than {MOST_DEEP} deep");
            return Err(Stop::Beyond(reason));
        }
        Ok(size)
    }

    fn push(&mut self, size: Size) -> Result<(), Stop> {
        let size = self.made(size)?;
        self.stack.push(size);
        Ok(())
    }

    fn pop(&mut self) -> Result<Size, Stop> {
        self.stack.pop().ok_or(Stop::Damaged)
    }

    /// Wraps the last `count` objects in a new one.
    fn wrap(&mut self, count: usize) -> Result<(), Stop> {
        let mut whole = Size::ONE;
        for _ in 0..count {
            whole.add(self.pop()?);
        }
        self.wrapped(whole)
    }

    /// Pushes an object whose parts were counted when they were created.
    fn wrapped(&mut self, whole: Size) -> Result<(), Stop> {
        self.made(Size {
            objects: 1,
            ..whole
        })?;
        self.stack.push(whole);
        Ok(())
    }

    /// The object that wraps everything after the last mark.
    fn since_mark(&mut self) -> Result<Size, Stop> {
        let mut whole = Size::ONE;
        loop {
            let part = self.pop()?;
            if part.is_mark {
                return Ok(whole);
            }
            whole.add(part);
        }
    }

    /// Adds parts to the last object.
    fn add_to_last(&mut self, parts: &[Size]) -> Result<(), Stop> {
        let last = self.stack.last_mut().ok_or(Stop::Damaged)?;
        for part in parts {
            last.add(*part);
        }
        let depth = last.depth;
        self.made(Size {
            objects: 0,
            depth,
            is_mark: false,
        })?;
        Ok(())
    }

    fn get(&mut self, id: u32) -> Result<(), Stop> {
        let copy = *self.memo.get(&id).ok_or(Stop::Damaged)?;
        self.push(copy)
    }

    fn put(&mut self, id: u32) -> Result<(), Stop> {
        let copy = *self.stack.last().ok_or(Stop::Damaged)?;
        let copy = self.made(copy)?;
        self.memo.insert(id, copy);
        Ok(())
    }

    /// Executes one opcode as the reader does; `false` at the end.
    fn step(&mut self) -> Result<bool, Stop> {
        match self.number(1)? as u8 {
            // Protocol version.
            0x80 => drop(self.take(1)?),
            // A class by its module and name.
            b'c' => {
                let size = Size::of_text(self.line()? + self.line()?);
                self.push(size)?;
            }
            // Integers and a float.
            code @ (b'K' | b'M' | b'J' | b'G') => {
                self.take(match code {
                    b'K' => 1,
                    b'M' => 2,
                    b'J' => 4,
                    _ => 8,
                })?;
                self.push(Size::ONE)?;
            }
            0x8a => {
                let count = self.number(1)? as usize;
                if count > 8 {
                    let reason = format!("a whole number has {count} bytes");
                    return Err(Stop::Beyond(reason));
                }
                self.take(count)?;
                self.push(Size::ONE)?;
            }
            b'X' => {
                let count = self.number(4)?;
                let left = self.bytes.len().saturating_sub(self.at);
                if count as usize > left {
                    let reason = format!("a string of {count} bytes exceeds the {left} remaining");
                    return Err(Stop::Beyond(reason));
                }
                self.take(count as usize)?;
                self.push(Size::of_text(count.into()))?;
            }
            // None, true, false, and empty containers.
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | b'd' => self.push(Size::ONE)?,
            b'(' => self.push(Size {
                is_mark: true,
                ..Size::ONE
            })?,
            // Objects that wrap one, two or three others.
            b'Q' | 0x85 => self.wrap(1)?,
            b'R' | b'b' | 0x81 | 0x86 => self.wrap(2)?,
            0x87 => self.wrap(3)?,
            b't' => {
                let whole = self.since_mark()?;
                self.wrapped(whole)?;
            }
            b'a' => {
                let part = self.pop()?;
                self.add_to_last(&[part])?;
            }
            b's' => {
                let parts = [self.pop()?, self.pop()?];
                self.add_to_last(&parts)?;
            }
            b'e' | b'u' => {
                let mut parts = self.since_mark()?;
                // The temporary container isn't counted.
                parts.objects -= 1;
                parts.depth = parts.depth.saturating_sub(1);
                self.add_to_last(&[parts])?;
            }
            b'h' => {
                let id = self.number(1)?;
                self.get(id)?;
            }
            b'j' => {
                let id = self.number(4)?;
                self.get(id)?;
            }
            b'q' => {
                let id = self.number(1)?;
                self.put(id)?;
            }
            b'r' => {
                let id = self.number(4)?;
                self.put(id)?;
            }
            b'.' => return Ok(false),
            _ => return Err(Stop::Damaged),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pickle: &[u8]) -> String {
        scan(pickle).unwrap_err()
    }

    #[test]
    fn what_a_checkpoint_has_passes() {
        // {"w": rebuild(("storage", class, "0", "cpu", 4), 0, (2, 2), (2, 1))}, all memoised.
        let pickle = b"\x80\x02}q\x00(X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\n\
            q\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000K\x04tq\x05Q\
            K\x00K\x02K\x02\x86q\x06K\x02K\x01\x86q\x07tq\x08Rq\tu.";
        scan(&pickle[..]).unwrap();
        // Damage is reported by the reader: truncation, an unknown opcode, an empty stack. Only a
        // string longer than the file would be allocated first, so that is refused.
        for end in 0..pickle.len() {
            if let Err(error) = scan(&pickle[..end]) {
                assert!(error.contains("a string of"), "{end}: {error}");
            }
        }
        for damaged in [&b"\xff"[..], b"R", b"t", b"h\x07", b"(e", b"q\x00", b""] {
            scan(damaged).unwrap();
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |open: &[u8], close: &[u8], count| {
            let mut pickle = open.repeat(count);
            pickle.extend(b"N");
            pickle.extend(close.repeat(count));
            pickle.push(b'.');
            pickle
        };
        for (open, close) in [
            (&b""[..], &b"\x85"[..]),
            (b"", b"Q"),
            (b"(", b"t"),
            (b"]", b"a"),
            (b"](", b"e"),
            (b"}N", b"s"),
            (b"}(N", b"u"),
            (b"", b"NR"),
            (b"", b"Nb"),
            (b"", b"N\x81"),
        ] {
            scan(&nested(open, close, 50)[..]).unwrap();
            let error = refused(&nested(open, close, 100_000));
            assert!(error.contains("nested more than 64 deep"), "{error}");
        }
    }

    /// Each step doubles what the memo holds.
    #[test]
    fn doubling_has_an_end() {
        let by_tuple = [&b"]"[..], &b"q\x00h\x00\x86".repeat(60), b"."].concat();
        let by_list = [
            &b"]q\x00"[..],
            &b"h\x00a".repeat(3),
            &b"r\x01\x00\x00\x00j\x01\x00\x00\x00a".repeat(60),
            b".",
        ]
        .concat();
        let long = [&b"X\x00\x00\x01\x00"[..], &[b'a'; 65536]].concat();
        let by_text = [&b"("[..], &long, b"q\x00", &b"h\x00".repeat(5000), b"t."].concat();
        for pickle in [by_tuple, by_list, by_text] {
            let error = refused(&pickle);
            assert!(
                error.contains("creates more than 4194304 objects"),
                "{error}"
            );
        }
    }

    #[test]
    fn lengths_are_those_of_the_file() {
        let error = refused(b"\x80\x02X\xff\xff\xff\xffabc.");
        assert_eq!(
            error,
            "at byte 7, a string of 4294967295 bytes exceeds the 4 remaining"
        );
        let error = refused(b"\x8a\xff");
        assert!(error.contains("a whole number has 255 bytes"), "{error}");
        let error = refused(&b"(".repeat(1 << 23));
        assert!(error.contains("objects"), "{error}");
        let many = [&b"N"[..], &b"\x80\x02".repeat(1 << 23)].concat();
        let error = refused(&many);
        assert!(error.contains("opcodes"), "{error}");
    }
}
