//! `steerdns explain`
#![allow(clippy::disallowed_methods)] // It tells the core what time it is.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use super::{Config, ask_server, failed, said};
use crate::asked::Asked;
use crate::cluster::Inventory;
use crate::files::show;
use crate::health::target::Target;
use crate::load::{Loaded, load};
use crate::publisher::Publisher;

/// Explains an answer: whose address was used, what is known of it, which rule holds, the ranked list with costs, each
/// node's verdict, the answer, its TTL and its scope. Asks the running server; without one, or with --down, the files
/// answer, as if all other nodes were up.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The name, e.g. play.live.example.com
    name: String,
    /// A or AAAA
    #[arg(default_value = "A")]
    qtype: String,
    /// The viewer: an address (its /24 or /56 goes into the query, as resolvers do) or a network
    #[arg(long, value_name = "IP")]
    client: Option<String>,
    /// The resolver that asks
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    resolver: IpAddr,
    /// As if this node (`sin-1`) or this whole cluster (`sin`) were down
    #[arg(long, value_name = "NODE")]
    down: Vec<String>,
    /// Do not ask the running server
    #[arg(long)]
    offline: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

impl Explain {
    pub(super) fn run(self) -> ExitCode {
        let client = self.client.as_ref().map(|client| format!("&client={client}")).unwrap_or_default();
        let json = u8::from(self.json);
        let qtype = self.qtype.to_ascii_uppercase();
        let query = format!("name={}&type={qtype}&resolver={}&json={json}{client}", self.name, self.resolver);
        let asked = match Asked::parse(&query) {
            Ok(asked) => asked,
            Err(what) => return failed(what),
        };
        match self.explained(&asked) {
            Ok(words) => said(words),
            Err(what) => failed(what),
        }
    }

    fn explained(&self, asked: &Asked) -> Result<String, String> {
        let config = &self.config.config;
        if self.down.is_empty() && !self.offline {
            match ask_server(config, "GET", &format!("/explain?{}", asked.query())) {
                Ok(told) => return told,
                Err(what) => eprintln!("steerdns: {what}; by the files, as if all nodes were up:"),
            }
        }
        let loaded = load(config).map_err(|issues| show::issues(&issues, show::Format::Full))?;
        let Loaded { plan, geography, .. } = loaded;
        if let Some(unknown) = self.down.iter().find(|key| !is_known(&plan.inventory, key)) {
            return Err(format!("no node and no cluster is called `{unknown}`"));
        }
        let now = Instant::now();
        let dead = |target: &Target| {
            let key = &target.aim.key;
            self.down.iter().any(|down| **down == *key.node || **down == *key.cluster)
        };
        let mut publisher = Publisher::rehearsed(Arc::new(plan), dead, now);
        let (snapshot, _) = publisher.publish(now);
        let explanation = asked.explain(&snapshot.unwrap_or_default(), Some(&geography), &[], now)?;
        Ok(asked.shown(&explanation))
    }
}

fn is_known(inventory: &Inventory, key: &str) -> bool {
    let clusters = &inventory.clusters;
    clusters.iter().any(|cluster| &*cluster.key == key || cluster.nodes.iter().any(|node| &*node.key == key))
}
