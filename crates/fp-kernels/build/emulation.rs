//! Compiles the kernel sources with the host's C++ compiler, for the tests that run them in the
//! emulation of `kernels/emulation`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Functions that the C interface exports. They get other names here, so that a build with the
/// feature `cuda` can link both versions.
const FUNCTIONS: &[&str] = &[
    "fp_status_string",
    "fp_runtime_version",
    "fp_attention_rows",
    "fp_attention_rows_workspace",
    "fp_attention_prefill",
    "fp_attention_decode",
    "fp_attention_decode_workspace",
    "fp_query_weights",
    "fp_combine_rows",
    "fp_head_score",
    "fp_compare_heads",
    "fp_compare_heads_workspace",
    "fp_select",
    "fp_fused",
    "fp_gather_tokens",
    "fp_gather_positions",
    "fp_norm",
    "fp_rotary_append",
    "fp_gated_silu",
    "fp_activate",
    "fp_gather_rows",
    "fp_greedy",
    "fp",
];

pub(super) fn build() -> Result<(), String> {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed={}", kernels.display());
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .include(&kernels)
        .define("FP_EMULATION", None)
        .opt_level(2) // the tests are slow without it
        .debug(false)
        .flag("-ffp-contract=off") // same as nvcc's -fmad=false
        .flag("-U_FORTIFY_SOURCE") // it reports a fiber's longjmp as an attack
        .flag("-Wno-unknown-pragmas")
        .flag("-xc++");
    for function in FUNCTIONS {
        let emulated = function.replacen("fp", "fp_emulated", 1);
        build.define(function, emulated.as_str());
    }
    for folder in [kernels.clone(), kernels.join("emulation")] {
        build.files(sources(&folder)?);
    }
    build
        .try_compile("fp_kernels_emulation")
        .map_err(|error| format!("can't compile the kernels for the emulation: {error}"))
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error| format!("can't read {}: {error}", folder.display());
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if let Some("cu" | "cc") = path.extension().and_then(OsStr::to_str) {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}
