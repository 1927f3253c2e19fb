//! Sockets, bound and not yet read from: what can be refused is refused before anything is served.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::answering::STOP_SEEN;

/// Octets that the kernel may queue for us before it drops: some 4,000 queries.
const QUEUE: usize = 4 << 20;
/// Connections that the kernel holds for us until we accept them.
const BACKLOG: i32 = 1024;
/// With port 0: how many free UDP ports are tried for one that is free for TCP, too.
const TRIES: usize = 16;

/// Sockets of one address.
#[derive(Debug)]
pub struct Listeners {
    /// Where they listen: what was asked for, with the port that the kernel chose where that was 0.
    pub address: SocketAddr,
    /// One for each answering thread; more than one share their load by SO_REUSEPORT.
    pub udp: Vec<UdpSocket>,
    /// The same for TCP.
    pub tcp: Vec<TcpListener>,
}

/// Binds `udp` datagram sockets and `tcp` listeners to one address and port.
///
/// Systems other than Linux do not share load between sockets of one port: there, one of each is made.
pub fn bind(address: SocketAddr, udp: usize, tcp: usize) -> io::Result<Listeners> {
    let most = if cfg!(target_os = "linux") { usize::MAX } else { 1 };
    let (udp, tcp) = (udp.min(most), tcp.min(most));
    let mut tries = if address.port() == 0 && udp > 0 && tcp > 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_all(address, udp, tcp) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            done => return done,
        }
    }
}

fn bind_all(mut address: SocketAddr, udp: usize, tcp: usize) -> io::Result<Listeners> {
    let mut listeners = Listeners { address, udp: Vec::new(), tcp: Vec::new() };
    for kind in [Type::DGRAM, Type::STREAM] {
        let count = if kind == Type::DGRAM { udp } else { tcp };
        if count > 0 && address.port() != 0 {
            // SO_REUSEPORT lets a second server of the same user take half of the first one's queries and
            // tell nobody. Without it, the port is refused while anybody else has it.
            socket(address, kind)?.bind(&address.into())?;
        }
        for _ in 0..count {
            let socket = socket(address, kind)?;
            if count > 1 {
                share_port(&socket)?;
            }
            socket.bind(&address.into())?;
            if kind == Type::DGRAM {
                let socket = UdpSocket::from(socket);
                address = socket.local_addr()?;
                listeners.udp.push(socket);
            } else {
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from(socket);
                address = listener.local_addr()?;
                listeners.tcp.push(listener);
            }
        }
    }
    listeners.address = address;
    Ok(listeners)
}

/// A socket with every option that must be set before it is bound.
fn socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None::<Protocol>)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // IPv4 has listeners of its own
    }
    if kind == Type::DGRAM {
        // Less is given silently where the system's limit is lower (net.core.rmem_max).
        let _ = socket.set_recv_buffer_size(QUEUE);
        let _ = socket.set_send_buffer_size(QUEUE);
        socket.set_read_timeout(Some(STOP_SEEN))?;
        #[cfg(target_os = "linux")]
        super::udp::options::apply(&socket, address)?;
    } else {
        socket.set_reuse_address(true)?; // connections of the last run may still be in TIME_WAIT
        socket.set_nonblocking(true)?;
    }
    Ok(socket)
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_becomes_one_port_for_all_sockets() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3, 2).unwrap();
        assert_ne!(listeners.address.port(), 0);
        for socket in &listeners.udp {
            assert_eq!(socket.local_addr().unwrap(), listeners.address);
        }
        for listener in &listeners.tcp {
            assert_eq!(listener.local_addr().unwrap(), listeners.address);
        }
        if cfg!(target_os = "linux") {
            assert_eq!((listeners.udp.len(), listeners.tcp.len()), (3, 2));
        }
    }

    #[test]
    fn a_second_server_cannot_share_the_port_by_accident() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2, 0).unwrap();
        assert_eq!(bind(first.address, 2, 0).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let first = bind("127.0.0.1:0".parse().unwrap(), 0, 2).unwrap();
        assert_eq!(bind(first.address, 0, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn ipv6_leaves_ipv4_alone() {
        // A port that is free for one family may be taken for the other by chance, but not each time.
        let both = (0..TRIES).any(|_| {
            let six = bind("[::]:0".parse().unwrap(), 1, 1).unwrap();
            bind(SocketAddr::new("0.0.0.0".parse().unwrap(), six.address.port()), 1, 1).is_ok()
        });
        assert!(both);
    }
}
