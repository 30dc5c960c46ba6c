//! Runs nvcc through `cc`, and bindgen on the C header.
//!
//! The CUDA runtime is linked statically and loads the driver at its first call, so a binary
//! built here also starts on a machine without a driver.
//! Virtual architectures and what is generated for each: machine code for Ampere and Hopper, PTX
//! for later architectures.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bindgen::callbacks::{ItemInfo, ParseCallbacks};

/// Virtual architectures and what to make of each: machine code for Ampere and Hopper,
/// PTX for what comes later.
const TARGETS: [(&str, &str); 3] = [
    ("compute_80", "sm_80"),
    ("compute_90", "sm_90"),
    ("compute_90", "compute_90"),
];
const SETUP: &str = "run `cargo xtask cuda-setup`, which finds or installs it";
const HEADER: &str = "fp_kernels.h";
const PEERS: &str = "peers";

pub(super) fn build() -> Result<(), String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (workspace, kernels) = (package.join("../.."), package.join("kernels"));
    for name in ["CUDA_HOME", "CUDA_PATH", "PATH", "LIBCLANG_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build");
    println!(
        "cargo:rerun-if-changed={}",
        workspace.join(".cuda/toolkit/bin/nvcc").display()
    );
    if cfg!(feature = "emulated-gpu") {
        if cfg!(feature = "peers") {
            return Err("the feature `peers` takes nvcc: leave `emulated-gpu` out".to_owned());
        }
        println!("cargo:rerun-if-changed={}", kernels.display());
    } else {
        let toolkit = toolkit(&workspace.join(".cuda/toolkit"))?;
        let mut sources = sources(&kernels)?;
        if cfg!(feature = "peers") {
            sources.push(kernels.join(PEERS).join("segmented_sort.cu"));
        }
        compile(&toolkit, &kernels, &sources)?;
        link(&toolkit)?;
    }
    bind(&workspace, &kernels)
}

/// The toolkit's folder: named by the environment, derived from nvcc's location, or installed by
/// cuda-setup.
fn toolkit(prepared: &Path) -> Result<PathBuf, String> {
    let has_nvcc = |folder: &PathBuf| folder.join("bin/nvcc").is_file();
    for name in ["CUDA_HOME", "CUDA_PATH"] {
        if let Some(folder) = env::var_os(name).map(PathBuf::from) {
            return if has_nvcc(&folder) {
                Ok(folder)
            } else {
                Err(format!(
                    "{name} is {}, and there is no bin/nvcc in it; correct it, or unset it and {SETUP}",
                    folder.display()
                ))
            };
        }
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths)
        .filter_map(|folder| folder.join("nvcc").canonicalize().ok())
        .filter_map(|nvcc| Some(nvcc.parent()?.parent()?.to_owned()))
        .chain([prepared.to_owned()])
        .find(has_nvcc)
        .ok_or_else(|| {
            format!(
                "the feature `cuda` takes NVIDIA's nvcc, which is neither in CUDA_HOME nor on PATH \
                 nor in {}; {SETUP}",
                prepared.display()
            )
        })
}

/// All `.cu` files, sorted; cargo watches the headers too.
fn sources(kernels: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error| format!("can't read {}: {error}", kernels.display());
    println!("cargo:rerun-if-changed={}", kernels.display());
    let mut sources = Vec::new();
    for entry in fs::read_dir(kernels).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        match path.extension().and_then(OsStr::to_str) {
            Some("cu") => sources.push(path),
            Some("cuh" | "h") => println!("cargo:rerun-if-changed={}", path.display()),
            _ => {}
        }
    }
    sources.sort();
    for source in &sources {
        println!("cargo:rerun-if-changed={}", source.display());
    }
    if sources.is_empty() {
        Err(format!("no kernels in {}", kernels.display()))
    } else {
        Ok(sources)
    }
}

