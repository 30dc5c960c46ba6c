//! Markers and tables.

use super::super::super::ImageError;
use super::super::DecodeLimits;
use super::frame::{Frame, ScanHeader};
use super::huffman::HuffmanTable;
use super::{FORMAT, damaged};

/// Kind of the marker that was read; tables are stored in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// A scan header: its entropy-coded data comes next.
    Scan,
    /// End of image.
    End,
    /// Anything else.
    Other,
}

/// The file, and the state set by its markers so far.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) limits: DecodeLimits,
    pub(super) frame: Option<Frame>,
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc_tables: [Option<HuffmanTable>; 4],
    pub(super) ac_tables: [Option<HuffmanTable>; 4],
    pub(super) restart_interval: usize,
    pub(super) scan: ScanHeader,
    has_jfif: bool,
    adobe: Option<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: DecodeLimits) -> Result<Self, ImageError> {
        if !bytes.starts_with(&[0xff, 0xd8]) {
            return Err(damaged("no start-of-image marker"));
        }
        Ok(Self {
            bytes,
            at: 2,
            limits,
            frame: None,
            quantization: [None; 4],
            dc_tables: [const { None }; 4],
            ac_tables: [const { None }; 4],
            restart_interval: 0,
            scan: ScanHeader::default(),
            has_jfif: false,
            adobe: None,
        })
    }

    pub(super) fn into_frame(mut self) -> Result<Frame, ImageError> {
        let mut frame = self
            .frame
            .take()
            .ok_or_else(|| damaged("no frame header before the end of the image"))?;
        frame.has_jfif = self.has_jfif;
        frame.adobe = self.adobe;
        Ok(frame)
    }

    /// Reads the next marker and its segment; bytes between segments are skipped.
    pub(super) fn next_marker(&mut self) -> Result<Marker, ImageError> {
        let code = loop {
            match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xff), Some(&code)) if code != 0 && code != 0xff => break code,
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(damaged("the file ends before the image does")),
            }
        };
        let marker_at = self.at;
        self.at += 2;
        if code == 0xd9 {
            return Ok(Marker::End);
        }
        // Start of image and restarts have no segment.
        if matches!(code, 0x01 | 0xd0..=0xd8) {
            return Ok(Marker::Other);
        }
        let length = self
            .bytes
            .get(self.at..self.at + 2)
            .and_then(|b| b.try_into().ok());
        let length = usize::from(u16::from_be_bytes(length.unwrap_or_default()));
        let segment = self
            .bytes
            .get(self.at + 2..self.at + length.max(2))
            .ok_or_else(|| {
                damaged(format!(
                    "the segment at byte {marker_at} goes beyond the end of the file"
                ))
            })?;
        if length < 2 {
            return Err(damaged(format!(
                "the segment at byte {marker_at} has no length"
            )));
        }
        self.at += length;
        let mut fields = Fields {
            bytes: segment,
            marker_at,
        };
        match code {
            0xc0..=0xc2 => self.read_frame(&mut fields, code == 0xc2)?,
            0xc4 => self.read_huffman(&mut fields)?,
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let reason = format!(
                    "coding process SOF{} (arithmetic, lossless or \
                    hierarchical)",
                    code - 0xc0
                );
                return Err(ImageError::unsupported(FORMAT, reason));
            }
            0xda => {
                self.read_scan(&mut fields)?;
                return Ok(Marker::Scan);
            }
            0xdb => self.read_quantization(&mut fields)?,
            0xdc => {
                return Err(ImageError::unsupported(
                    FORMAT,
                    "height given after the image",
                ));
            }
            0xdd => self.restart_interval = usize::from(fields.word()?),
            0xe0 => self.has_jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0"),
            0xee if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
                self.adobe = segment.get(11).copied();
            }
            _ => {}
        }
        Ok(Marker::Other)
    }

    fn read_quantization(&mut self, fields: &mut Fields<'_>) -> Result<(), ImageError> {
        while !fields.bytes.is_empty() {
            let head = fields.byte()?;
            let mut table = [0_u16; 64];
            for entry in &mut table {
                *entry = if head >> 4 == 0 {
                    fields.byte()?.into()
                } else {
                    fields.word()?
                };
            }
            let slot = self.quantization.get_mut(usize::from(head & 15));
            *slot.ok_or_else(|| fields.wrong("quantisation table number"))? = Some(table);
        }
        Ok(())
    }

    fn read_huffman(&mut self, fields: &mut Fields<'_>) -> Result<(), ImageError> {
        while !fields.bytes.is_empty() {
            let head = fields.byte()?;
            let mut counts = [0_u8; 16];
            for count in &mut counts {
                *count = fields.byte()?;
            }
            let total = counts.iter().map(|&c| usize::from(c)).sum::<usize>();
            if total > 256 {
                return Err(fields.wrong("number of Huffman codes"));
            }
            let symbols = fields.take(total)?;
            let tables = match head >> 4 {
                0 => &mut self.dc_tables,
                1 => &mut self.ac_tables,
                _ => return Err(fields.wrong("Huffman table class")),
            };
            let slot = tables.get_mut(usize::from(head & 15));
            *slot.ok_or_else(|| fields.wrong("Huffman table number"))? =
                Some(HuffmanTable::new(&counts, symbols)?);
        }
        Ok(())
    }
}

/// The remaining bytes of a segment.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    marker_at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ImageError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| self.wrong("length"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ImageError> {
        self.take(1).map(|b| b.first().copied().unwrap_or_default())
    }

    pub(super) fn word(&mut self) -> Result<u16, ImageError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    pub(super) fn wrong(&self, what: &str) -> ImageError {
        damaged(format!(
            "impossible {what} in the segment at byte {}",
            self.marker_at
        ))
    }
}
