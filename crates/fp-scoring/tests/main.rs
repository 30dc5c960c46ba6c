//! Integration tests of strategies and methods. Those of GPUs are in `gpu/`: they are built with
//! the feature `cuda` only, and run beside an emulated driver.

mod crops;
mod golden;
mod masked;
mod permuted;
mod properties;
mod towers;
