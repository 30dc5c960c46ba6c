//! The program `finepruner`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(fp_cli::run(std::env::args_os()))
}
