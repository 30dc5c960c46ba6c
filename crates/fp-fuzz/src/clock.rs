//! Processor time, which other programs on the machine don't affect.

use std::time::{Duration, Instant};

/// Ticks of `/proc` per second, on every Linux.
const TICKS: u32 = 100;

/// A stopwatch: processor time of this process's threads where the system reports it, else wall
/// time.
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

    /// Elapsed time, to a hundredth of a second.
    pub(crate) fn elapsed(&self) -> Duration {
        let wall = self.wall.elapsed();
        let now = processor_time();
        let since = self
            .processor
            .zip(now)
            .map(|(start, now)| now.saturating_sub(start));
        since.unwrap_or(wall)
    }

    /// Elapsed wall time: cheap to read, and on one thread never less than [`Clock::elapsed`].
    pub(crate) fn wall(&self) -> Duration {
        self.wall.elapsed()
    }
}

/// User and system time of all threads of this process.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may contain any character.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) * (user.checked_add(system)?) / TICKS)
}
