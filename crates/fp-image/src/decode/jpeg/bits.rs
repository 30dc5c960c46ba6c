//! Bits of the entropy-coded segments: stuffed zeros are removed, and a marker ends the stream.

use super::super::super::ImageError;
use super::damaged;

/// Reads bits, most significant first.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The unread bits, left-aligned, followed by zeros.
    window: u64,
    available: u32,
}

impl<'a> BitReader<'a> {
    /// Starts at byte `at` of the file.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            window: 0,
            available: 0,
        }
    }

    fn refill(&mut self) {
        while self.available <= 56 {
            let byte = match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => return,
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.available);
            self.available += 8;
        }
    }

    /// The next 16 bits without consuming them; zeros beyond the end of the segment.
    pub(super) fn peek16(&mut self) -> u32 {
        if self.available < 16 {
            self.refill();
        }
        (self.window >> 48) as u32
    }

    /// Consumes `count` bits that were peeked.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), ImageError> {
        if count > self.available {
            return Err(damaged(format!(
                "the image data ends too early, at byte {}",
                self.at
            )));
        }
        self.window <<= count;
        self.available -= count;
        Ok(())
    }

    /// Consumes `count` bits, at most 16, as a number.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, ImageError> {
        let bits = self.peek16() >> (16 - count);
        self.skip(count)?;
        Ok(bits)
    }

    /// Consumes `count` bits as a coefficient: the upper half of the range is positive, the lower
    /// half counts up from the most negative value of that length.
    pub(super) fn take_signed(&mut self, count: u32) -> Result<i32, ImageError> {
        if count == 0 {
            return Ok(0);
        }
        let bits = self.take(count)? as i32;
        let half = 1 << (count - 1);
        Ok(if bits < half {
            bits - 2 * half + 1
        } else {
            bits
        })
    }

    /// Discards the rest of the segment and consumes the restart marker numbered `expected`.
    pub(super) fn restart(&mut self, expected: u8) -> Result<(), ImageError> {
        self.window = 0;
        self.available = 0;
        let at = self.seek_marker();
        match self.bytes.get(at + 1) {
            Some(code) if *code == 0xd0 + expected => {
                self.at = at + 2;
                Ok(())
            }
            _ => Err(damaged(format!(
                "restart marker {expected} is missing at byte {at}"
            ))),
        }
    }

    /// The position of the next marker's `0xff`, or the end of the file.
    pub(super) fn seek_marker(&self) -> usize {
        // The window may hold bytes that were read ahead, but never a marker.
        let mut at = self.at;
        loop {
            match (self.bytes.get(at), self.bytes.get(at + 1)) {
                (Some(0xff), Some(code)) if *code != 0 && *code != 0xff => return at,
                (Some(_), _) => at += 1,
                (None, _) => return at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_is_removed_and_a_marker_ends_the_bits() {
        let bytes = [0b1010_0000, 0xff, 0x00, 0xff, 0xd9];
        let mut bits = BitReader::new(&bytes, 0);
        assert_eq!(bits.take(3).expect("bits"), 0b101);
        assert_eq!(bits.take(13).expect("bits"), 0xff);
        assert!(bits.take(1).is_err());
        assert_eq!(bits.seek_marker(), 3);
    }

    #[test]
    fn coefficients_are_symmetric() {
        let bytes = [0b0100_0111, 0b1000_0000];
        let mut bits = BitReader::new(&bytes, 0);
        let values: Vec<_> = [1, 1, 3, 3]
            .map(|n| bits.take_signed(n).expect("bits"))
            .to_vec();
        assert_eq!(values, [-1, 1, -7, 7]);
        assert_eq!(bits.take_signed(0).expect("no bits"), 0);
    }

    #[test]
    fn restarts_are_numbered() {
        let bytes = [0x12, 0xff, 0xd1, 0x80];
        let mut bits = BitReader::new(&bytes, 0);
        assert!(bits.restart(0).is_err());
        bits.restart(1).expect("marker 1");
        assert_eq!(bits.take(1).expect("bits"), 1);
    }
}
