//! Integration tests of the `finepruner` command. Those of GPUs are in `gpu/`: they are built
//! with the feature `cuda` only, and run beside an emulated driver.

mod bad_input;
mod bad_input_generate;
mod budget;
mod common;
#[cfg(unix)]
mod crash;
mod crops;
mod data;
mod families;
mod generate;
#[cfg(unix)]
mod launch;
#[cfg(unix)]
mod launched;
mod report;
mod score;
#[cfg(target_os = "linux")]
mod slurm;
mod terminal;
mod terms;
mod uploads;
