//! The admin listener and the control socket: what they show and do comes from here.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::balancing::{Senses, senses};
use super::drilling;
use super::listening::cannot_listen;
use super::ordering::Request;
use super::start::{GeographyReader, Handle, NotStarted};
use crate::admin::http::{Push, Refused, Whose};
use crate::admin::{control, http};
use crate::asked::Asked;
use crate::cluster::{Cluster, Inventory, Node};
use crate::files::server::ServerFile;
use crate::plan::Plan;
use crate::record::Record;
use crate::snapshot::Live;
use crate::steering::balance::world::USED_MAX;

/// Starts the admin listener, where there is one; gives its address.
pub(super) fn admin(
    runtime: &Runtime,
    server: &ServerFile,
    record: &Arc<Record>,
    live: &Arc<Live>,
    quality: &Senses,
    ended: &watch::Receiver<bool>,
) -> Result<Option<SocketAddr>, NotStarted> {
    let Some(admin) = &server.admin else { return Ok(None) };
    let address = admin.listen;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    let listener = listener.map_err(|error| NotStarted(cannot_listen(address, &error)))?;
    let bound = listener.local_addr().ok();
    let (metrics, status) = ((Arc::clone(record), Arc::clone(live)), (Arc::clone(record), Arc::clone(live)));
    let pushed = (Arc::clone(live), Arc::clone(quality));
    let nsid = server.nsid.iter().map(|nsid| nsid.to_ascii_lowercase());
    let sources = http::Sources {
        names: admin.names.iter().cloned().chain(nsid).collect(),
        metrics: Arc::new(move || metrics.0.exposition(&metrics.1.now(), Instant::now())),
        status: Arc::new(move || status.0.status(&status.1.now(), Instant::now())),
        push: Arc::new(move |push| take_load(&push, &pushed.0.now().plan, &pushed.1)),
    };
    let (stop, stopped) = oneshot::channel();
    let mut ended = ended.clone();
    runtime.spawn(async move {
        let _ = ended.wait_for(|ended| *ended).await;
        let _ = stop.send(());
    });
    runtime.spawn(async move {
        if let Err(error) = http::serve(listener, sources, stopped).await {
            tracing::error!("the admin listener ended: {error}");
        }
    });
    Ok(bound)
}

/// Takes what a node says of its load.
fn take_load(push: &Push, plan: &Plan, quality: &Senses) -> Result<(), Refused> {
    if !plan.settings.push_token.as_ref().is_some_and(|token| token.is(&push.token)) {
        return Err(Refused::Token);
    }
    if !(0.0..=USED_MAX).contains(&push.used) {
        return Err(Refused::Nonsense(format!(
            "a load is from 0 to {USED_MAX}: the used share of what the node can carry"
        )));
    }
    let (cluster, node) = node_of(&push.whose, &plan.inventory)?;
    if plan.balance.is_none() {
        return Err(Refused::Unused(
            "load is not balanced: see `[balance]` and `capacity` in clusters.toml".into(),
        ));
    }
    senses(quality).push(cluster.key.clone(), node.key.clone(), push.used, Instant::now());
    Ok(())
}

