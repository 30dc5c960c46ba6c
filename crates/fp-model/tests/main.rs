//! Integration tests of models. Those for GPUs are in `emulated_gpu/`: they are built only with the
//! feature `emulated-gpu`, and run with an emulated driver. `memory.rs` measures the peak memory of
//! its process and so is a program of its own.

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
