//! `kernels/fp_kernels.h`, as bindgen reads it.
#![allow(
    non_camel_case_types,
    non_upper_case_globals,
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::semicolon_if_nothing_returned
)]

include!(concat!(env!("OUT_DIR"), "/fp_kernels.rs"));
