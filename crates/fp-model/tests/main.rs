//! Integration tests of models. Those of GPUs are in `emulated_gpu/`: they are built with the
//! feature `emulated-gpu` only, and run beside an emulated driver. `memory.rs` measures the peak
//! of its process and is alone in it.

mod checkpoint_kinds;
mod checkpoints;
mod clip;
mod common;
mod crops;
mod damaged;
mod end_to_end;
mod equivalence;
mod families;
mod golden;
mod half;
mod prompt;
mod sharing;
mod stages;
mod variants;
mod vision;
