//! Compiles `kernels/*.cu` and generates bindings of `kernels/fp_kernels.h`, under the feature
//! `cuda` only; for the tests under `emulation`, the host's compiler builds the same sources.

#[cfg(feature = "cuda")]
#[path = "build/cuda.rs"]
mod cuda;
#[cfg(feature = "emulation")]
#[path = "build/emulation.rs"]
mod emulation;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    if let Err(reason) = cuda::build() {
        eprintln!("{reason}");
        std::process::exit(1);
    }
    #[cfg(feature = "emulation")]
    if let Err(reason) = emulation::build() {
        eprintln!("{reason}");
        std::process::exit(1);
    }
}
