//! Integration tests of datasets, metrics and rescoring.

mod datasets;
mod metrics_fixtures;
