//! The command line: one file a command, each of them one call into the library.
#![deny(clippy::print_stdout)] // A pipe that is closed would be a panic: `said` knows of it.

mod alert;
mod check;
mod demo;
mod demo_node;
mod diff;
mod drill;
mod drill_ask;
mod drill_real;
mod explain;
mod orders;
mod paper;
mod reload;
mod revision;
mod rollback;
mod serve;
mod status;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admin::control;
use crate::files::show;
use crate::load;

/// An authoritative nameserver that sends every viewer to the nearest healthy cluster.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    disable_version_flag = true,
    arg_required_else_help = true,
    after_help = "Start here:\n  \
        steerdns demo                        a whole world on this machine, to try with dig\n  \
        steerdns check                       reads all files and says what is wrong with them\n  \
        steerdns serve                       answers\n  \
        steerdns explain play.live.example.com --client 203.0.113.7\n                                       \
        the answer for that viewer, and every reason for it"
)]
pub struct Command {
    #[command(subcommand)]
    word: Option<Word>,
    /// Which version this is; with --verbose, what is built in.
    #[arg(long)]
    version: bool,
    /// More of it.
    #[arg(long, requires = "version")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Word {
    Serve(serve::Serve),
    Check(check::Check),
    Explain(explain::Explain),
    Demo(demo::Demo),
    Diff(diff::Diff),
    Drill(drill::Drill),
    Reload(reload::Reload),
    Rollback(rollback::Rollback),
    Status(status::Status),
    /// Takes nodes out of new answers; they are probed on, and those who use them stay.
    Drain(orders::Say),
    /// Holds nodes to be down, whatever the probes say.
    Down(orders::Say),
    /// Holds nodes to be up, whatever the probes say.
    Up(orders::Say),
    Clear(orders::Clear),
    Overrides(orders::Overrides),
    Alert(alert::Alert),
}

/// Where the server's file is.
#[derive(Debug, clap::Args)]
struct Config {
    /// The server's file; all other paths are relative to the file that names them.
    #[arg(long, value_name = "FILE", default_value = "steerdns.toml")]
    config: PathBuf,
}

impl Command {
    /// Does what it says: 0 where all went well, 1 where it did not, 2 where the command line is wrong.
    pub fn run(self) -> ExitCode {
        if self.version {
            return version(self.verbose);
        }
        match self.word {
            Some(Word::Serve(serve)) => serve.run(),
            Some(Word::Check(check)) => check.run(),
            Some(Word::Explain(explain)) => explain.run(),
            Some(Word::Demo(demo)) => demo.run(),
            Some(Word::Diff(diff)) => diff.run(),
            Some(Word::Drill(drill)) => drill.run(),
            Some(Word::Reload(reload)) => reload.run(),
            Some(Word::Rollback(rollback)) => rollback.run(),
            Some(Word::Status(status)) => status.run(),
            Some(Word::Drain(say)) => say.run("drain"),
            Some(Word::Down(say)) => say.run("down"),
            Some(Word::Up(say)) => say.run("up"),
            Some(Word::Clear(clear)) => clear.run(),
            Some(Word::Overrides(overrides)) => overrides.run(),
            Some(Word::Alert(alert)) => alert.run(),
            None => version(false),
        }
    }
}

fn version(verbose: bool) -> ExitCode {
    let more = if verbose {
        format!("embedded country table: {}\n", crate::geo::embedded::about())
    } else {
        String::new()
    };
    said(format_args!("{}\n{more}", load::VERSION))
}

/// Says something on standard output, as it is. Whoever reads there may have read enough (`| head`): that is no failure.
fn said(words: impl std::fmt::Display) -> ExitCode {
    let mut out = io::stdout().lock();
    match write!(out, "{words}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(format_args!("what is to be said cannot be written: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// A runtime for one request to a running server.
fn wait<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}

/// Says why a command failed, on standard error.
fn failed(what: impl std::fmt::Display) -> ExitCode {
    eprintln!("steerdns: {what}");
    ExitCode::FAILURE
}

/// Asks the server that runs with this file: its words, good or bad.
fn ask_server(config: &Path, method: &str, what: &str) -> Result<Result<String, String>, String> {
    tell_server(config, method, what, String::new())
}

/// The same, with something to tell it.
fn tell_server(
    config: &Path,
    method: &str,
    what: &str,
    body: String,
) -> Result<Result<String, String>, String> {
    let server = load::server(config).map_err(|issues| show::issues(&issues, show::Format::Full))?;
    let socket = control::socket(&server.state);
    wait(control::ask(&socket, method, what, body))?.map_err(|error| {
        format!("no server answers on `{}` ({error}): does it run, with this --config?", socket.display())
    })
}
