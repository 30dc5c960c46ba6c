//! The tensor library's CUDA device on the emulated libraries.

use std::os::unix::fs::symlink;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use fp_kernels::cuda::emulated::last_refusal;
use fp_model::{device, free_gpu_memory};

use crate::support::gpu;

fn tensor(dims: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let host = |tensor: &Tensor| tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32);
    let gap = (host(a).unwrap() - host(b).unwrap())
        .unwrap()
        .abs()
        .unwrap();
    gap.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn one_device_for_the_whole_process() {
    let Some(first) = gpu("one_device_for_the_whole_process") else {
        return;
    };
    let second = device("cuda:0").unwrap();
    assert!(first.same_device(&second));
    let Device::Cuda(cuda) = &first else {
        panic!("{first:?}");
    };
    assert!(!cuda.is_event_tracking());
    assert!(free_gpu_memory(&first).unwrap().unwrap() > 0);
    assert_eq!(free_gpu_memory(&Device::Cpu).unwrap(), None);
    let error = device("cuda:3").unwrap_err();
    let text = fp_scoring::error_text(&error);
    assert!(text.contains("no GPU 3"), "{text}");
}

#[test]
fn matrix_products_agree_with_the_cpu() {
    let Some(gpu) = gpu("matrix_products_agree_with_the_cpu") else {
        return;
    };
    for (dtype, limit) in [(DType::F32, 1e-5), (DType::F16, 1e-2), (DType::BF16, 8e-2)] {
        for (rows, inner, columns) in [(1, 64, 48), (7, 33, 5), (40, 128, 96)] {
            let a = tensor(&[2, rows, inner], 3).to_dtype(dtype).unwrap();
            let b = tensor(&[2, columns, inner], 5).to_dtype(dtype).unwrap();
            let product = |a: &Tensor, b: &Tensor| a.matmul(&b.t().unwrap()).unwrap();
            let [a32, b32] = [&a, &b].map(|x| x.to_dtype(DType::F32).unwrap());
            let expected = product(&a32, &b32);
            let [a, b] = [&a, &b].map(|x| x.to_device(&gpu).unwrap());
            let gap = difference(&product(&a, &b), &expected);
            assert!(gap <= limit * (inner as f32).sqrt(), "{dtype:?}: {gap}");
        }
    }
}

/// Weights are loaded by one thread and used by others; separate default streams would leave the
/// order of their work undefined.
#[test]
fn threads_share_one_stream() {
    let Some(gpu) = gpu("threads_share_one_stream") else {
        return;
    };
    let weights = tensor(&[8, 8], 7).to_device(&gpu).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (gpu, weights) = (&gpu, &weights);
            scope.spawn(move || {
                let x = tensor(&[4, 8], seed).to_device(gpu).unwrap();
                let y = x.matmul(weights).unwrap();
                y.to_device(&Device::Cpu).unwrap();
            });
        }
    });
}

#[test]
fn the_tensor_librarys_own_kernels_are_refused_by_name() {
    let Some(gpu) = gpu("the_tensor_librarys_own_kernels_are_refused_by_name") else {
        return;
    };
    let x = tensor(&[4, 4], 1).to_device(&gpu).unwrap();
    assert!(x.to_dtype(DType::F16).is_err());
    let text = last_refusal().unwrap();
    assert!(
        text.contains("`cast_f32_f16` of the module `cast`"),
        "{text}"
    );
    assert!((&x + &x).is_err());
    assert!(last_refusal().unwrap().contains("module `binary`"));
}

#[test]
#[ignore = "started by another test"]
fn report() {
    match device("cuda") {
        Ok(device) => println!("made: {device:?}"),
        Err(error) => println!("refused: {}", fp_scoring::error_text(&error)),
    }
}

/// Without the check, the tensor library would panic.
#[test]
fn a_missing_library_is_an_error() {
    let Some(path) = std::env::var_os("LD_LIBRARY_PATH") else {
        return;
    };
    let Some(from) = std::env::split_paths(&path).find(|at| at.join("libcublas.so").is_file())
    else {
        return;
    };
    let all = ["libcuda.so", "libcublas.so", "libcurand.so"];
    for (missing, expected) in [
        ("", "made: "),
        ("libcuda.so", "no CUDA driver"),
        ("libcublas.so", "cuBLAS is missing"),
        ("libcurand.so", "cuRAND is missing"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for library in all.iter().filter(|library| **library != missing) {
            symlink(from.join(library), dir.path().join(library)).unwrap();
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["device::report", "--exact", "--ignored", "--nocapture"])
            .env_clear()
            .env("LD_LIBRARY_PATH", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains(expected),
            "{missing}: {output:?}"
        );
    }
}
