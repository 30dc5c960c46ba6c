//! How long the stages of a batch take.

use std::time::{Duration, Instant};

use candle_core::Device;

use crate::error::Result;

/// Measures one stage after the other.
#[derive(Debug)]
pub(crate) struct StageClock<'a> {
    /// The device that is waited for at the end of each stage; none where the time is that
    /// of the host alone.
    device: Option<&'a Device>,
    last: Instant,
}

impl<'a> StageClock<'a> {
    /// A clock that waits for nothing: work that a device still has to do counts to a later
    /// stage.
    pub(crate) fn plain() -> StageClock<'a> {
        StageClock {
            device: None,
            last: Instant::now(),
        }
    }

    /// A clock that waits until `device` has finished each stage.
    pub(crate) fn synchronised(device: &'a Device) -> Result<StageClock<'a>> {
        device.synchronize()?;
        Ok(StageClock {
            device: Some(device),
            last: Instant::now(),
        })
    }

    /// Whether the device is waited for.
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
