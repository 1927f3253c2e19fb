//! `steerdns serve`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use super::{Config, failed};
use crate::load;
use crate::server::following::{mend, prepare};
use crate::server::reading::loader;
use crate::server::start;

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
        match serve(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(what) => failed(what),
        }
    }
}

/// Answers until SIGTERM or SIGINT; SIGHUP reloads. An error, where it does not start, or cannot go on by itself: better
/// restarted than answering with the health of the past.
fn serve(config: PathBuf) -> Result<(), String> {
    let unheard = |error: io::Error| format!("signals cannot be received: {error}");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(unheard)?;
    let _entered = runtime.enter();
    // Before the files are read, which may take seconds: nobody's reload ends a server that starts.
    let mut hangup = signal(SignalKind::hangup()).map_err(unheard)?;
    let loader = loader(config.clone());
    prepare(&config, &loader).map_err(|not_started| not_started.to_string())?;
    let server = start(&loader).or_else(|not_started| match mend(&config, &loader) {
        true => start(&loader),
        false => Err(not_started),
    });
    let server = server.map_err(|not_started| not_started.to_string())?;
    let mut term = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    if let Some(admin) = server.admin() {
        tracing::info!("metrics and state on http://{admin}");
    }
    // Whoever reads this may send any signal.
    let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
    tracing::info!("answering on {}", addresses.join(", "));
    let reloads = async {
        loop {
            hangup.recv().await;
            // What comes of it is logged where it is decided.
            let _ = server.handle().reload().await;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            () = reloads => Ok(()),
            _ = term.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            () = server.failed() => Err("verdicts reach the answers no more: this is a bug".into()),
        }
    });
    server.stop();
    ended
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
