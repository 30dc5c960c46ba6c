//! Decodes entropy-coded data to coefficients.

use super::super::super::ImageError;
use super::bits::BitReader;
use super::damaged;
use super::frame::{Coding, Frame, ScanHeader};
use super::header::Decoder;
use super::huffman::HuffmanTable;

/// How a block is read in this scan.
#[derive(Debug, Clone, Copy)]
enum Pass {
    Sequential,
    DcFirst,
    DcRefine,
    AcFirst,
    AcRefine,
}

/// The Huffman tables of one component in this scan.
#[derive(Clone, Copy)]
struct Tables<'t> {
    dc: Option<&'t HuffmanTable>,
    ac: Option<&'t HuffmanTable>,
}

/// Reads the scan whose header was read last, and leaves the decoder at the marker after it.
pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<(), ImageError> {
    let Some(mut frame) = decoder.frame.take() else {
        return Err(damaged("a scan before the frame header"));
    };
    let scan = decoder.scan.clone();
    let pass = match (frame.coding, scan.spectrum[0], scan.approximation[0]) {
        (Coding::Sequential, ..) => Pass::Sequential,
        (Coding::Progressive, 0, 0) => Pass::DcFirst,
        (Coding::Progressive, 0, _) => Pass::DcRefine,
        (Coding::Progressive, _, 0) => Pass::AcFirst,
        (Coding::Progressive, ..) => Pass::AcRefine,
    };
    let mut tables = Vec::new();
    for &(_, dc, ac) in &scan.components {
        let table = Tables {
            dc: decoder.dc_tables.get(dc).and_then(Option::as_ref),
            ac: decoder.ac_tables.get(ac).and_then(Option::as_ref),
        };
        let needs_dc = matches!(pass, Pass::Sequential | Pass::DcFirst);
        let needs_ac = matches!(pass, Pass::Sequential | Pass::AcFirst | Pass::AcRefine);
        if (needs_dc && table.dc.is_none()) || (needs_ac && table.ac.is_none()) {
            return Err(damaged("a scan names a Huffman table that is missing"));
        }
        tables.push(table);
    }
    let mut state = State {
        bits: BitReader::new(decoder.bytes, decoder.at),
        pass,
        spectrum: scan.spectrum,
        low: scan.approximation[1],
        blocks_to_skip: 0,
    };
    state.run(&mut frame, &scan, &tables, decoder.restart_interval)?;
    frame.note_sent(&scan);
    decoder.at = state.bits.seek_marker();
    decoder.frame = Some(frame);
    Ok(())
}

struct State<'a> {
    bits: BitReader<'a>,
    pass: Pass,
    spectrum: [usize; 2],
    low: u32,
    /// Number of following blocks without (further) data in this scan.
    blocks_to_skip: u32,
}

