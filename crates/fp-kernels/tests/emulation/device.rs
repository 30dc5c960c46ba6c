//! Memory and launches of the emulated device.

use std::cell::RefCell;
use std::ffi::{CStr, c_void};

use half::{bf16, f16};

use crate::emulation::ffi::{self, Launcher, NO_DATA_ERROR};

/// Contents of outputs before a launch; no kernel writes this value.
const POISON: u8 = 0xa5;
/// Poisoned words around each buffer, in addition to the emulation's own checks.
const GUARD: usize = 4;

thread_local! {
    /// Each thread has its own device, whose buffers live as long as the test.
    static BUFFERS: RefCell<Vec<Box<[u128]>>> = const { RefCell::new(Vec::new()) };
}

/// Memory of the emulated device, 16-byte aligned.
pub(crate) struct Buffer<T> {
    address: *mut T,
    len: usize,
    is_writable: bool,
}

impl<T: Copy> Buffer<T> {
    fn allocate(len: usize, is_writable: bool) -> Buffer<T> {
        let words = (len * size_of::<T>()).div_ceil(16);
        let poison = u128::from_ne_bytes([POISON; 16]);
        let mut memory = vec![poison; words + 2 * GUARD].into_boxed_slice();
        let address = memory[GUARD..].as_mut_ptr().cast();
        BUFFERS.with_borrow_mut(|buffers| buffers.push(memory));
        let bytes = len * size_of::<T>();
        // SAFETY: the memory does not move until `Device` is dropped.
        unsafe { ffi::fp_emulation_register(address as *const c_void, bytes, is_writable.into()) };
        Buffer {
            address,
            len,
            is_writable,
        }
    }

    pub(crate) fn input(values: &[T]) -> Buffer<T> {
        let buffer: Buffer<T> = Buffer::allocate(values.len(), false);
        // SAFETY: the buffer holds this many values.
        unsafe {
            buffer
                .address
                .copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
        buffer
    }

    /// Poisoned memory for a kernel to write.
    pub(crate) fn output(len: usize) -> Buffer<T> {
        Buffer::allocate(len, true)
    }

    pub(crate) fn ptr(&self) -> *const T {
        self.address
    }

    pub(crate) fn void(&self) -> *const c_void {
        self.address.cast()
    }

    pub(crate) fn mut_ptr(&self) -> *mut T {
        assert!(self.is_writable);
        self.address
    }

    pub(crate) fn read(&self) -> Vec<T> {
        // SAFETY: `len` plain values, for which all bit patterns are valid.
        unsafe { std::slice::from_raw_parts(self.address, self.len).to_vec() }
    }

    /// Whether nothing was written to it.
    pub(crate) fn is_untouched(&self) -> bool {
        let bytes = self.len * size_of::<T>();
        // SAFETY: the buffer's bytes.
        let bytes = unsafe { std::slice::from_raw_parts(self.address.cast::<u8>(), bytes) };
        bytes.iter().all(|&byte| byte == POISON)
    }
}

/// Frees the buffers that a test allocated when the test ends.
pub(crate) struct Device;

impl Device {
    pub(crate) fn new() -> Device {
        Device::clear();
        Device
    }

    pub(crate) fn clear() {
        // SAFETY: no kernel runs between launches.
        unsafe { ffi::fp_emulation_unregister_all() };
        BUFFERS.with_borrow_mut(Vec::clear);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        Device::clear();
    }
}

/// Result of a launch; on failure its status and, for a fault, the emulation's text.
pub(crate) fn try_launch<Args>(launcher: Launcher<Args>, args: &Args) -> Result<(), (i32, String)> {
    // SAFETY: the emulation checks every access that the kernels make.
    let status = unsafe { launcher(args, std::ptr::null_mut()) };
    match status {
        0 => Ok(()),
        ffi::EMULATION_FAULT => Err((status, last_fault())),
        _ => {
            // SAFETY: a static C string.
            let text = unsafe { CStr::from_ptr(ffi::fp_emulated_status_string(status)) };
            Err((status, text.to_string_lossy().into_owned()))
        }
    }
}

pub(crate) fn last_fault() -> String {
    // SAFETY: a C string that is valid until the next launch.
    let text = unsafe { CStr::from_ptr(ffi::fp_emulation_fault()) };
    text.to_string_lossy().into_owned()
}

/// Launches a kernel that must succeed.
#[track_caller]
pub(crate) fn launch<Args>(launcher: Launcher<Args>, args: &Args) {
    if let Err((status, text)) = try_launch(launcher, args) {
        panic!("status {status}: {text}");
    }
}

/// Sets the order of threads from now on.
pub(crate) fn set_order(seed: u64) {
    // SAFETY: sets a number.
    unsafe { ffi::fp_emulation_set_order(seed) };
}

/// The error word.
pub(crate) struct ErrorWord(Buffer<u64>);

impl ErrorWord {
    pub(crate) fn new() -> ErrorWord {
        let word: Buffer<u64> = Buffer::output(1);
        // SAFETY: the buffer has room for one word.
        unsafe { word.mut_ptr().write(NO_DATA_ERROR) };
        ErrorWord(word)
    }

    pub(crate) fn mut_ptr(&self) -> *mut u64 {
        self.0.mut_ptr()
    }

    /// Code, row and position of the recorded error.
    pub(crate) fn found(&self) -> Option<(u64, usize, usize)> {
        let word = self.0.read()[0];
        (word != NO_DATA_ERROR).then_some((
            word & 0xff,
            (word >> 32) as usize,
            (word >> 8 & 0xff_ffff) as usize,
        ))
    }
}

/// Attention in one of the three formats, and its exact values.
pub(crate) struct Attention {
    pub(crate) dtype: u32,
    pub(crate) values: Vec<f32>,
    memory: Buffer<u8>,
}

impl Attention {
    /// Rounds `values` to the format.
    pub(crate) fn new(values: &[f32], dtype: u32) -> Attention {
        let (bytes, values): (Vec<u8>, Vec<f32>) = match dtype {
            ffi::F32 => (
                values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
                values.to_vec(),
            ),
            ffi::F16 => {
                let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
                (
                    halves.iter().flat_map(|v| v.to_ne_bytes()).collect(),
                    halves.iter().map(|v| v.to_f32()).collect(),
                )
            }
            _ => {
                let halves: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
                (
                    halves.iter().flat_map(|v| v.to_ne_bytes()).collect(),
                    halves.iter().map(|v| v.to_f32()).collect(),
                )
            }
        };
        Attention {
            dtype,
            values,
            memory: Buffer::input(&bytes),
        }
    }

    pub(crate) fn ptr(&self) -> *const c_void {
        self.memory.void()
    }

    pub(crate) fn wide(&self) -> Vec<f64> {
        self.values.iter().copied().map(f64::from).collect()
    }
}
