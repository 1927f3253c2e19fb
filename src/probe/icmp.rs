//! ICMP echoes (RFC 792, RFC 4443): one socket a family for all targets of a check, and who waits for what comes back.
#![allow(clippy::disallowed_methods, reason = "sockets are this shell's work")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::ended::{Ended, Limit};
use super::memory::Memory;
use super::tcp;
use crate::health::check::Icmp;

const LAYER: &str = "echo";
/// Octets of an ICMP header, and behind it: what tells one echo from another.
const HEADER: usize = 8;
const TOKEN: usize = 8;
/// Octets of a whole echo: as long as everybody's ping.
const ECHO: usize = 64;
/// (request, reply)
const TYPES_V4: (u8, u8) = (8, 0);
const TYPES_V6: (u8, u8) = (128, 129);
/// Our echoes, behind an IPv4 header with all its options.
const DATAGRAM_MAX: usize = ECHO + 60;

type Token = [u8; TOKEN];

/// The sockets of a check, opened when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    v4: Mutex<Option<Arc<Port>>>,
    v6: Mutex<Option<Arc<Port>>>,
}

/// A socket, and who waits for what comes back by it.
#[derive(Debug)]
struct Port {
    socket: Arc<UdpSocket>,
    waiting: Arc<Waiting>,
    hearing: JoinHandle<()>,
}

/// Who waits: by token; whose echo it must be, and how to say that it came. As many as probes are out.
type Waiting = Mutex<HashMap<Token, (IpAddr, oneshot::Sender<()>)>>;

/// Sends an echo, waits for it, and judges how many came back of late.
pub(super) async fn echo(
    to: SocketAddr,
    icmp: &Icmp,
    echoes: &Echoes,
    memory: &Memory,
    limit: &Limit,
) -> Result<(), Ended> {
    let port = echoes.port(to.ip())?;
    let token = super::chance()?;
    let mut awaited = port.await_echo(token, to.ip());
    let to_host = SocketAddr::new(to.ip(), 0);
    // All targets share the socket: what fills its buffer is not this one's fault.
    let request = request(to.ip(), token);
    let went = limit.wait(port.socket.send_to(&request, to_host)).await;
    let went = went.ok_or_else(|| Ended::Local("no room to send an echo".into()))?;
    went.map_err(|error| tcp::sort(&error, to_host))?;
    let mut sent = memory.echo_sent(icmp);
    let returned = async {
        // The other end goes where the socket broke: ours to bear.
        (&mut awaited.heard).await.map_err(|_| Ended::Local("the socket for echoes broke".into()))
    };
    match limit.step(LAYER, returned).await {
        Ok(()) => sent.returned(),
        Err(Ended::Local(what)) => {
            sent.forget();
            return Err(Ended::Local(what));
        }
        Err(lost) => return Err(lost),
    }
    drop(sent);
    match (&icmp.loss, memory.echo_loss(icmp)) {
        (Some(loss), Some(share)) if share > loss.max => {
            let percent = (share * 100.0).round();
            Err(Ended::at(LAYER, format!("loss {percent} % of the last {}", loss.window)))
        }
        _ => Ok(()),
    }
}

impl Echoes {
    /// The socket for an address's family, opened where none is, or where it broke.
    fn port(&self, ip: IpAddr) -> Result<Arc<Port>, Ended> {
        let slot = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = slot.as_ref().filter(|port| !port.hearing.is_finished()) {
            return Ok(port.clone());
        }
        let port = Arc::new(Port::open(ip)?);
        *slot = Some(port.clone());
        Ok(port)
    }
}

impl Port {
    /// An unprivileged socket where the system gives one, else a raw one.
    fn open(ip: IpAddr) -> Result<Port, Ended> {
        let (domain, protocol) = match ip {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let open = |kind| Socket::new(domain, kind, Some(protocol));
        let socket = open(Type::DGRAM).or_else(|_| open(Type::RAW)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(StdSocket::from(socket))
        });
        let socket = Arc::new(socket.map_err(|error| Ended::Local(unopened(&error).into()))?);
        let waiting = Arc::<Waiting>::default();
        let hearing = tokio::spawn(hear(socket.clone(), waiting.clone()));
        Ok(Port { socket, waiting, hearing })
    }

