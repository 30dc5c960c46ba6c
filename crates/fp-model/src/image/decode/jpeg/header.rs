//! Markers, tables and the frame header.

use super::super::super::ImageError;
use super::super::DecodeLimits;
use super::coefficients::Component;
use super::huffman::HuffmanTable;
use super::{FORMAT, damaged};

/// What the next marker was about; tables are taken in on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// A scan header: its entropy-coded data comes next.
    Scan,
    /// End of image.
    End,
    /// Anything else.
    Other,
}

/// How the coefficients are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each block at once.
    Sequential,
    /// In several passes over all blocks.
    Progressive,
}

/// The image that is being read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) coding: Coding,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Interleaved units across and down.
    pub(super) units: [usize; 2],
    pub(super) components: Vec<Component>,
    pub(super) has_jfif: bool,
    /// The colour transform that an Adobe marker names.
    pub(super) adobe: Option<u8>,
}

/// The file and all that its markers have set so far.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    limits: DecodeLimits,
    pub(super) frame: Option<Frame>,
    quantization: [Option<[u16; 64]>; 4],
    pub(super) dc_tables: [Option<HuffmanTable>; 4],
    pub(super) ac_tables: [Option<HuffmanTable>; 4],
    pub(super) restart_interval: usize,
    pub(super) scan: ScanHeader,
    has_jfif: bool,
    adobe: Option<u8>,
}

/// What a scan holds.
#[derive(Debug, Clone, Default)]
pub(super) struct ScanHeader {
    /// Positions of its components in the frame, with their DC and AC table.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    pub(super) spectrum: [usize; 2],
    /// Bits below those already known and below those sent now.
    pub(super) approximation: [u32; 2],
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
            .ok_or_else(|| damaged("the image ends before it begins (no frame header)"))?;
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

    fn read_frame(
        &mut self,
        fields: &mut Fields<'_>,
        is_progressive: bool,
    ) -> Result<(), ImageError> {
        if self.frame.is_some() {
            return Err(damaged("two frame headers"));
        }
        let precision = fields.byte()?;
        if precision != 8 {
            let reason = format!("{precision} bits a sample");
            return Err(ImageError::unsupported(FORMAT, reason));
        }
        let (height, width) = (fields.word()?, fields.word()?);
        if width == 0 {
            return Err(ImageError::NoPixels {
                width: 0,
                height: height.into(),
            });
        }
        if height == 0 {
            return Err(ImageError::unsupported(
                FORMAT,
                "height given after the image",
            ));
        }
        self.limits.check(width.into(), height.into())?;
        let (width, height) = (usize::from(width), usize::from(height));
        let count = fields.byte()?;
        if !matches!(count, 1 | 3 | 4) {
            return Err(ImageError::unsupported(
                FORMAT,
                format!("{count} colour components"),
            ));
        }
        let mut heads: Vec<(u8, [usize; 2], usize)> = Vec::new();
        for _ in 0..count {
            let (id, sampling, table) = (fields.byte()?, fields.byte()?, fields.byte()?);
            let sampling = [usize::from(sampling >> 4), usize::from(sampling & 15)];
            if sampling.iter().any(|s| !(1..=4).contains(s)) || table > 3 {
                return Err(fields.wrong("sampling factor or table number"));
            }
            if heads.iter().any(|(other, ..)| *other == id) {
                return Err(fields.wrong("component number, used twice,"));
            }
            heads.push((id, sampling, usize::from(table)));
        }
        let most = |axis: usize| heads.iter().map(|(_, s, _)| s[axis]).max().unwrap_or(1);
        let most = [most(0), most(1)];
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        let mut components = Vec::new();
        for (id, sampling, table) in heads {
            if !most[0].is_multiple_of(sampling[0]) || !most[1].is_multiple_of(sampling[1]) {
                return Err(ImageError::unsupported(
                    FORMAT,
                    "fractional sampling factors",
                ));
            }
            let (blocks_per_row, block_rows) = (units[0] * sampling[0], units[1] * sampling[1]);
            components.push(Component {
                id,
                sampling,
                table,
                scale: [most[0] / sampling[0], most[1] / sampling[1]],
                width: (width * sampling[0]).div_ceil(most[0]),
                height: (height * sampling[1]).div_ceil(most[1]),
                blocks_per_row,
                block_rows,
                coefficients: vec![0; 64 * blocks_per_row * block_rows],
                quantization: None,
                last_dc: 0,
            });
        }
        let coding = if is_progressive {
            Coding::Progressive
        } else {
            Coding::Sequential
        };
        self.frame = Some(Frame {
            coding,
            width,
            height,
            units,
            components,
            has_jfif: false,
            adobe: None,
        });
        Ok(())
    }

    fn read_scan(&mut self, fields: &mut Fields<'_>) -> Result<(), ImageError> {
        let frame = self
            .frame
            .as_mut()
            .ok_or_else(|| damaged("a scan before the frame header"))?;
        let count = fields.byte()?;
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for _ in 0..count {
            let (id, tables) = (fields.byte()?, fields.byte()?);
            let position = frame.components.iter().position(|c| c.id == id);
            let position = position.ok_or_else(|| fields.wrong("component number"))?;
            if components.iter().any(|(other, ..)| *other == position) || tables & 0xcc != 0 {
                return Err(fields.wrong("component or table number"));
            }
            components.push((position, usize::from(tables >> 4), usize::from(tables & 15)));
            let component = &mut frame.components[position];
            if component.quantization.is_none() {
                component.quantization = self.quantization[component.table];
            }
            if component.quantization.is_none() {
                return Err(damaged(format!(
                    "quantisation table {} is missing",
                    component.table
                )));
            }
        }
        let spectrum = [fields.byte()?.into(), fields.byte()?.into()];
        let approximation = fields.byte()?;
        let approximation = [u32::from(approximation >> 4), u32::from(approximation & 15)];
        let scan = ScanHeader {
            components,
            spectrum,
            approximation,
        };
        let is_interleaved = scan.components.len() > 1;
        let units: usize = scan
            .components
            .iter()
            .map(|(c, ..)| frame.components[*c].sampling.iter().product::<usize>())
            .sum();
        let [first, last] = spectrum;
        let [before, now] = approximation;
        let is_valid = match frame.coding {
            // Some encoders write nonsense into the spectral fields of a sequential scan.
            Coding::Sequential => true,
            Coding::Progressive => {
                first <= last
                    && last < 64
                    && (first == 0) == (last == 0)
                    && (first == 0 || !is_interleaved)
                    && now <= 13
                    && (before == 0 || before == now + 1)
            }
        };
        if !is_valid || scan.components.is_empty() || (is_interleaved && units > 10) {
            return Err(fields.wrong("scan header"));
        }
        self.scan = scan;
        Ok(())
    }
}

/// The rest of a segment.
struct Fields<'a> {
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

    fn byte(&mut self) -> Result<u8, ImageError> {
        self.take(1).map(|b| b.first().copied().unwrap_or_default())
    }

    fn word(&mut self) -> Result<u16, ImageError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn wrong(&self, what: &str) -> ImageError {
        damaged(format!(
            "impossible {what} in the segment at byte {}",
            self.marker_at
        ))
    }
}
