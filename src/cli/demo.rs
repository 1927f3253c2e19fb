//! `steerdns demo`
#![allow(clippy::disallowed_methods)] // It measures what it shows.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::demo_node::{Life, Node};
use super::{failed, said};
use crate::files::admin::Admin;
use crate::files::link::Linked;
use crate::files::read::Disk;
use crate::load::seen::Seen;
use crate::load::{Reading, load_from};
use crate::server::{Loader, NotStarted, Server, start};

/// How long a change of a verdict is waited for, before the demo says that it did not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);

/// The example world, as the repository ships it.
const FILES: [(&str, &str); 5] = [
    ("steerdns.toml", include_str!("../../steerdns.toml")),
    ("zones/clusters.toml", include_str!("../../zones/clusters.toml")),
    ("zones/live.example.com.toml", include_str!("../../zones/live.example.com.toml")),
    ("zones/live.example.com.zone", include_str!("../../zones/live.example.com.zone")),
    ("geoip/rtt.csv", include_str!("../../geoip/rtt.csv")),
];

/// A whole world on this machine, on built-in files: twelve clusters on five continents with small servers of their own,
/// and the nameserver on 127.0.0.1:5300 and [::1]:5300. Try it with dig; kill a node, and watch it leave.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Where to answer, instead of the two addresses above.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Where `/metrics` and `/status` are, instead of 127.0.0.1:9353.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
}

impl Demo {
    pub(super) fn run(self) -> ExitCode {
        // Warnings would stand between the lines of the conversation; RUST_LOG brings them back.
        let _logs = super::serve::logs("warn");
        match self.world() {
            Ok((server, nodes, _nodes_run)) => {
                greet(&server, &nodes);
                server.block_on(converse(&server, &nodes));
                server.stop();
                // Its state is of no use to anybody.
                let _ = std::fs::remove_dir_all(state());
                ExitCode::SUCCESS
            }
            Err(not_started) => failed(not_started),
        }
    }

    /// The servers of all nodes, and the nameserver that probes them.
    fn world(self) -> Result<(Server, Nodes, tokio::runtime::Runtime), NotStarted> {
        let cannot = |error: io::Error| NotStarted(format!("the demo's servers do not start: {error}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(cannot)?;
        let mut bare = None;
        let loaded = load_from(Path::new("steerdns.toml"), disk(), |linked| bare = Some(linked.clone()));
        loaded.map_err(|_| NotStarted("the built-in world does not load: a bug".into()))?;
        let bare = bare.ok_or_else(|| NotStarted("the built-in world is empty: a bug".into()))?;
        let ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !ipv6 {
            said("This machine has no IPv6: the demo does without.\n");
        }
        let nodes = Arc::new(runtime.block_on(start_nodes(&bare, ipv6)).map_err(cannot)?);
        let here = Arc::clone(&nodes);
        let loader: Loader = Arc::new(move |_| {
            let loaded = load_from(Path::new("steerdns.toml"), disk(), |linked| {
                place_on_loopback(linked, &here);
                if !self.listen.is_empty() {
                    linked.server.listen.clone_from(&self.listen);
                } else if !ipv6 {
                    linked.server.listen.retain(SocketAddr::is_ipv4);
                }
                if let Some(listen) = self.admin {
                    linked.server.admin = Some(Admin { listen, names: Vec::new() });
                }
                linked.server.state =
                    std::env::temp_dir().join(format!("steerdns-demo-{}", std::process::id()));
            });
            Reading { loaded, seen: Seen::default() }
        });
        Ok((start(&loader)?, nodes, runtime))
    }
}

/// The nodes by their keys.
type Nodes = Arc<BTreeMap<Arc<str>, (Arc<str>, Node)>>;

/// Where this demo keeps its state.
fn state() -> PathBuf {
    std::env::temp_dir().join(format!("steerdns-demo-{}", std::process::id()))
}

fn disk() -> Disk<'static> {
    fn file(path: &Path) -> io::Result<Vec<u8>> {
        // `zones/../geoip/rtt.csv` is written as a path from the file that names it.
        let path = path.to_string_lossy().replace("zones/../", "");
        let found = FILES.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
    }
    fn names(directory: &Path) -> io::Result<Vec<String>> {
        let below = FILES.iter().filter_map(|(name, _)| Path::new(name).strip_prefix(directory).ok());
        Ok(below.map(|name| name.to_string_lossy().into_owned()).collect())
    }
    Disk { file: &file, names: &names }
}

async fn start_nodes(linked: &Linked, ipv6: bool) -> io::Result<BTreeMap<Arc<str>, (Arc<str>, Node)>> {
    let mut nodes = BTreeMap::new();
    for cluster in &linked.inventory.clusters {
        for node in &cluster.nodes {
            let hosts = node.addresses.iter().map(|address| match address.ip {
                IpAddr::V6(_) if ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
                _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
            });
            nodes.insert(node.key.clone(), (cluster.key.clone(), Node::start(hosts).await?));
        }
    }
    Ok(nodes)
}

/// Every address is probed at its own small server, whatever the check's port.
fn place_on_loopback(linked: &mut Linked, nodes: &BTreeMap<Arc<str>, (Arc<str>, Node)>) {
    for node in linked.inventory.clusters.iter_mut().flat_map(|cluster| &mut cluster.nodes) {
        let Some((_, own)) = nodes.get(&node.key) else { continue };
        for (address, server) in node.addresses.iter_mut().zip(&own.addresses) {
            address.probe = server.ip();
            address.probe_port = Some(server.port());
        }
    }
}

fn greet(server: &Server, nodes: &Nodes) {
    let address = server.addresses().first().copied();
    let (host, port) = address.map_or(("127.0.0.1".into(), 5300), |at| (at.ip().to_string(), at.port()));
    let dig = format!("dig @{host} -p {port} +noall +answer");
    said(format_args!(
        "steerdns demo: {} nodes in 12 clusters, answering on {}\n\n\
         Who gets what? In another terminal:\n\
         \x20 {dig} play.live.example.com +subnet=175.139.142.0/24      # a viewer in Kuala Lumpur: Singapore\n\
         \x20 {dig} play.live.example.com +subnet=177.32.10.0/24        # a viewer in Brazil: São Paulo\n\
         \x20 {dig} play.live.example.com AAAA +subnet=2003:e2::/32     # a viewer in Germany: Frankfurt\n\
         \x20 {dig} TXT _why.play.live.example.com +subnet=175.139.142.0/24   # and why\n\n\
         Here:\n\
         \x20 kill NODE|CLUSTER     its process dies: connections are refused\n\
         \x20 freeze NODE|CLUSTER   it hangs: connections open, nothing is said\n\
         \x20 revive NODE|CLUSTER\n\
         \x20 nodes                 how they all do\n\
         \x20 quit\n",
        nodes.len(),
        server.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
    ));
    if let Some(admin) = server.admin() {
        said(format_args!("\nMetrics: http://{admin}/metrics   State: http://{admin}/status\n"));
    }
    said("\n");
}

/// Takes commands until `quit`, a signal, or the end of all.
async fn converse(server: &Server, nodes: &Nodes) {
    let mut lines = typed();
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut reading = true;
    loop {
        let line = tokio::select! {
            line = lines.recv(), if reading => line,
            _ = term.recv() => return,
            _ = interrupt.recv() => return,
        };
        let Some(line) = line else {
            reading = false; // Nobody types: answer until a signal.
            continue;
        };
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("kill"), Some(key)) => turn(server, nodes, key, Life::Killed).await,
            (Some("freeze"), Some(key)) => turn(server, nodes, key, Life::Frozen).await,
            (Some("revive"), Some(key)) => turn(server, nodes, key, Life::Alive).await,
            (Some("nodes"), None) => list(server),
            (Some("quit" | "exit"), None) => return,
            (None, _) => {}
            _ => _ = said("kill NODE, freeze NODE, revive NODE, nodes, quit\n"),
        }
    }
}

