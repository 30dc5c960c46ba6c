//! Frame and scan headers: the image's components, and the contents of the next scan.

use super::super::super::ImageError;
use super::coefficients::{Component, NUM_SMOOTHED};
use super::header::{Decoder, Fields};
use super::{FORMAT, damaged};

/// How the coefficients are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each block at once.
    Sequential,
    /// In several passes over all blocks.
    Progressive,
}

/// The frame of the image that is decoded.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) coding: Coding,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Number of interleaved units across and down.
    pub(super) units: [usize; 2],
    pub(super) components: Vec<Component>,
    pub(super) has_jfif: bool,
    /// The colour transform of an Adobe marker.
    pub(super) adobe: Option<u8>,
}

/// Contents of a scan.
#[derive(Debug, Clone, Default)]
pub(super) struct ScanHeader {
    /// Indices of its components in the frame, with the indices of their DC and AC tables.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    pub(super) spectrum: [usize; 2],
    /// Number of low bits still missing before this scan, and after it.
    pub(super) approximation: [u32; 2],
}

impl Frame {
    /// Records which bits of which coefficients a scan has sent.
    pub(super) fn note_sent(&mut self, scan: &ScanHeader) {
        let [first, last] = scan.spectrum;
        for &(position, ..) in &scan.components {
            let sent = &mut self.components[position].sent;
            for bit in sent.iter_mut().take(last + 1).skip(first) {
                *bit = Some(scan.approximation[1]);
            }
        }
    }

    /// Refuses a progressive image that lacks some of its scans. A component without any scan is
    /// reported elsewhere.
    pub(super) fn check_scans(&self) -> Result<(), ImageError> {
        let is_whole = |component: &Component| {
            let mut sent = component.sent.iter();
            component.quantization.is_none() || sent.all(|bit| *bit == Some(0))
        };
        if self.coding == Coding::Sequential || self.components.iter().all(is_whole) {
            return Ok(());
        }
        Err(ImageError::unsupported(
            FORMAT,
            "a progressive image without its later scans, which other programs smooth",
        ))
    }
}

impl Decoder<'_> {
    pub(super) fn read_frame(
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
                sent: [None; NUM_SMOOTHED],
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

    pub(super) fn read_scan(&mut self, fields: &mut Fields<'_>) -> Result<(), ImageError> {
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
            // Some encoders write invalid values to the spectral fields of a sequential scan.
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
