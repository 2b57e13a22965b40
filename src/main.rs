//! The command `envserve`.

use std::process::ExitCode;

fn main() -> ExitCode {
    envserve::cli::main()
}
