//! `steerdns status`

use std::process::ExitCode;

use super::{Config, failed, said};

/// The state of the running server, as JSON.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    config: Config,
}

impl Status {
    pub(super) fn run(self) -> ExitCode {
        match super::ask_server(&self.config.config, "GET", "/status") {
            Ok(Ok(json)) => said(format_args!("{json}\n")),
            Ok(Err(what)) | Err(what) => failed(what),
        }
    }
}
