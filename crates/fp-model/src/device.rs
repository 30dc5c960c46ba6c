//! Devices by their command-line names.

use candle_core::Device;

use crate::error::{ModelError, Result};

/// The device called `name`: `cpu`, `cuda` or `cuda:1`.
///
/// # Errors
/// Another name; CUDA in a build without the feature `cuda`, with the build to use instead; a GPU
/// that doesn't exist or can't be used, with what is missing: the driver or a newer one, a newer
/// GPU, cuBLAS, cuRAND, free memory.
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

/// Whether [`device`] accepts `name`, whatever this machine and this build support.
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

/// The device of GPU `index`: one for the whole process, so that all tensors are on the same device
/// and ordered by its one stream.
///
/// That stream is the device's own rather than each thread's default one: weights are loaded by one
/// thread and used by others, and nothing would order their streams. Events are off: with one
/// stream they order nothing, and each buffer would need two.
#[cfg(feature = "cuda")]
fn cuda_device(index: usize) -> Result<Device> {
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};

    static DEVICES: OnceLock<Mutex<HashMap<usize, Device>>> = OnceLock::new();
    let devices = DEVICES.get_or_init(Mutex::default);
    let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = devices.get(&index) {
        return Ok(device.clone());
    }
    crate::gpu::preflight(index)?;
    let device = Device::new_cuda_with_stream(index)?;
    if let Device::Cuda(cuda) = &device {
        fp_kernels::cuda::disable_event_tracking(cuda.cuda_stream().context());
    }
    devices.insert(index, device.clone());
    Ok(device)
}

/// Free bytes of a GPU's memory now; `None` for the CPU.
///
/// # Errors
/// A driver that fails.
pub fn free_gpu_memory(device: &Device) -> Result<Option<u64>> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(cuda) = device {
        return crate::gpu::free_memory(cuda).map(Some);
    }
    debug_assert!(!device.is_cuda());
    Ok(None)
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
            assert!(
                error.contains("no CUDA driver") && error.contains("--device cpu"),
                "{error}"
            );
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        let error = device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
