//! Sockets, and the threads that answer on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::start::{NotStarted, named};
use crate::answer::worker::{Transport, Worker};
use crate::cluster::Family;
use crate::files::server::{Engine, ServerFile};
use crate::net::answering::{Answering, Respond};
use crate::net::stream::{Counts, Limits};
use crate::net::{hickory, listen, portable, stream};
use crate::record::Record;

/// Sockets, bound.
pub(super) struct Listening {
    /// Where they listen, with the ports that the system chose.
    pub(super) addresses: Vec<SocketAddr>,
    listeners: Vec<listen::Listeners>,
}

impl Listening {
    /// Binds all of them, or none.
    pub(super) fn bind(server: &ServerFile) -> Result<Listening, NotStarted> {
        let threads = udp_threads(server);
        let mut listening = Listening { addresses: Vec::new(), listeners: Vec::new() };
        for address in &server.listen {
            let bound = listen::bind(*address, threads, 1);
            let bound = bound.map_err(|error| NotStarted(cannot_listen(*address, &error)))?;
            listening.addresses.push(bound.address);
            listening.listeners.push(bound);
        }
        Ok(listening)
    }

    /// A thread for each UDP socket, and one for all TCP listeners.
    pub(super) fn serve<R: Respond>(
        self,
        server: &ServerFile,
        answering: &Answering<R>,
        record: &Record,
    ) -> Result<Vec<JoinHandle<()>>, NotStarted> {
        let mut threads = Vec::new();
        // All threads of an address share what one network gets.
        let share = udp_threads(server);
        let worker = || Ok(Worker::of(share, chance()?));
        let mut streams = Vec::new();
        for listeners in self.listeners {
            let family = Family::of(listeners.address.ip());
            let mut tcp = listeners.tcp;
            for socket in listeners.udp {
                let tally = record.tally(Transport::Udp, family);
                let answering = answering.clone();
                let engine = server.udp.engine;
                let octets = usize::from(server.edns_size);
                let worker = worker()?;
                if engine == Engine::Hickory {
                    let tallies = [tally, record.tally(Transport::Tcp, family)];
                    let listener = tcp.pop();
                    threads.push(named("dns-hickory", move || {
                        report(hickory::serve(socket, listener, &answering, worker, tallies));
                    }));
                    continue;
                }
                let socket = Arc::new(socket);
                record.socket(&socket);
                threads.push(named("dns-udp", move || {
                    report(match engine {
                        #[cfg(target_os = "linux")]
                        Engine::Auto | Engine::Mmsg => {
                            crate::net::udp::serve(&socket, &answering, worker, &tally, octets)
                        }
                        _ => portable::serve(&socket, &answering, worker, &tally),
                    });
                }));
            }
            streams.extend(tcp.into_iter().map(|listener| (listener, record.tally(Transport::Tcp, family))));
        }
        if !streams.is_empty() {
            let limits = Limits {
                connections: server.tcp.connections as usize,
                per_client: server.tcp.per_client as usize,
                idle: server.tcp.idle,
                ..Limits::default()
            };
            let counts = Arc::<Counts>::default();
            record.streams(&counts);
            let answering = answering.clone();
            threads.push(named("dns-tcp", move || {
                report(stream::serve(streams, &answering, Worker::default(), limits, counts));
            }));
        }
        Ok(threads)
    }
}

/// How many answering threads an address gets.
fn udp_threads(server: &ServerFile) -> usize {
    match (server.udp.engine, server.udp.threads) {
        (Engine::Hickory, _) => 1,
        (_, 0) => thread::available_parallelism().map_or(1, usize::from),
        (_, threads) => threads.into(),
    }
}

/// Why an address cannot be listened on: a sentence.
pub(super) fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("`{address}` is in use: another program listens there"),
        std::io::ErrorKind::PermissionDenied => format!(
            "`{address}` may not be listened on: a port below 1024 wants CAP_NET_BIND_SERVICE or root"
        ),
        std::io::ErrorKind::AddrNotAvailable => format!("`{address}` is no address of this machine"),
        _ => format!("`{address}` cannot be listened on: {error}"),
    }
}

fn report(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!("an answering thread ended: {error}");
    }
}

/// A random number.
pub(super) fn chance() -> Result<u64, NotStarted> {
    let mut chance = [0; 8];
    getrandom::fill(&mut chance).map_err(|error| NotStarted(format!("no random numbers: {error}")))?;
    Ok(u64::from_ne_bytes(chance))
}
