//! Integration tests of the fuzzer.

mod short_run;
