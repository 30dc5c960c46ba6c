//! A setting of the C library's heap.

/// Lets the C library keep freed blocks of up to 32 MiB for later allocations of this process.
///
/// A forward pass allocates the same few blocks of megabytes over and over. By default glibc
/// returns them to the operating system, which then clears each page anew: a tenth of a small
/// model's prefill. Resident memory stays near its peak instead. Meant for the start of a
/// program: a library should leave the setting to the program that it is part of. Without
/// effect where the C library isn't glibc.
pub fn retain_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;

        // Numbers of the parameters in glibc's malloc.h.
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        // SAFETY: glibc's `mallopt` may be called at any time, and refuses values that it can't
        // use, in which case the defaults stay.
        unsafe {
            mallopt(M_MMAP_THRESHOLD, 32 << 20);
            mallopt(M_TRIM_THRESHOLD, c_int::MAX);
        }
    }
}
