//! `steerdns serve`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{Config, failed};
use crate::files::server::LogLevel;
use crate::load::{load, server as server_file};
use crate::server::{Loader, start};

/// Answers, until SIGTERM or SIGINT. SIGHUP reads the files anew; bad ones leave the good ones in force.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = self.config.config;
        // What is wrong with the file is told when all of them are loaded.
        logs(server_file(&config).map_or(LogLevel::Info, |server| server.log).word());
        match serve(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => failed(what),
        }
    }
}

/// Answers until SIGTERM or SIGINT. Whoever reads that it answers may send any signal.
fn serve(config: PathBuf) -> Result<(), String> {
    let unheard = |error: io::Error| format!("signals cannot be received: {error}");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(unheard)?;
    let _entered = runtime.enter();
    // Before the files are read, which may take seconds: nobody's reload ends a server that starts.
    let mut hangup = signal(SignalKind::hangup()).map_err(unheard)?;
    let loader: Loader = Arc::new(move || load(&config));
    let server = start(&loader).map_err(|not_started| not_started.to_string())?;
    let mut term = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    if let Some(admin) = server.admin() {
        tracing::info!("metrics and state on http://{admin}");
    }
    let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
    tracing::info!("answering on {}", addresses.join(", "));
    let reloads = async {
        while hangup.recv().await.is_some() {
            // What comes of it is logged where it is decided.
            let _ = server.handle().reload().await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = reloads => {}
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    server.stop();
    Ok(())
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
