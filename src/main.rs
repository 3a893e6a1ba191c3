//! The `grayflag` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    grayflag::cli::main()
}