    fn await_echo(&self, token: Token, from: IpAddr) -> Awaited<'_> {
        let (tell, heard) = oneshot::channel();
        locked(&self.waiting).insert(token, (from.to_canonical(), tell));
        Awaited { port: self, token, heard }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

/// An echo that is waited for, as long as this is kept.
struct Awaited<'p> {
    port: &'p Port,
    token: Token,
    heard: oneshot::Receiver<()>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        locked(&self.port.waiting).remove(&self.token);
    }
}

fn locked(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<Token, (IpAddr, oneshot::Sender<()>)>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no socket, and what to do about it.
fn unopened(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "no right to send echoes: widen the sysctl \
             `net.ipv4.ping_group_range`, or give CAP_NET_RAW"
            .into(),
        _ => format!("no socket for echoes: {error}"),
    }
}

/// Says to those who wait that their echo came back; ends where the socket breaks, and nobody waits any more.
async fn hear(socket: Arc<UdpSocket>, waiting: Arc<Waiting>) {
    let mut octets = [0; DATAGRAM_MAX];
    while let Ok((len, from)) = socket.recv_from(&mut octets).await {
        let from = from.ip().to_canonical();
        let Some(token) = replied(from, &octets[..len]) else { continue };
        let mut waiting = locked(&waiting);
        // A stranger may not answer for it.
        if waiting.get(&token).is_some_and(|(awaited, _)| *awaited == from)
            && let Some((_, tell)) = waiting.remove(&token)
        {
            // Who gave up meanwhile is not told.
            let _ = tell.send(());
        }
    }
    locked(&waiting).clear();
}

/// A request with this token. An unprivileged socket puts an identifier of its own in; the checksum of ICMPv6 is the
/// kernel's work.
fn request(to: IpAddr, token: Token) -> [u8; ECHO] {
    let mut octets = [0; ECHO];
    octets[0] = if to.is_ipv4() { TYPES_V4.0 } else { TYPES_V6.0 };
    octets[4..HEADER].copy_from_slice(&token[..4]);
    octets[HEADER..HEADER + TOKEN].copy_from_slice(&token);
    if to.is_ipv4() {
        let sum = checksum(&octets);
        octets[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    octets
}

/// RFC 1071.
fn checksum(octets: &[u8; ECHO]) -> u16 {
    let words = octets.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}

/// The token of an echo that came back. Raw sockets of IPv4 give the IP header, too, whose first half-octet is 4.
fn replied(from: IpAddr, octets: &[u8]) -> Option<Token> {
    let (header, reply) = match (from, octets.first()?) {
        (IpAddr::V4(_), first) if first >> 4 == 4 => (usize::from(first & 0x0F) * 4, TYPES_V4.1),
        (IpAddr::V4(_), _) => (0, TYPES_V4.1),
        (IpAddr::V6(_), _) => (0, TYPES_V6.1),
    };
    let icmp = octets.get(header..)?;
    let is_reply = icmp.first() == Some(&reply) && icmp.get(1) == Some(&0);
    icmp.get(HEADER..)?.first_chunk().copied().filter(|_| is_reply)
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn a_reply_is_read_with_and_without_its_ip_header() {
        let token = *b"12345678";
        let mut reply = request(V4, token);
        assert_eq!(replied(V4, &reply), None, "our own request");
        reply[0] = 0;
        assert_eq!(replied(V4, &reply), Some(token));
        let with_options = [&[0x46; 24][..], &reply].concat();
        assert_eq!(replied(V4, &with_options), Some(token));
        let mut reply = request(V6, token);
        reply[0] = 129;
        assert_eq!(replied(V6, &reply), Some(token));
    }

    #[test]
    fn a_checksum_over_itself_is_nothing() {
        let octets = request(V4, *b"\xFF\xFE\xFD\xFC\x80\x00\x7F\x01");
        assert_eq!(checksum(&octets), 0);
    }

    #[test]
    fn who_may_not_open_a_socket_is_told_what_to_do() {
        let refused = unopened(&io::Error::from_raw_os_error(libc::EPERM));
        assert!(refused.contains("ping_group_range"), "{refused}");
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(octets in prop::collection::vec(any::<u8>(), 0..130)) {
            let _ = (replied(V4, &octets), replied(V6, &octets));
        }
    }
}
