//! A test of a toolkit: compile, link and run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{root, run};

/// Uses half precision and cooperative groups, since these include most headers.
const SOURCE: &str = r#"#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdio>
__global__ void widen(const __half *x, __nv_bfloat16 *y) {
    const auto rank = cooperative_groups::this_grid().thread_rank();
    y[rank] = __float2bfloat16(__half2float(x[rank]));
}
int main() {
    int runtime = 0, devices = 0;
    if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) return 1;
    const cudaError_t status = cudaGetDeviceCount(&devices);
    std::printf("trial      runtime %d.%d, ", runtime / 1000, runtime % 1000 / 10);
    if (status == cudaSuccess) std::printf("%d GPU(s)\n", devices);
    else std::printf("no GPU to run on (%s)\n", cudaGetErrorString(status));
    return 0;
}
"#;

/// Compiles machine code for both architectures and PTX for later ones, with the host's compiler.
pub(super) fn run_trial(toolkit: &Path) -> Result<()> {
    let folder = Path::new(&root()).join("target/cuda-setup");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let (source, program) = (folder.join("trial.cu"), folder.join("trial"));
    fs::write(&source, SOURCE).with_context(|| format!("can't write {}", source.display()))?;
    let mut nvcc = Command::new(toolkit.join("bin/nvcc"));
    nvcc.args(["-std=c++17", "-cudart", "static"]);
    for (virtual_arch, code) in [
        ("compute_80", "sm_80"),
        ("compute_90", "sm_90"),
        ("compute_90", "compute_90"),
    ] {
        nvcc.args(["-gencode", &format!("arch={virtual_arch},code={code}")]);
    }
    for name in ["lib", "lib64"] {
        if toolkit.join(name).is_dir() {
            nvcc.arg("-L").arg(toolkit.join(name));
        }
    }
    run(nvcc.arg("-o").arg(&program).arg(&source)).context("this toolkit doesn't compile")?;
    let output = Command::new(&program)
        .output()
        .context("the trial program doesn't start")?;
    ensure!(
        output.status.success(),
        "the trial program ended with {}",
        output.status
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
