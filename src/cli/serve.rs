//! `steerdns serve`

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Config, failed};
use crate::load::load;
use crate::server::{Loader, Server, start};

/// Answers, until SIGTERM or SIGINT. SIGHUP reads the files anew; bad ones leave the good ones in force.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        logs("info");
        let config = self.config.config;
        let loader: Loader = Arc::new(move || load(&config));
        let server = match start(&loader) {
            Ok(server) => server,
            Err(not_started) => return failed(not_started),
        };
        let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
        tracing::info!("answering on {}", addresses.join(", "));
        match wait_for_the_end(&server) {
            Ok(()) => {
                server.stop();
                ExitCode::SUCCESS
            }
            Err(error) => failed(format_args!("signals cannot be received: {error}")),
        }
    }
}

/// Until SIGTERM or SIGINT; SIGHUP reloads.
fn wait_for_the_end(server: &Server) -> std::io::Result<()> {
    server.block_on(async {
        let (mut hangup, mut term) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // What comes of it is logged where it is decided.
                    let _ = server.handle().reload().await;
                }
                _ = term.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    })
}

/// Logs to standard error: for people on a terminal, else JSON. RUST_LOG says what, `usual` where it does not.
pub(super) fn logs(usual: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| format!("{usual},hickory_server=warn").into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().init();
    }
}
