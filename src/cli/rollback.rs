//! `steerdns rollback`

use std::process::ExitCode;

use super::orders::logged_in;
use super::{Config, failed, said};
use crate::server::following::Request;

/// Puts an earlier commit of the repository in force, and holds it there, whatever its branch gets.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// Its id, or the beginning of it; by default the one that was good before the one in force.
    #[arg(value_name = "COMMIT", conflicts_with = "resume")]
    commit: Option<String>,
    /// Follows the branch again.
    #[arg(long)]
    resume: bool,
    /// Why: those who come after you read it.
    #[arg(long, value_name = "WORDS", required_unless_present = "resume")]
    why: Option<String>,
    /// Who says it; by default the user who is logged in.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    config: Config,
}

impl Rollback {
    pub(super) fn run(self) -> ExitCode {
        let request = Request {
            commit: self.commit.unwrap_or_default(),
            resume: self.resume,
            why: self.why.unwrap_or_default(),
            who: self.who.unwrap_or_else(logged_in),
        };
        let body = serde_json::to_string(&request).unwrap_or_default();
        match super::tell_server(&self.config.config, "POST", "/rollback", body) {
            Ok(Ok(words)) => said(format_args!("{words}\n")),
            Ok(Err(what)) | Err(what) => failed(what),
        }
    }
}
