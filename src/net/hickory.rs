//! hickory-server's UDP and TCP listeners, over the same `respond`.
//!
//! For comparison, and for whoever trusts its transport more than ours. Its answers are equal to those of the
//! other engines after decoding, for well-formed queries whose answers fit: it decodes ours and encodes it
//! anew, without compressing against the question, and answers by itself what it cannot parse (FORMERR).
//! It knows no limit of connections, and gives no transfers.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use super::answering::{Answering, Clocks, Respond, STOP_SEEN, Said, servfail};
use super::errand::Errand;
use crate::answer::tally::Tally;
use crate::answer::worker::{Transport, Worker};

/// Octets of the buffer: the longest message.
const MESSAGE: usize = 65_535;
/// How long it keeps a TCP connection on which nothing comes.
const IDLE: Duration = Duration::from_secs(10);
/// Answers of one TCP connection that it holds.
const HELD: usize = 32;
/// How long an answer of the cold lane is waited for.
const LATE: Duration = Duration::from_secs(5);
/// How long it may take to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers on the socket and the listener, if any, until told to stop. It blocks: give it a thread. The
/// Tallies are of the family of the address, for UDP and for TCP.
pub fn serve<R: Respond>(
    socket: UdpSocket,
    listener: Option<TcpListener>,
    answering: &Answering<R>,
    worker: Worker,
    [udp, tcp]: [Arc<Tally>; 2],
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Mutex::new((worker, Clocks::looked_at(), vec![0; MESSAGE].into()));
    let bridge = Bridge { answering: answering.clone(), desk, udp, tcp };
    runtime.block_on(async {
        let mut server = Server::new(bridge);
        socket.set_nonblocking(true)?;
        server.register_socket(tokio::net::UdpSocket::from_std(socket)?);
        if let Some(listener) = listener {
            server.register_listener(tokio::net::TcpListener::from_std(listener)?, IDLE, HELD);
        }
        let mut look = interval(STOP_SEEN);
        while !answering.stopped() {
            look.tick().await;
        }
        match timeout(DRAIN, server.shutdown_gracefully()).await {
            Ok(ended) => ended.map_err(io::Error::other),
            Err(_) => Ok(()),
        }
    })
}

struct Bridge<R> {
    answering: Answering<R>,
    /// One thread runs all of it; the lock, which its trait asks for, is never waited for.
    desk: Mutex<(Worker, Clocks, Box<[u8]>)>,
    udp: Arc<Tally>,
    tcp: Arc<Tally>,
}

// Asked for by RequestHandler; nothing in it is ever pinned.
impl<R> Unpin for Bridge<R> {}

impl<R: Respond> Bridge<R> {
    /// The answer in wire format; `None`: none is sent.
    async fn answer(&self, query: &[u8], request: &Request) -> Option<Vec<u8>> {
        let (transport, tally) = match request.protocol() {
            Protocol::Udp => (Transport::Udp, &self.udp),
            _ => (Transport::Tcp, &self.tcp),
        };
        let peer = request.src().ip();
        let ask = {
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let (worker, clocks, buf) = &mut *desk;
            buf.get_mut(..query.len())?.copy_from_slice(query);
            let now = clocks.now();
            let snapshot = self.answering.live.now();
            match self.answering.answer(&snapshot, worker, tally, now, buf, query.len(), peer, transport) {
                Said::Nothing => return None,
                Said::Transfer(_) => return Some(servfail(*query.first_chunk()?).to_vec()),
                Said::Answer(len) => return Some(buf[..len].to_vec()),
                Said::Later(ask) => ask,
            }
        };
        let (sender, answer) = oneshot::channel();
        let way = move |message: &[u8]| {
            // Nobody waits any more: it came too late.
            let _ = sender.send(message.to_vec());
        };
        if self.answering.lane.put(Errand::new(ask, peer, transport, way)) {
            tally.handed_on();
            timeout(LATE, answer).await.ok()?.ok()
        } else {
            tally.lane_full();
            None
        }
    }
}

#[async_trait::async_trait]
impl<R: Respond> RequestHandler for Bridge<R> {
    async fn handle_request<H: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: H,
    ) -> ResponseInfo {
        let id = request.metadata.id;
        let Some(answer) = self.answer(request.as_slice(), request).await else {
            return told(id, ResponseCode::NoError);
        };
        let Ok(message) = Message::from_vec(&answer) else {
            return told(id, ResponseCode::ServFail);
        };
        let mut response = MessageResponseBuilder::new(&request.queries, message.edns.as_ref()).build(
            message.metadata,
            message.answers.iter(),
            message.authorities.iter(),
            std::iter::empty::<&Record>(),
            message.additionals.iter(),
        );
        if let Some(signature) = message.signature.clone() {
            response.set_signature(signature);
        }
        handle.send_response(response).await.unwrap_or_else(|_| told(id, ResponseCode::ServFail))
    }
}

/// What hickory-server logs of an answer that it did not send.
fn told(id: u16, rcode: ResponseCode) -> ResponseInfo {
    let mut metadata = Metadata::new(id, MessageType::Response, OpCode::Query);
    metadata.response_code = rcode;
    ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
}