/// The node that a push means. A key is a node's within its cluster only: alone it means one if no other has it, and an address likewise.
fn node_of<'p>(whose: &Whose, inventory: &'p Inventory) -> Result<(&'p Cluster, &'p Node), Refused> {
    let all = || {
        inventory.clusters.iter().flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node)))
    };
    let named =
        |cluster: &str, node: &str| all().find(|(own, other)| *own.key == *cluster && *other.key == *node);
    let unknown = || Refused::Unknown("no node of this key or address".into());
    let (device, ip) = match whose {
        Whose::Node { cluster, node } => return named(cluster, node).ok_or_else(unknown),
        Whose::Device(device, ip) => (device, ip),
    };
    if let Some((cluster, node)) = device.split_once('/') {
        return named(cluster, node).ok_or_else(unknown);
    }
    let of_key: Vec<_> = all().filter(|(_, node)| *node.key == **device).collect();
    let ip: Option<IpAddr> = ip.parse().ok();
    let is_its = |node: &Node| node.addresses.iter().any(|own| Some(own.ip) == ip || Some(own.probe) == ip);
    let of_address: Vec<_> = all().filter(|(_, node)| is_its(node)).collect();
    match (&of_key[..], &of_address[..]) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], []) => Err(unknown()),
        ([], _) => Err(Refused::Unknown(format!("{} nodes have this address", of_address.len()))),
        (several, _) => {
            let names: Vec<_> =
                several.iter().map(|(cluster, node)| format!("{}/{}", cluster.key, node.key)).collect();
            Err(Refused::Unknown(format!("say which `{device}`: {}", names.join(", "))))
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "all that commands ask of")]
/// The Unix socket by which `steerdns reload`, `status` and `explain` reach this server.
pub(super) fn control_socket(
    runtime: &Runtime,
    server: &ServerFile,
    handle: &Handle,
    record: &Arc<Record>,
    live: &Arc<Live>,
    read: &GeographyReader,
    addresses: &[SocketAddr],
    ended: &watch::Receiver<bool>,
) -> Result<(), NotStarted> {
    let path = control::socket(&server.state);
    let (handle, record, live, read) =
        (handle.clone(), Arc::clone(record), Arc::clone(live), Arc::clone(read));
    let (now, measured, orders) = (Arc::clone(&live), Arc::clone(&record), handle.clone());
    let rollbacks = handle.clone();
    let (stage, drills, addresses) = (Arc::clone(&live), handle.clone(), addresses.to_vec());
    let desk = control::Desk {
        reload: Arc::new(move || {
            let handle = handle.clone();
            Box::pin(async move { handle.reload().await })
        }),
        status: Arc::new(move || record.status(&now.now(), Instant::now())),
        order: Arc::new(move |request: String| {
            let orders = orders.clone();
            Box::pin(async move {
                let request = serde_json::from_str::<Request>(&request);
                orders.order(&request.map_err(|error| format!("not an override: {error}"))?).await
            })
        }),
        drill: Arc::new(move |asked: String| {
            let (stage, drills, addresses) = (Arc::clone(&stage), drills.clone(), addresses.clone());
            Box::pin(async move { drilling::answer(&asked, &drills, &stage, &addresses).await })
        }),
        rollback: Arc::new(move |request: String| {
            let rollbacks = rollbacks.clone();
            Box::pin(async move {
                let request = serde_json::from_str(&request);
                rollbacks.roll_back(request.map_err(|error| format!("not a rollback: {error}"))?).await
            })
        }),
        explain: Arc::new(move |asked: String| {
            let asked = Asked::parse(&asked)?;
            // Where the disk no longer has what is in force, it could say what no list was made of.
            let geography = read();
            let snapshot = live.now();
            let ways = measured.ways(&snapshot.plan);
            let mut explanation = asked.explain(&snapshot, geography.as_ref().ok(), &ways, Instant::now())?;
            explanation.unknown = geography.err().unwrap_or_default();
            Ok(asked.shown(&explanation))
        }),
    };
    let listener = runtime.block_on(control::bind(&path));
    let listener = listener.map_err(NotStarted)?;
    let mut ended = ended.clone();
    runtime.spawn(async move {
        let stopped = async move {
            let _ = ended.wait_for(|ended| *ended).await;
        };
        if let Err(error) = control::serve(listener, &path, desk, stopped).await {
            tracing::error!("the control socket ended: {error}");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::files::read::Disk;
    use crate::load::load_from;

    #[test]
    fn a_heartbeat_is_taken_for_the_node_that_it_means_or_for_none() {
        let clusters = r#"
            [check.edge]
            kind = "tcp"
            port = 80
            [cluster.sin]
            place = [1.35, 103.82]
            check = "edge"
            node.a = ["192.0.2.11"]
            node.sin-2 = ["192.0.2.12"]
            [cluster.fra]
            place = [50.11, 8.68]
            check = "edge"
            node.a = ["192.0.2.21"]
            node.fra-2 = ["192.0.2.22"]
        "#;
        let files = [
            ("steerdns.toml", "listen = [\"127.0.0.1:5300\"]\nzones = \"zones\"\n"),
            ("zones/clusters.toml", clusters),
            ("zones/x.test.zone", "@ 300 SOA ns1 hostmaster 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"),
        ];
        let file = |path: &Path| {
            let found = files.iter().find(|(name, _)| path == Path::new(name));
            found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let names = |_: &Path| Ok(vec!["clusters.toml".to_owned(), "x.test.zone".to_owned()]);
        let disk = Disk { file: &file, names: &names };
        let plan = load_from(Path::new("steerdns.toml"), disk, |_| {}).unwrap().plan;
        let meant = |device: &str, ip: &str| {
            let whose = Whose::Device(device.into(), ip.into());
            node_of(&whose, &plan.inventory)
                .map(|(cluster, node)| format!("{}/{}", cluster.key, node.key))
                .ok()
        };
        assert_eq!(meant("fra/a", "10.0.0.1").as_deref(), Some("fra/a"));
        assert_eq!(meant("a", "192.0.2.21"), None, "two are called so");
        assert_eq!(meant("fra-2", "192.0.2.11").as_deref(), Some("fra/fra-2"), "the key before the address");
        assert_eq!(meant("", "192.0.2.12").as_deref(), Some("sin/sin-2"));
        assert_eq!(meant("srs", "198.51.100.1"), None);
    }
}
