//! `steerdns alert`
#![allow(clippy::disallowed_methods)] // A test is told now.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Config, failed, said};
use crate::alert::message;
use crate::alert::receiver::Receiver;
use crate::courier::{Courier, deliver};
use crate::files::show;
use crate::files::words::{listed, nearest};
use crate::load;

/// Whether alerts arrive.
#[derive(Debug, clap::Args)]
pub(super) struct Alert {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, clap::Subcommand)]
enum Word {
    Test(Test),
}

/// Sends a test alert and its resolution to each receiver that the file names, whatever severity it asks for, and says what became of
/// them. 1, where one was not taken. No server needs to run.
#[derive(Debug, clap::Args)]
struct Test {
    /// This one alone.
    #[arg(value_name = "RECEIVER")]
    receiver: Option<String>,
    #[command(flatten)]
    config: Config,
}

impl Alert {
    pub(super) fn run(self) -> ExitCode {
        let Word::Test(test) = self.word;
        match test.run() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(what) => failed(what),
        }
    }
}

impl Test {
    /// Whether all was taken.
    fn run(self) -> Result<bool, String> {
        let config = &self.config.config;
        let read = load::alerts(config).map_err(|issues| show::issues(&issues, show::Format::Full));
        let (alerting, server) = read?;
        let all: Vec<Arc<Receiver>> = alerting.receivers.into_values().collect();
        let names: Vec<&str> = all.iter().map(|receiver| &*receiver.name).collect();
        if all.is_empty() {
            return Err(format!("`{}` names no receiver: there is no `[alert.to.…]`", config.display()));
        }
        if let Some(name) = self.receiver.as_deref().filter(|name| !names.contains(name)) {
            let near = nearest(name, names.iter().copied()).map_or_else(
                || format!("there is {}", listed(&names, "and")),
                |near| format!("there is `{near}`"),
            );
            return Err(format!("no receiver is called `{name}` ({near})"));
        }
        let mut all_taken = true;
        for receiver in
            all.iter().filter(|own| self.receiver.as_deref().is_none_or(|name| name == &*own.name))
        {
            for courier in Courier::all(receiver, &server.name()) {
                all_taken &= super::wait(try_out(&courier))?;
            }
        }
        Ok(all_taken)
    }
}

/// Tells what became of a test and its end; whether both were taken.
async fn try_out(courier: &Courier) -> bool {
    let name = courier.name();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for (told, what) in message::test(now).iter().zip(["the test alert", "its resolution"]) {
        if let Err(failure) = deliver(courier, told).await {
            said(format_args!("{name}: {what} was not taken: {failure}\n"));
            return false;
        }
    }
    said(format_args!("{name}: took the test alert and its resolution\n"));
    true
}
