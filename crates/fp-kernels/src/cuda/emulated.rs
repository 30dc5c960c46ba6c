//! Queries that tests make of the emulated driver in `kernels/emulation/driver`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_LAZY, Symbol};

/// Numbers of the process's driver operations, in the layout of `FpEmulatedCounters` in
/// `driver.h`. All threads are counted together.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Launches of kernels.
    pub launches: u64,
    /// Matrix products by cuBLAS.
    pub gemms: u64,
    /// Copies from the host to the device.
    pub host_to_device_copies: u64,
    /// Bytes of those copies.
    pub host_to_device_bytes: u64,
    /// Copies from the device to the host.
    pub device_to_host_copies: u64,
    /// Bytes of those copies.
    pub device_to_host_bytes: u64,
    /// Copies on the device.
    pub device_to_device_copies: u64,
    /// Bytes of those copies.
    pub device_to_device_bytes: u64,
    /// Memsets.
    pub memsets: u64,
    /// Bytes that they set.
    pub memset_bytes: u64,
    /// Allocations.
    pub allocations: u64,
    /// Bytes of those allocations.
    pub allocated_bytes: u64,
    /// Allocations that were freed.
    pub frees: u64,
    /// Waits of the host for a stream, an event or the whole device. A copy to the host also
    /// waits, but isn't counted here.
    pub synchronisations: u64,
}

impl Counters {
    /// Everything that a device would launch: kernels, matrix products and memsets.
    pub fn all_launches(&self) -> u64 {
        self.launches + self.gemms + self.memsets
    }
}

/// Returns the counters since the last call and resets them to zero; `None` if the driver isn't
/// the emulated one.
pub fn take_counters() -> Option<Counters> {
    let take = function::<unsafe extern "C" fn(*mut Counters)>("fp_emulated_counters_take")?;
    let mut counters = Counters::default();
    // SAFETY: the function writes one struct of this layout.
    unsafe { take(&raw mut counters) };
    Some(counters)
}

/// Reason of the driver's last refusal on this thread; an empty string if there was none.
pub fn last_refusal() -> Option<String> {
    let fault = function::<unsafe extern "C" fn() -> *const c_char>("fp_emulated_driver_fault")?;
    // SAFETY: returns a string that lives until this thread's next refusal.
    let text = unsafe { CStr::from_ptr(fault()) };
    Some(text.to_string_lossy().into_owned())
}

/// Changes a property of the simulated device: `driver_version`, `devices`, `capability`,
/// `memory` or `multiprocessors`. Returns false for any other name, or if the driver isn't the
/// emulated one.
pub fn simulate(name: &str, value: u64) -> bool {
    type Set = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
    let (Some(set), Ok(name), Ok(value)) = (
        function::<Set>("fp_emulated_driver_set"),
        CString::new(name),
        CString::new(value.to_string()),
    ) else {
        return false;
    };
    // SAFETY: two strings that outlive the call.
    unsafe { set(name.as_ptr(), value.as_ptr()) == 0 }
}

/// The last launch's fault, as worded by the emulation.
pub(super) fn launch_fault() -> String {
    unsafe extern "C" {
        fn fp_emulation_fault() -> *const c_char;
    }
    // SAFETY: returns a string that lives until this thread's next launch.
    let text = unsafe { CStr::from_ptr(fp_emulation_fault()) };
    text.to_string_lossy().into_owned()
}

/// A function of the emulated driver, located by the loader in the same way as cudarc does.
fn function<F: Copy>(name: &str) -> Option<F> {
    static DRIVER: OnceLock<Option<Library>> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| {
        // SAFETY: the driver's initialisers set up only the driver itself.
        unsafe { Library::open(Some("libcuda.so"), RTLD_LAZY) }.ok()
    });
    // SAFETY: the callers' types are those of driver.h.
    let symbol: Symbol<F> = unsafe { driver.as_ref()?.get(name) }.ok()?;
    Some(*symbol)
}
