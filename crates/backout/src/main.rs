//! The one program: parses arguments, runs a command, prints, and exits.

mod ask;
mod cli;
mod error;
mod exit_code;
mod project;
mod render;
mod report;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
