//! Device operations of scoring, counted by the emulated driver. It counts for the whole process,
//! so each test runs in its own process.

use std::process::Command;

use fp_kernels::cuda::ScoreShape;
use fp_kernels::cuda::emulated::{Counters, take_counters};
use fp_scoring::cuda::score_batch;
use fp_scoring::{HeadCount, HeadStrategy, Normalization, SelectOptions};

use crate::{Random, gpu};

fn counted(strategies: &[HeadStrategy], batch_size: usize) -> Option<[Counters; 2]> {
    let stream = gpu("counted")?;
    take_counters()?;
    let shape = ScoreShape {
        batch_size,
        num_heads: 4,
        num_image_tokens: 33,
    };
    let options = SelectOptions {
        normalization: Normalization::L1,
        num_selected_heads: HeadCount::Count(2),
        kept: 7,
        allow_degenerate: false,
    };
    let values = Random(3).attention(4 * batch_size, 33);
    let attention = stream.clone_htod(&values).unwrap();
    stream.synchronize().unwrap();
    take_counters()?;
    let chosen = score_batch(&stream, &attention.as_view(), shape, strategies, &options).unwrap();
    let scored = take_counters()?;
    let read = chosen.read().unwrap();
    assert_eq!(read.len(), batch_size);
    Some([scored, take_counters()?])
}

#[test]
#[ignore = "started by the other test of this file, in a process of its own"]
fn count() {
    for batch_size in [1, 40] {
        for (strategies, launches) in [(HeadStrategy::STUDY, [1, 2]), (HeadStrategy::ALL, [3, 8])] {
            let Some([scored, read]) = counted(strategies, batch_size) else {
                return;
            };
            let [least, most] = launches;
            assert!((least..=most).contains(&scored.launches), "{scored:?}");
            // One buffer for everything, of which only the error word is initialised.
            assert_eq!(scored.allocations, 1, "{scored:?}");
            assert_eq!((scored.memsets, scored.memset_bytes), (1, 8), "{scored:?}");
            assert_eq!(scored.host_to_device_copies, 0);
            assert_eq!(scored.device_to_host_copies, 0);
            assert_eq!(scored.synchronisations, 0);
            assert_eq!(read.device_to_host_copies, 1, "{read:?}");
            assert!(read.synchronisations <= 1, "{read:?}");
            assert_eq!(read.all_launches(), 0);
        }
    }
    println!("all was counted");
}

#[test]
fn scoring_allocates_once_and_reads_once() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["counted::count", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    if !text.contains("all was counted") {
        eprintln!("no emulated driver is loaded, nothing was checked");
    }
}