/// Compiles each source separately, since several together turn on relocatable device code.
fn compile(toolkit: &Path, kernels: &Path, sources: &[PathBuf]) -> Result<(), String> {
    set_env("NVCC", &toolkit.join("bin/nvcc"));
    let jobs = env::var("NUM_JOBS").unwrap_or_else(|_| "1".to_owned());
    let mut archive = cc::Build::new();
    for source in sources {
        let mut build = cc::Build::new();
        build
            .cuda(true)
            .cudart("none")
            .cargo_metadata(false)
            .debug(false) // debug mode would disable optimisation
            .opt_level(3)
            .include(kernels)
            .warnings(false)
            .flag("-std=c++17")
            .flag("--expt-relaxed-constexpr")
            .flag("-lineinfo")
            // If the compiler may choose contraction, the fused launch and the separate launches
            // could round the same score differently.
            .flag("-fmad=false")
            // Compile the architectures in parallel.
            .flag("--threads")
            .flag(&jobs);
        for (architecture, code) in TARGETS {
            build.flag("-gencode");
            build.flag(format!("arch={architecture},code={code}"));
        }
        let objects = build
            .file(source)
            .try_compile_intermediates()
            .map_err(|error| format!("nvcc failed on {}: {error}", source.display()))?;
        archive.objects(objects);
    }
    archive
        .try_compile("fp_kernels_cuda")
        .map_err(|error| format!("can't archive the kernels: {error}"))
}

fn link(toolkit: &Path) -> Result<(), String> {
    let folder = [
        "lib64",
        "lib",
        "targets/x86_64-linux/lib",
        "lib/x86_64-linux-gnu",
    ]
    .into_iter()
    .map(|name| toolkit.join(name))
    .find(|folder| folder.join("libcudart_static.a").is_file())
    .ok_or_else(|| {
        format!(
            "{} holds no libcudart_static.a; install the CUDA runtime's development files, \
                 or unset CUDA_HOME and {SETUP}",
            toolkit.display()
        )
    })?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=cudart_static");
    for name in ["stdc++", "rt", "pthread", "dl"] {
        println!("cargo:rustc-link-lib=dylib={name}");
    }
    Ok(())
}

fn bind(workspace: &Path, kernels: &Path) -> Result<(), String> {
    let mut arguments = Vec::new();
    if env::var_os("LIBCLANG_PATH").is_none() {
        let prepared = workspace.join(".cuda/libclang");
        if prepared.is_dir() {
            set_env("LIBCLANG_PATH", &prepared);
        }
    }
    // A libclang from a package lacks the compiler's own headers.
    if let Ok(found) = Command::new("cc").arg("-print-file-name=include").output() {
        arguments.push("-idirafter".to_owned());
        arguments.push(String::from_utf8_lossy(&found.stdout).trim().to_owned());
    }
    // bindgen panics if it finds no libclang: return an error that says what to do.
    if std::panic::catch_unwind(bindgen::clang_version).is_err() {
        return Err(format!(
            "the feature `cuda` takes libclang, which is not in LIBCLANG_PATH, nor in \
             .cuda/libclang, nor among the system's libraries; {SETUP}"
        ));
    }
    let mut builder = bindgen::builder();
    if cfg!(feature = "peers") {
        builder = builder.header(kernels.join(PEERS).join("fp_peers.h").display().to_string());
    }
    if cfg!(feature = "emulated-gpu") {
        builder = builder.parse_callbacks(Box::new(Emulated));
    }
    let bindings = builder
        .header(kernels.join(HEADER).display().to_string())
        .clang_args(arguments)
        .allowlist_item("fp_.*")
        .allowlist_item("FP_.*")
        .prepend_enum_name(false)
        .derive_default(true)
        .derive_partialeq(true)
        .layout_tests(false)
        .generate()
        .map_err(|error| format!("can't bind {HEADER}: {error}"))?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    bindings
        .write_to_file(out.join("fp_kernels.rs"))
        .map_err(|error| format!("can't write the bindings: {error}"))
}

/// Binds the functions that the emulation exports.
#[derive(Debug)]
struct Emulated;

impl ParseCallbacks for Emulated {
    fn generated_link_name_override(&self, item: ItemInfo<'_>) -> Option<String> {
        Some(item.name.replacen("fp_", "fp_emulated_", 1))
    }
}

/// Sets an environment variable, for crates that accept a path only that way.
fn set_env(name: &str, path: &Path) {
    #[allow(unsafe_code)]
    // SAFETY: a build script has one thread.
    unsafe {
        env::set_var(name, path);
    }
}
