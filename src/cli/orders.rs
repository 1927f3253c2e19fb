//! `steerdns drain`, `down`, `up`, `clear`, `overrides`

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::{Config, failed, said};
use crate::files::duration;
use crate::server::ordering::Request;

/// What is said of nodes, over their verdicts.
#[derive(Debug, clap::Args)]
pub(super) struct Say {
    /// Of whom: `cluster`, `cluster/node` or `region:name`; `*` stands for any characters.
    #[arg(value_name = "TARGET")]
    target: String,
    /// For how long, e.g. 30m, 2h, 7d; without it, until it is cleared.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<String>,
    /// Why: those who come after you read it.
    #[arg(long, value_name = "WORDS")]
    why: String,
    /// Who says it; by default the user who is logged in.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    config: Config,
}

impl Say {
    pub(super) fn run(self, word: &str) -> ExitCode {
        let length = self.length.unwrap_or_default();
        let who = self.who.unwrap_or_else(logged_in);
        order(&self.config, &Request { target: self.target, word: word.into(), why: self.why, who, length })
    }
}

/// Takes back what was said of a target: the probes decide again, or the files.
#[derive(Debug, clap::Args)]
pub(super) struct Clear {
    /// As it was written when it was said.
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    config: Config,
}

impl Clear {
    pub(super) fn run(self) -> ExitCode {
        let (why, length) = (String::new(), String::new());
        let (target, word, who) = (self.target, "clear".into(), logged_in());
        order(&self.config, &Request { target, word, why, who, length })
    }
}

/// What operators said today and that stands.
#[derive(Debug, clap::Args)]
pub(super) struct Overrides {
    /// In which form; `toml`: as it would stand in clusters.toml.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    #[command(flatten)]
    config: Config,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Toml,
}

impl Overrides {
    pub(super) fn run(self) -> ExitCode {
        let status = match super::ask_server(&self.config.config, "GET", "/status") {
            Ok(Ok(status)) => status,
            Ok(Err(what)) | Err(what) => return failed(what),
        };
        let Ok(status) = serde_json::from_str::<Value>(&status) else {
            return failed("the server's answer is no JSON");
        };
        let orders = status["overrides"].as_array().cloned().unwrap_or_default();
        said(match self.format {
            Form::Json => serde_json::to_string_pretty(&orders).unwrap_or_default() + "\n",
            Form::Text if orders.is_empty() => "no override stands\n".into(),
            Form::Text => orders.iter().map(line).collect(),
            Form::Toml => exported(&orders),
        })
    }
}

fn line(order: &Value) -> String {
    let text = |key: &str| order[key].as_str().unwrap_or_default();
    let end = match order["ends_in_s"].as_u64() {
        Some(seconds) => format!("for {seconds} s more"),
        None => "until it is cleared".into(),
    };
    let nodes = match order["nodes"].as_array().map_or(0, Vec::len) {
        1 => "1 node".into(),
        count => format!("{count} nodes"),
    };
    let (target, verdict, who, why) = (text("target"), text("verdict"), text("who"), text("why"));
    format!("{target}  {verdict}  {end}, {nodes}, said by {who}: {why}\n")
}

/// What stands in clusters.toml for the same, the newest first: of a whole cluster, or node by node. In the files a node's override holds
/// over its cluster's, whichever is newer: so nothing is written of nodes of which a newer order speaks, and nodes that have one in the files
/// get another one.
fn exported(orders: &[Value]) -> String {
    let mut spoken = HashSet::new();
    let mut out = String::new();
    for order in orders.iter().rev() {
        let nodes_of = |key: &str| order[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let fresh: Vec<(&str, &str)> = nodes_of("nodes")
            .filter(|node| spoken.insert(*node))
            .filter_map(|node| node.split_once('/'))
            .collect();
        let Some((cluster, _)) = fresh.first() else { continue };
        let text = |key: &str| order[key].as_str().unwrap_or_default();
        // A JSON string is a TOML string: the escapes that JSON has TOML has, too.
        let why = Value::from(format!("{} ({})", text("why"), text("who")));
        let line = format!("override = {{ verdict = \"{}\", why = {why} }}\n", text("verdict"));
        if let Some(seconds) = order["ends_in_s"].as_u64() {
            let left = duration::shown(Duration::from_secs(seconds));
            out += &format!("# ends by itself in {left}; in a file it stands until you take it out\n");
        }
        let is_whole = !text("target").contains(['/', ':', '*']);
        if is_whole {
            out += &format!("# in [cluster.{cluster}]:\n{line}");
        }
        let in_files: HashSet<&str> = nodes_of("in_files").collect();
        for (cluster, node) in fresh {
            if !is_whole || in_files.contains(&*format!("{cluster}/{node}")) {
                out += &format!(
                    "# in [cluster.{cluster}.node], {node} = {{ addresses = …, and this }}:\n{line}"
                );
            }
        }
    }
    out
}

fn order(config: &Config, request: &Request) -> ExitCode {
    let body = serde_json::to_string(request).unwrap_or_default();
    match super::tell_server(&config.config, "POST", "/override", body) {
        Ok(Ok(words)) => said(format_args!("{words}\n")),
        Ok(Err(what)) | Err(what) => failed(what),
    }
}

/// Who is at the terminal, through `sudo`, too.
pub(super) fn logged_in() -> String {
    let mut names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".into())
}
