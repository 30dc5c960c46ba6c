//! Processor time, which other programs on the machine don't lengthen.

use std::time::{Duration, Instant};

/// Ticks of `/proc` in a second, on every Linux.
const TICKS: u32 = 100;

/// Time since some moment: of this process's threads, where the system tells it, else of
/// the wall.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Instant,
    processor: Option<Duration>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            wall: Instant::now(),
            processor: processor_time(),
        }
    }

    /// To a hundredth of a second.
    pub(crate) fn elapsed(&self) -> Duration {
        let wall = self.wall.elapsed();
        let now = processor_time();
        let since = self
            .processor
            .zip(now)
            .map(|(start, now)| now.saturating_sub(start));
        since.unwrap_or(wall)
    }

    /// A quick look, never less than what [`Clock::elapsed`] gives on one thread.
    pub(crate) fn wall(&self) -> Duration {
        self.wall.elapsed()
    }
}

/// User and system time of all threads.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold anything and stands in parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) * (user.checked_add(system)?) / TICKS)
}
