//! Kernels with one mistake each, which the emulation must report.

use crate::emulation::device::{Buffer, Device, last_fault, set_order};
use crate::emulation::{ffi, ffi_attention};

/// Runs the broken kernel and returns the fault that the emulation found, if any.
fn run(mistake: u32, cluster: u32) -> Option<String> {
    let _device = Device::new();
    let values: Vec<f32> = (0..128_u8).map(f32::from).collect();
    let input = Buffer::input(&values);
    let output = Buffer::<f32>::output(128);
    // SAFETY: the emulation checks every access, including the faulty ones.
    let status =
        unsafe { ffi::fp_emulation_broken(input.ptr(), output.mut_ptr(), 128, mistake, cluster) };
    if status == ffi::EMULATION_FAULT {
        return Some(last_fault());
    }
    assert_eq!(status, 0);
    let reversed = |block: &[f32]| block.iter().rev().copied().collect::<Vec<f32>>();
    let mut expected: Vec<Vec<f32>> = values.chunks(64).map(reversed).collect();
    if cluster > 1 {
        expected.reverse();
    }
    assert_eq!(output.read(), expected.concat());
    None
}

#[track_caller]
fn check(mistake: u32, cluster: u32, says: &str) {
    for order in 0..4 {
        set_order(order);
        let fault = run(mistake, cluster).expect("nothing found");
        assert!(fault.contains(says), "{fault}");
        // The emulation still runs the next launch.
        assert_eq!(run(0, cluster), None);
    }
    set_order(0);
}

#[test]
fn sound_kernels_pass() {
    assert_eq!(run(0, 1), None);
    assert_eq!(run(0, 2), None);
}

#[test]
fn accesses_outside_buffers_are_caught() {
    check(1, 1, "write of 4 bytes outside its buffer");
    check(2, 1, "read of 4 bytes outside its buffer");
    check(3, 1, "write to a read-only buffer");
    check(4, 1, "misaligned access");
}

#[test]
fn misuse_of_shared_memory_is_caught() {
    check(5, 1, "shared array of 64");
    check(6, 1, "shared memory of 256 bytes");
    check(7, 1, "read of uninitialised shared memory");
    check(12, 2, "shared memory of a block that has exited");
}

#[test]
fn divergence_is_reported_and_does_not_hang() {
    check(8, 1, "divergence: 63 of 64 threads wait");
    check(9, 1, "divergence");
    check(10, 1, "divergence: 63 of 64 threads wait");
    check(11, 1, "divergence: 31 of 32 threads wait");
}

/// No barrier between writes and reads.
#[test]
fn a_missing_barrier_is_caught() {
    check(13, 1, "read of uninitialised shared memory");
}

#[test]
fn hand_written_bindings_have_the_sizes_of_the_header() {
    let sizes = [
        size_of::<ffi::AttentionRowsArgs>(),
        size_of::<ffi::QueryWeightsArgs>(),
        size_of::<ffi::CombineRowsArgs>(),
        size_of::<ffi::HeadScoreArgs>(),
        size_of::<ffi::CompareHeadsArgs>(),
        size_of::<ffi::SelectArgs>(),
        size_of::<ffi::FusedArgs>(),
        size_of::<ffi::GatherTokensArgs>(),
        size_of::<ffi::GatherPositionsArgs>(),
        size_of::<ffi_attention::AttentionRun>(),
        size_of::<ffi_attention::AttentionSequence>(),
        size_of::<ffi_attention::AttentionArgs>(),
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        // SAFETY: reads a table.
        assert_eq!(unsafe { ffi::fp_emulation_size_of(index as u32) }, size);
    }
}
