//! Integration tests of the statistics.

mod fixtures;
