//! Every kind of failure, in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use fp_image::guarded;

use super::Input;

/// Number of different outcomes.
const WAYS: u64 = 7;

pub(super) fn fail(input: &Input<'_>) -> bool {
    match input.number % WAYS {
        0 => panic!("a panic that nothing catches"),
        1 => guarded("faulty parser", || panic!("a panic inside a guard")).unwrap_or(false),
        2 => black_box(depth(black_box(u64::MAX))) > 0,
        3 => black_box(vec![0_u8; 3 << 29]).is_empty(),
        4 => black_box(vec![0_u8; 8 << 30]).is_empty(),
        5 => {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(20) && is_short_of_time() {
                black_box((0..100_000_u64).fold(0, |a, b| a ^ b));
            }
            true
        }
        _ => true,
    }
}

/// Whether less processor time has been used than an input may take. The clock was started with the
/// input.
fn is_short_of_time() -> bool {
    thread_local! {
        static CLOCK: crate::clock::Clock = crate::clock::Clock::start();
    }
    CLOCK.with(crate::clock::Clock::elapsed) < crate::child::MOST_TIME + Duration::from_millis(200)
}

/// Overflows the stack.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn depth(number: u64) -> u64 {
    let room = black_box([number; 64]);
    depth(room[1]) + room[3]
}
