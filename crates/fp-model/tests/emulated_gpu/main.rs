//! The model on a GPU that the host stands for: the tensor library's CUDA device over the
//! emulated driver, cuBLAS and cuRAND, and this project's kernels in their emulation. Where
//! the emulated libraries are not what the loader finds, every test says that it checked
//! nothing, and passes: `cargo xtask ci --cuda` names them.

#[path = "../common/mod.rs"]
mod common;
mod counts;
mod device;
mod families;
mod methods;
mod model;
mod support;
