//! Huffman tables and decoding of symbols.

use super::super::super::ImageError;
use super::bits::BitReader;
use super::damaged;

/// Codes up to this length are decoded by one look-up.
const FAST_BITS: u32 = 9;

/// One table of at most 16-bit codes.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// `length << 8 | symbol` for every 9-bit prefix of a short code, 0 for all others.
    fast: Vec<u16>,
    /// For each length 1..=16: one past its last code, left-aligned to 16 bits.
    ends: [u32; 17],
    /// For each length: the number to add to a code to get the index of its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// Builds the canonical code with `counts[i]` codes of length i + 1.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, ImageError> {
        let mut table = Self {
            fast: vec![0; 1 << FAST_BITS],
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut position) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let at = length as usize;
            table.offsets[at] = position as i32 - code as i32;
            let first = code;
            code += u32::from(count);
            if code > 1 << length {
                return Err(damaged("a Huffman table has more codes than fit"));
            }
            if length <= FAST_BITS {
                for (code, symbol) in (first..code).zip(symbols.iter().skip(position)) {
                    let shift = FAST_BITS - length;
                    let span = (code << shift) as usize..((code + 1) << shift) as usize;
                    if let Some(entries) = table.fast.get_mut(span) {
                        entries.fill((length as u16) << 8 | u16::from(*symbol));
                    }
                }
            }
            position += usize::from(count);
            table.ends[at] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Consumes one code and returns its symbol.
    pub(super) fn symbol(&self, bits: &mut BitReader<'_>) -> Result<u8, ImageError> {
        let next = bits.peek16();
        let entry = self.fast[(next >> (16 - FAST_BITS)) as usize & ((1 << FAST_BITS) - 1)];
        if entry != 0 {
            bits.skip(u32::from(entry >> 8))?;
            return Ok((entry & 0xff) as u8);
        }
        for length in FAST_BITS + 1..=16 {
            let at = length as usize;
            if next < self.ends[at] {
                bits.skip(length)?;
                let code = (next >> (16 - length)) as i32;
                let position = usize::try_from(code + self.offsets[at]).unwrap_or(usize::MAX);
                return self.symbols.get(position).copied().ok_or_else(unknown);
            }
        }
        // Not a code: the segment ended, or it is damaged.
        bits.skip(16)?;
        Err(unknown())
    }
}

fn unknown() -> ImageError {
    damaged("the image data holds a code that its Huffman table lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_codes_of_all_lengths_decode() {
        // 0, 10, 110, …: one code of every length.
        let symbols: Vec<u8> = (1..=16).collect();
        let table = HuffmanTable::new(&[1; 16], &symbols).expect("fits");
        // Lengths 1, 3 and 12.
        let bytes = [0b0110_1111, 0b1111_1110];
        let mut bits = BitReader::new(&bytes, 0);
        let read: Vec<_> = (0..3)
            .map(|_| table.symbol(&mut bits).expect("code"))
            .collect();
        assert_eq!(read, [1, 3, 12]);
        assert!(table.symbol(&mut bits).is_err());
    }

    #[test]
    fn too_many_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(HuffmanTable::new(&counts, &[0, 1, 2]).is_err());
    }
}