impl State<'_> {
    fn run(
        &mut self,
        frame: &mut Frame,
        scan: &ScanHeader,
        tables: &[Tables<'_>],
        restart_interval: usize,
    ) -> Result<(), ImageError> {
        // A scan of one component holds only its own blocks, not those that pad the units.
        let alone = match scan.components.as_slice() {
            &[(component, ..)] => frame.components.get(component).map(|c| c.own_blocks()),
            _ => None,
        };
        let [columns, rows] = alone.unwrap_or(frame.units);
        for component in &mut frame.components {
            component.last_dc = 0;
        }
        for unit in 0..columns * rows {
            if restart_interval > 0 && unit > 0 && unit % restart_interval == 0 {
                self.bits
                    .restart(((unit / restart_interval - 1) % 8) as u8)?;
                self.blocks_to_skip = 0;
                for component in &mut frame.components {
                    component.last_dc = 0;
                }
            }
            let (x, y) = (unit % columns, unit / columns);
            for (&(position, ..), tables) in scan.components.iter().zip(tables) {
                let component = &mut frame.components[position];
                let [across, down] = if alone.is_some() {
                    [1, 1]
                } else {
                    component.sampling
                };
                for block in 0..across * down {
                    let (x, y) = (x * across + block % across, y * down + block / across);
                    let mut dc = component.last_dc;
                    let block = component
                        .block(x, y)
                        .ok_or_else(|| damaged("a block beyond the image"))?;
                    self.block(block, &mut dc, *tables)?;
                    component.last_dc = dc;
                }
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        block: &mut [i16],
        last_dc: &mut i32,
        tables: Tables<'_>,
    ) -> Result<(), ImageError> {
        let missing = || damaged("a scan names a Huffman table that is missing");
        let dc = || tables.dc.ok_or_else(missing);
        let ac = || tables.ac.ok_or_else(missing);
        match self.pass {
            Pass::Sequential => {
                self.dc_first(block, last_dc, dc()?, 0)?;
                self.ac_sequential(block, ac()?)
            }
            Pass::DcFirst => self.dc_first(block, last_dc, dc()?, self.low),
            Pass::DcRefine => {
                if self.bits.take(1)? == 1 {
                    block[0] |= 1 << self.low;
                }
                Ok(())
            }
            Pass::AcFirst => self.ac_first(block, ac()?),
            Pass::AcRefine => self.ac_refine(block, ac()?),
        }
    }

    fn dc_first(
        &mut self,
        block: &mut [i16],
        last_dc: &mut i32,
        table: &HuffmanTable,
        low: u32,
    ) -> Result<(), ImageError> {
        let length = u32::from(table.symbol(&mut self.bits)?);
        if length > 15 {
            return Err(damaged("a DC difference of more than 15 bits"));
        }
        *last_dc = last_dc.wrapping_add(self.bits.take_signed(length)?);
        block[0] = (*last_dc << low) as i16;
        Ok(())
    }

    fn ac_sequential(&mut self, block: &mut [i16], table: &HuffmanTable) -> Result<(), ImageError> {
        let mut at = 1;
        while at < 64 {
            let symbol = table.symbol(&mut self.bits)?;
            let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if length == 0 {
                if zeros < 15 {
                    break;
                }
                at += 16;
                continue;
            }
            at += zeros;
            let value = self.bits.take_signed(length)?;
            *block.get_mut(at).ok_or_else(too_long)? = value as i16;
            at += 1;
        }
        Ok(())
    }

    fn ac_first(&mut self, block: &mut [i16], table: &HuffmanTable) -> Result<(), ImageError> {
        if self.blocks_to_skip > 0 {
            self.blocks_to_skip -= 1;
            return Ok(());
        }
        let [mut at, last] = self.spectrum;
        while at <= last {
            let symbol = table.symbol(&mut self.bits)?;
            let (zeros, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if length == 0 {
                if zeros < 15 {
                    // This block starts a run of empty blocks.
                    self.blocks_to_skip = (1 << zeros) + self.bits.take(zeros)? - 1;
                    break;
                }
                at += 16;
                continue;
            }
            at += zeros as usize;
            let value = self.bits.take_signed(length)?;
            *block.get_mut(at).ok_or_else(too_long)? = (value << self.low) as i16;
            at += 1;
        }
        Ok(())
    }

    fn ac_refine(&mut self, block: &mut [i16], table: &HuffmanTable) -> Result<(), ImageError> {
        let [mut at, last] = self.spectrum;
        if self.blocks_to_skip == 0 {
            while at <= last {
                let symbol = table.symbol(&mut self.bits)?;
                let (mut zeros, length) = (u32::from(symbol >> 4), symbol & 15);
                let new = match length {
                    0 if zeros < 15 => {
                        self.blocks_to_skip = (1 << zeros) + self.bits.take(zeros)?;
                        break;
                    }
                    0 => 0,
                    1 if self.bits.take(1)? == 1 => 1 << self.low,
                    1 => -1 << self.low,
                    _ => return Err(damaged("a new coefficient of more than one bit")),
                };
                // Nonzero coefficients on the way get their next bit; zeros are counted.
                while at <= last {
                    let coefficient = block.get_mut(at).ok_or_else(too_long)?;
                    if *coefficient == 0 {
                        if zeros == 0 {
                            *coefficient = new;
                            break;
                        }
                        zeros -= 1;
                    } else {
                        refine(coefficient, &mut self.bits, self.low)?;
                    }
                    at += 1;
                }
                at += 1;
            }
        }
        if self.blocks_to_skip > 0 {
            for coefficient in block.iter_mut().take(last + 1).skip(at) {
                if *coefficient != 0 {
                    refine(coefficient, &mut self.bits, self.low)?;
                }
            }
            self.blocks_to_skip -= 1;
        }
        Ok(())
    }
}

/// Adds one bit to a coefficient that is already known to be nonzero.
fn refine(coefficient: &mut i16, bits: &mut BitReader<'_>, low: u32) -> Result<(), ImageError> {
    let bit = 1 << low;
    if bits.take(1)? == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { bit } else { -bit });
    }
    Ok(())
}

fn too_long() -> ImageError {
    damaged("a block of more than 64 coefficients")
}
