//! The emulated CUDA libraries of `kernels/emulation/driver`: what they compute, count, order and
//! refuse. If the loader finds other libraries, every test reports that it checked nothing, and
//! passes: `cargo xtask ci --cuda` builds them and sets the path.
#![allow(unsafe_code)] // calls of the libraries' C interface

mod blas;
mod counters;
mod order;
mod refusals;
mod simulated;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::CudaStream;
use fp_kernels::cuda::{emulated, is_driver_present, only_stream};

/// A stream of the emulated GPU, used by one test at a time: counters and the simulated device
/// belong to the process.
struct Gpu {
    stream: Arc<CudaStream>,
    _alone: MutexGuard<'static, ()>,
}

fn gpu(test: &str) -> Option<Gpu> {
    static ALONE: Mutex<()> = Mutex::new(());
    if !is_driver_present() || emulated::last_refusal().is_none() {
        eprintln!("{test}: no emulated driver is loaded, nothing was checked");
        return None;
    }
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Gpu {
        stream: only_stream(0).expect("the emulated driver has a GPU"),
        _alone: alone,
    })
}

/// The folder of the emulated libraries.
fn libraries() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("LD_LIBRARY_PATH")?)
        .find(|folder| folder.join("libcublas.so").is_file())
}
