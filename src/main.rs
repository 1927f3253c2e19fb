//! The program: parse, run, exit status.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    steerdns::cli::Command::parse().run()
}
