//! `steerdns serve`

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use super::{Config, failed};
use crate::load::{self, load};
use crate::server::{Loader, Server, start};

/// Answers, until SIGTERM or SIGINT. SIGHUP reads the files anew; bad ones leave the good ones in force.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = self.config.config;
        // A file that cannot be read is told below, with all that is wrong.
        let level = load::server(&config).map(|server| server.log.word()).unwrap_or("info");
        let _logs = logs(level);
        let loader: Loader = Arc::new(move || load(&config));
        let server = match start(&loader) {
            Ok(server) => server,
            Err(not_started) => return failed(not_started),
        };
        let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
        tracing::info!("answering on {}", addresses.join(", "));
        if let Some(admin) = server.admin() {
            tracing::info!("metrics and state on http://{admin}");
        }
        let ended = wait_for_the_end(&server);
        server.stop();
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => failed(what),
        }
    }
}

/// Until SIGTERM or SIGINT; SIGHUP reloads. An error, where the server cannot go on by itself: better restarted than
/// answering with the health of the past.
fn wait_for_the_end(server: &Server) -> Result<(), String> {
    server.block_on(async {
        let of = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
        let (mut hangup, mut term) = (of(SignalKind::hangup())?, of(SignalKind::terminate())?);
        let mut interrupt = of(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // What comes of it is logged where it is decided.
                    let handle = server.handle().clone();
                    tokio::spawn(async move { handle.reload().await });
                }
                _ = term.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                () = server.failed() => return Err("verdicts reach the answers no more: this is a bug".into()),
            }
        }
    })
}

/// Logs to standard error, by a thread of its own: for people on a terminal, else JSON. RUST_LOG says what, `usual` where
/// it does not. What is logged before the guard is dropped is written.
pub(super) fn logs(usual: &str) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| format!("{usual},hickory_server=warn").into());
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.with_ansi(false).json().init();
    }
    guard
}
