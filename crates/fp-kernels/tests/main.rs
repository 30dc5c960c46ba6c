//! Integration tests of the kernels. Those of the emulated driver are in `emulated_gpu/`: they
//! are built with the feature `emulated-gpu` only, and the driver's counters belong to a process.

#[cfg(feature = "emulation")]
mod emulation;
mod parity;
