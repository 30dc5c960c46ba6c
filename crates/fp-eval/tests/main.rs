//! Integration tests of studies, on tiny models.

// The full configuration is one large literal.
#![recursion_limit = "256"]

mod clip_model;
mod failures;
mod families;
mod formats;
mod stages;
mod static_heads;
mod study;
mod study_config;
mod study_support;
