//! `steerdns reload`

use std::process::ExitCode;

use super::{Config, failed};

/// Has the running server read its files anew. Fails where they are bad, and says why; the good ones stay in force.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    config: Config,
}

impl Reload {
    pub(super) fn run(self) -> ExitCode {
        match super::ask_server(&self.config.config, "POST", "/reload") {
            Ok(Ok(words)) => {
                println!("{words}");
                ExitCode::SUCCESS
            }
            Ok(Err(issues)) => {
                eprint!("{issues}");
                failed("the reload is refused; the last good files stay in force")
            }
            Err(what) => failed(what),
        }
    }
}
