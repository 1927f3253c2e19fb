//! `steerdns reload`

use std::process::ExitCode;

use super::{Config, failed, said};

/// Has the running server read its files anew. Fails where they are bad, and says why; the good ones stay in force.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    config: Config,
}

impl Reload {
    pub(super) fn run(self) -> ExitCode {
        match super::ask_server(&self.config.config, "POST", "/reload") {
            Ok(Ok(words)) => said(format_args!("{words}\n")),
            Ok(Err(issues)) => {
                eprint!("{issues}");
                failed("the reload is refused; the last good files stay in force")
            }
            Err(what) => failed(what),
        }
    }
}
