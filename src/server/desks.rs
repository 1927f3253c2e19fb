//! The admin listener and the control socket: what they show and do comes from here.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::drilling;
use super::listening::cannot_listen;
use super::ordering::Request;
use super::start::{GeographyReader, Handle, NotStarted};
use crate::admin::{control, http};
use crate::asked::Asked;
use crate::files::server::ServerFile;
use crate::files::show;
use crate::record::Record;
use crate::snapshot::Live;

/// Starts the admin listener, where there is one; gives its address.
pub(super) fn admin(
    runtime: &Runtime,
    server: &ServerFile,
    record: &Arc<Record>,
    live: &Arc<Live>,
    ended: &watch::Receiver<bool>,
) -> Result<Option<SocketAddr>, NotStarted> {
    let Some(address) = server.admin else { return Ok(None) };
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address));
    let listener = listener.map_err(|error| NotStarted(cannot_listen(address, &error)))?;
    let bound = listener.local_addr().ok();
    let (metrics, status) = ((Arc::clone(record), Arc::clone(live)), (Arc::clone(record), Arc::clone(live)));
    let sources = http::Sources {
        metrics: Arc::new(move || metrics.0.exposition(&metrics.1.now(), Instant::now())),
        status: Arc::new(move || status.0.status(&status.1.now(), Instant::now())),
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
    let (now, orders) = (Arc::clone(&live), handle.clone());
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
            let geography = read().map_err(|issues| show::issues(&issues, show::Format::Short))?;
            let explanation = asked.explain(&live.now(), Some(&geography), Instant::now())?;
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
