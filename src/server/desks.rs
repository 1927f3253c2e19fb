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
use crate::cluster::Node;
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
    let mut nodes = plan
        .inventory
        .clusters
        .iter()
        .flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node)));
    let found = match &push.whose {
        Whose::Node { cluster, node } => {
            nodes.find(|(own, other)| *own.key == **cluster && *other.key == **node)
        }
        Whose::Device(device, ip) => {
            let ip: Option<IpAddr> = ip.parse().ok();
            let is_its =
                |node: &Node| node.addresses.iter().any(|own| Some(own.ip) == ip || Some(own.probe) == ip);
            nodes.find(|(_, node)| *node.key == **device || is_its(node))
        }
    };
    let (cluster, node) = found.ok_or_else(|| Refused::Unknown("no node of this key or address".into()))?;
    senses(quality).push(cluster.key.clone(), node.key.clone(), push.used, Instant::now());
    Ok(())
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
