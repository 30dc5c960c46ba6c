//! Timing of a batch's stages.

use std::time::{Duration, Instant};

use candle_core::Device;

use crate::error::Result;

/// Measures the durations of consecutive stages.
#[derive(Debug)]
pub(crate) struct StageClock<'a> {
    /// The device to wait for at the end of each stage; `None` to measure host time alone.
    device: Option<&'a Device>,
    last: Instant,
}

impl<'a> StageClock<'a> {
    /// A clock that doesn't wait for a device: work still queued there counts towards a later
    /// stage.
    pub(crate) fn plain() -> StageClock<'a> {
        StageClock {
            device: None,
            last: Instant::now(),
        }
    }

    /// A clock that waits for `device` to finish at the end of each stage.
    pub(crate) fn synchronised(device: &'a Device) -> Result<StageClock<'a>> {
        device.synchronize()?;
        Ok(StageClock {
            device: Some(device),
            last: Instant::now(),
        })
    }

    /// Whether the clock waits for a device.
    pub(crate) fn is_synchronised(&self) -> bool {
        self.device.is_some()
    }

    /// The time since the start or the last call.
    pub(crate) fn lap(&mut self) -> Result<Duration> {
        if let Some(device) = self.device {
            device.synchronize()?;
        }
        let now = Instant::now();
        let lap = now - self.last;
        self.last = now;
        Ok(lap)
    }
}
