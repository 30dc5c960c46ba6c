//! The arithmetic of visual-token pruning, one function per operation.
//!
//! Each operation exists twice: [`cpu::reference`] is naive, sequential and in `f64`, written to
//! be compared with the formula; the functions directly under [`cpu`] are what all other code
//! calls. They use the instruction set detected at run time ([`Isa`]) and give the same bits on
//! every instruction set, since lanes and reduction trees are fixed and nothing is contracted.
//!
//! [`map`] is in this crate because mapping a file into memory is `unsafe`, and all `unsafe` of
//! the workspace is here, except where the Python package reads arrays of other libraries. For
//! the same reason this crate has a counting allocator, under the feature `counting-allocator`.
//!
//! This crate knows only slices and shapes. Strategies, and the statistics that they read, are
//! defined in `fp-scoring`.
//!
//! ```
//! use fp_kernels::cpu::{token_importance, top_r};
//!
//! // Attention of two heads to three image tokens: their mean, and the two largest.
//! let attention = [0.1_f32, 0.6, 0.3, 0.2, 0.2, 0.6];
//! let importance = token_importance(&attention, 2, 3, &[0, 1])?;
//! assert_eq!(top_r(&importance, 2)?.kept, [1, 2]);
//! # Ok::<(), fp_kernels::KernelError>(())
//! ```
#![allow(unsafe_code)] // calls into code compiled for a detected instruction set, mapped files, allocators

#[cfg(feature = "counting-allocator")]
mod allocator;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod dense;
mod element;
mod error;
#[cfg(test)]
mod error_kinds;
mod heap;
mod isa;
pub mod map;
mod statistics;

#[cfg(feature = "counting-allocator")]
pub use allocator::CountingAllocator;
pub use element::{Element, Key, Keys};
pub use error::KernelError;
pub use heap::retain_freed_memory;
pub use isa::Isa;
pub use statistics::{HeadStatistics, Normalization, StatisticsOptions};