/// The lines that are typed. A thread of its own reads them: one that nobody can wake, so nobody waits for it.
fn typed() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Turns a node, or all of a cluster, and tells how long the answers took to follow.
async fn turn(server: &Server, nodes: &Nodes, key: &str, life: Life) {
    let meant: Vec<_> =
        nodes.iter().filter(|(node, (cluster, _))| &***node == key || &**cluster == key).collect();
    if meant.is_empty() {
        said(format_args!("no node and no cluster is called `{key}`\n"));
        return;
    }
    let began = Instant::now();
    for (_, (_, node)) in &meant {
        node.turn(life);
    }
    let answering = life == Life::Alive;
    while began.elapsed() < PATIENCE {
        if meant.iter().all(|(node, _)| is_answered(server, node) == answering) {
            let seconds = began.elapsed().as_secs_f64();
            let what = if answering { "is in the answers again" } else { "left the answers" };
            said(format_args!("{key} {what} after {seconds:.2} s\n"));
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    said(format_args!("{key}: the answers did not follow within {} s\n", PATIENCE.as_secs()));
}

/// Whether any of a node's addresses can be answered now.
fn is_answered(server: &Server, key: &str) -> bool {
    let snapshot = server.live().now();
    let clusters = snapshot.plan.inventory.clusters.iter().zip(&snapshot.pools);
    let addresses = clusters.flat_map(|(cluster, pools)| {
        let node = cluster.nodes.iter().filter(|node| &*node.key == key);
        node.flat_map(|node| &node.addresses).map(move |address| (address.ip, pools))
    });
    let mut addresses = addresses;
    addresses.any(|(address, pools)| {
        pools.pools.iter().any(|pool| pool.sets.holds(address) && pool.pool.open != 0)
    })
}

fn list(server: &Server) {
    let snapshot = server.live().now();
    for (cluster, pools) in snapshot.plan.inventory.clusters.iter().zip(&snapshot.pools) {
        for held in &pools.held {
            let key = &held.target.aim.key;
            let cause = held.held.cause_now().map(|cause| format!("  {cause}")).unwrap_or_default();
            said(format_args!(
                "{:<5} {:<7} {:<18} {:<7} {:<8}{cause}\n",
                cluster.key,
                key.node,
                key.address.to_string(),
                key.check,
                held.held.verdict.word()
            ));
        }
    }
}
