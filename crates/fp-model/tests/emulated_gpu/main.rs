//! The model on a GPU emulated by the host: the tensor library's CUDA device on the emulated
//! driver, cuBLAS and cuRAND, and this project's kernels in their emulation. If the loader doesn't
//! find the emulated libraries, every test prints that it checked nothing, and passes: `cargo xtask
//! ci --cuda` sets their paths.

#[path = "../common/mod.rs"]
mod common;
mod counts;
mod device;
mod families;
mod methods;
mod model;
mod support;
