//! Calls that a device refuses, and calls that the emulation lacks.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use cudarc::driver::sys::{self, CUresult};
use fp_kernels::cuda::RotaryAngles;
use fp_kernels::cuda::emulated::{last_refusal, simulate};

use super::gpu;

#[test]
fn nothing_is_no_size() {
    let Some(gpu) = gpu("nothing_is_no_size") else {
        return;
    };
    let stream = &gpu.stream;
    assert!(stream.alloc_zeros::<f32>(0).is_err());
    assert!(last_refusal().unwrap().contains("0 bytes"));
    let mut buffer = stream.alloc_zeros::<f32>(4).unwrap();
    assert!(stream.memset_zeros(&mut buffer.slice_mut(2..2)).is_err());
    assert!(last_refusal().unwrap().contains("a memset of 0 bytes"));
    assert!(
        stream
            .memcpy_htod::<f32, [f32], _>(&[], &mut buffer)
            .is_err()
    );
    assert!(last_refusal().unwrap().contains("of 0 bytes"));
}

#[test]
fn launches_of_no_threads_and_of_the_tensor_librarys_kernels() {
    let Some(gpu) = gpu("launches_of_no_threads_and_of_the_tensor_librarys_kernels") else {
        return;
    };
    let stream = gpu.stream.cu_stream();
    let launch = |blocks: u32| {
        // SAFETY: refused for any arguments.
        unsafe {
            sys::cuLaunchKernel(
                null_mut(),
                blocks,
                1,
                1,
                32,
                1,
                1,
                0,
                stream,
                null_mut(),
                null_mut(),
            )
        }
    };
    assert_eq!(launch(0), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert!(last_refusal().unwrap().contains("0 x 1 x 1 blocks"));
    assert_eq!(launch(1), CUresult::CUDA_ERROR_INVALID_HANDLE);

    let mut module = null_mut();
    let text: &CStr = c"// module reduce\n";
    // SAFETY: a null-terminated text, and room for the handle.
    let loaded = unsafe { sys::cuModuleLoadData(&raw mut module, text.as_ptr().cast::<c_void>()) };
    assert_eq!(loaded, CUresult::CUDA_SUCCESS);
    let mut function = null_mut();
    // SAFETY: the module was loaded above and is unloaded below.
    let found =
        unsafe { sys::cuModuleGetFunction(&raw mut function, module, c"softmax_f32".as_ptr()) };
    assert_eq!(found, CUresult::CUDA_ERROR_NOT_FOUND);
    let text = last_refusal().unwrap();
    assert!(
        text.contains("`softmax_f32` of the module `reduce`"),
        "{text}"
    );
    // SAFETY: nothing of the module is used any more.
    let unloaded = unsafe { sys::cuModuleUnload(module) };
    assert_eq!(unloaded, CUresult::CUDA_SUCCESS);
}

#[test]
fn memory_ends() {
    let Some(gpu) = gpu("memory_ends") else {
        return;
    };
    let stream = &gpu.stream;
    let (free, total) = stream.context().mem_get_info().unwrap();
    assert!(free <= total);
    assert!(simulate("memory", (total - free) as u64 + 1000));
    let held = stream.alloc_zeros::<u8>(600).unwrap();
    let refused = stream.alloc_zeros::<u8>(600).unwrap_err();
    assert_eq!(refused.0, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(stream.context().mem_get_info().unwrap().0, 400);
    drop(held);
    assert!(stream.alloc_zeros::<u8>(600).is_ok());
    assert!(simulate("memory", total as u64));
    assert!(!simulate("colour", 3));
}

#[test]
fn given_angles_fill_whole_rows() {
    let Some(gpu) = gpu("given_angles_fill_whole_rows") else {
        return;
    };
    let values = [0.5; 6];
    let of = |head_dim, [cosines, sines]: [usize; 2]| {
        RotaryAngles::of_rows(&gpu.stream, head_dim, &values[..cosines], &values[..sines])
    };
    assert_eq!(of(4, [6, 6]).unwrap().num_positions(), 3);
    for (head_dim, lengths) in [
        (4, [5, 5]),
        (4, [6, 4]),
        (3, [6, 6]),
        (4, [0, 0]),
        (0, [4, 4]),
    ] {
        assert!(of(head_dim, lengths).is_err(), "{head_dim}, {lengths:?}");
    }
}
