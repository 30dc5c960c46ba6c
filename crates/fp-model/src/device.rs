//! Devices by their names on a command line.

use candle_core::Device;

use crate::error::{ModelError, Result};

/// The device called `name`: `cpu`, `cuda` or `cuda:1`.
///
/// # Errors
/// Another name; CUDA in a build without the feature `cuda`, with what to build
/// instead; CUDA on a machine without a driver; a GPU that isn't there or can't be used.
///
/// # Examples
/// ```
/// assert!(fp_model::device("cpu")?.is_cpu());
/// assert!(fp_model::device("gpu").is_err());
/// # Ok::<(), fp_model::ModelError>(())
/// ```
pub fn device(name: &str) -> Result<Device> {
    match kind(name) {
        Some(Kind::Cpu) => Ok(Device::Cpu),
        Some(Kind::Cuda(index)) => cuda_device(index),
        None => Err(ModelError::InputValue {
            what: "the device",
            found: format!("`{name}`"),
            expected: "cpu, cuda or cuda:NUMBER".to_owned(),
        }),
    }
}

/// Whether `name` is one that [`device`] knows, whatever this machine and this build have.
pub fn is_device_name(name: &str) -> bool {
    kind(name).is_some()
}

enum Kind {
    Cpu,
    Cuda(usize),
}

fn kind(name: &str) -> Option<Kind> {
    match name.split_once(':') {
        None if name == "cpu" => Some(Kind::Cpu),
        None if name == "cuda" => Some(Kind::Cuda(0)),
        Some(("cuda", index)) => index.parse().ok().map(Kind::Cuda),
        _ => None,
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_device(_: usize) -> Result<Device> {
    Err(ModelError::NoCuda)
}

#[cfg(feature = "cuda")]
fn cuda_device(index: usize) -> Result<Device> {
    // The tensor library would panic where there is no driver to load.
    if fp_kernels::cuda::is_driver_present() {
        Ok(Device::new_cuda(index)?)
    } else {
        Err(ModelError::NoDriver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_device() {
        for name in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "CUDA"] {
            let error = device(name).unwrap_err().to_string();
            assert!(
                error.contains("cpu, cuda or cuda:NUMBER"),
                "{name}: {error}"
            );
        }
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_machine_without_a_driver_says_so() {
        if !fp_kernels::cuda::is_driver_present() {
            let error = device("cuda").unwrap_err().to_string();
            assert!(error.contains("no CUDA driver"), "{error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        let error = device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
