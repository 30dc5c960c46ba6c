//! Integration tests of strategies and methods. GPU tests are in `gpu/`: they are built only with
//! the feature `cuda`, and also run on an emulated driver.

mod crops;
mod golden;
mod masked;
mod permuted;
mod properties;
mod towers;
