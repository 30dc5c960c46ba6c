//! Integration tests of the `finepruner` command. Tests of GPUs are in `gpu/`: they need the
//! feature `cuda` and run with an emulated driver.

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
mod selections;
#[cfg(target_os = "linux")]
mod slurm;
mod terminal;
mod terms;
mod uploads;
