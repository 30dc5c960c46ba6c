//! Checks of a GPU before anything is computed on it.

use cudarc::driver::{DriverError, result, sys::CUdevice_attribute};

use super::libraries::{self, LibraryMissing};
use super::stream::context;
use super::{is_driver_present, sys};

/// The oldest supported compute capability: Ampere.
const OLDEST_CAPABILITY: (i32, i32) = (8, 0);
/// Below this much free memory not even the libraries' own buffers fit.
const LEAST_FREE_BYTES: u64 = 512 << 20;
/// CUDA versions, and the first driver series that supports each.
const DRIVER_SERIES: [(i32, u32); 7] = [
    (13_000, 580),
    (12_090, 575),
    (12_080, 570),
    (12_060, 560),
    (12_050, 555),
    (12_040, 550),
    (12_000, 525),
];

/// Why a GPU can't be used: what is missing, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// No driver can be loaded.
    #[error(
        "this machine has no CUDA driver (libcuda.so.1 can't be loaded); install NVIDIA's driver, \
         or compute on the CPU with `--device cpu`"
    )]
    NoDriver,
    /// The driver is older than the CUDA runtime that is linked in.
    #[error(
        "the NVIDIA driver is for CUDA {} and this build needs CUDA {}; install driver {} or newer",
        version(*found), version(*needed), series(*needed)
    )]
    OldDriver {
        /// CUDA version that the driver supports, 1000·major + 10·minor.
        found: i32,
        /// CUDA version of this build, in the same form.
        needed: i32,
    },
    /// The driver finds no GPU.
    #[error(
        "the NVIDIA driver finds no GPU; see what `nvidia-smi -L` lists and what \
         CUDA_VISIBLE_DEVICES hides, or compute on the CPU with `--device cpu`"
    )]
    NoGpu,
    /// A GPU index that is too large.
    #[error("no GPU {index}; expected a number below {count}")]
    NoSuchGpu {
        /// The requested index.
        index: usize,
        /// Number of GPUs.
        count: usize,
    },
    /// A GPU of a generation that the kernels don't support.
    #[error(
        "GPU {index} ({name}) has compute capability {}.{}, and 8.0 is the minimum: use a \
         GPU of the Ampere generation or newer", capability.0, capability.1
    )]
    OldGpu {
        /// Index of the GPU.
        index: usize,
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
    /// A missing CUDA library.
    #[error(transparent)]
    Library(#[from] LibraryMissing),
    /// Too little free memory, since other programs use it.
    #[error(
        "GPU {index} ({name}) has {} MiB of {} MiB free; at least {} MiB are needed: end other \
         programs on it (`nvidia-smi` lists them), or name another GPU",
        free_bytes >> 20, total_bytes >> 20, LEAST_FREE_BYTES >> 20
    )]
    Memory {
        /// Index of the GPU.
        index: usize,
        /// Its name.
        name: String,
        /// Free bytes.
        free_bytes: u64,
        /// Total bytes.
        total_bytes: u64,
    },
    /// A driver error during a query about the GPU.
    #[error("the CUDA driver failed at {call}; see whether `nvidia-smi` works on this machine")]
    Driver {
        /// The query.
        call: &'static str,
        /// The driver's reason.
        source: DriverError,
    },
}

/// A usable GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuInfo {
    /// Its index.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its compute capability, major and minor.
    pub capability: (i32, i32),
    /// CUDA version of the driver, 1000·major + 10·minor.
    pub driver_version: i32,
    /// Bytes of its memory that were free at the check.
    pub free_bytes: u64,
    /// Bytes of its memory in total.
    pub total_bytes: u64,
}

/// Checks everything that GPU `index` must have, in this order: the driver, its version, the
/// GPU's index, its compute capability, cuBLAS, cuRAND, free memory. If the system's loader
/// doesn't find cuBLAS and cuRAND, they are loaded from where Python packages install them, so
/// that the tensor library finds them afterwards.
///
/// # Errors
/// The first failed check.
pub fn preflight(index: usize) -> Result<GpuInfo, PreflightError> {
    if !is_driver_present() {
        return Err(PreflightError::NoDriver);
    }
    let driver_version = driver_version()?;
    // SAFETY: reads nothing and returns a constant.
    let needed = unsafe { sys::fp_runtime_version() };
    if driver_version < needed {
        return Err(PreflightError::OldDriver {
            found: driver_version,
            needed,
        });
    }
    let count = match result::init().and_then(|()| result::device::get_count()) {
        Err(error) if is_no_gpu(error) => 0,
        other => usize::try_from(asked("the number of GPUs", other)?).unwrap_or(0),
    };
    if count == 0 {
        return Err(PreflightError::NoGpu);
    }
    if index >= count {
        return Err(PreflightError::NoSuchGpu { index, count });
    }
    let device = i32::try_from(index)
        .map_err(|_| PreflightError::NoSuchGpu { index, count })
        .and_then(|index| asked("a GPU by its number", result::device::get(index)))?;
    let name = asked("a GPU's name", result::device::get_name(device))?;
    let attribute = |attribute| {
        // SAFETY: the driver returned this device.
        let value = unsafe { result::device::get_attribute(device, attribute) };
        asked("a GPU's compute capability", value)
    };
    let capability = (
        attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    if capability < OLDEST_CAPABILITY {
        return Err(PreflightError::OldGpu {
            index,
            name,
            capability,
        });
    }
    libraries::find(&libraries::CUBLAS)?;
    libraries::find(&libraries::CURAND)?;
    let (free_bytes, total_bytes) = asked("a GPU's context", memory_info(index))?;
    if free_bytes < LEAST_FREE_BYTES {
        return Err(PreflightError::Memory {
            index,
            name,
            free_bytes,
            total_bytes,
        });
    }
    Ok(GpuInfo {
        index,
        name,
        capability,
        driver_version,
        free_bytes,
        total_bytes,
    })
}

/// Free and total bytes of GPU `index`.
fn memory_info(index: usize) -> Result<(u64, u64), DriverError> {
    let (free, total) = context(index)?.mem_get_info()?;
    Ok((free as u64, total as u64))
}

fn driver_version() -> Result<i32, PreflightError> {
    let mut version = 0;
    // SAFETY: writes one integer; the driver needn't be initialised.
    let status = unsafe { cudarc::driver::sys::cuDriverGetVersion(&raw mut version) };
    asked("its version", status.result())?;
    Ok(version)
}

fn is_no_gpu(error: DriverError) -> bool {
    error.0 == cudarc::driver::sys::CUresult::CUDA_ERROR_NO_DEVICE
}

fn asked<T>(call: &'static str, outcome: Result<T, DriverError>) -> Result<T, PreflightError> {
    outcome.map_err(|source| PreflightError::Driver { call, source })
}

/// Formats 13000 as `13.0`.
fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// The first driver series that supports this CUDA version, or the newest known older version.
fn series(cuda: i32) -> u32 {
    let known = DRIVER_SERIES.iter().find(|(version, _)| *version <= cuda);
    known.map_or(DRIVER_SERIES[0].1, |&(_, series)| series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_the_drivers_that_have_them() {
        assert_eq!(version(13_000), "13.0");
        assert_eq!(version(12_080), "12.8");
        assert_eq!(series(13_000), 580);
        assert_eq!(series(12_080), 570);
        assert_eq!(series(13_020), 580);
        let error = PreflightError::OldDriver {
            found: 12_080,
            needed: 13_000,
        };
        let text = error.to_string();
        assert!(
            text.contains("CUDA 12.8") && text.contains("driver 580"),
            "{text}"
        );
    }
}
