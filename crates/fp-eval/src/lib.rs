//! Data sets, metrics, studies, statistics and reports.

pub mod stats;
