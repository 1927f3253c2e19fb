//! Connects.
#![allow(clippy::disallowed_methods, reason = "sockets are this shell's work")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tokio::net::{TcpSocket, TcpStream};

use super::ended::{Ended, Limit, told};

const LAYER: &str = "connect";

/// Connects.
pub(super) async fn connect(to: SocketAddr, limit: &Limit) -> Result<TcpStream, Ended> {
    limit.step(LAYER, over(socket(to), to)).await
}

/// Connects; the close is a reset, which leaves no TIME_WAIT at either end.
pub(super) async fn connect_and_reset(to: SocketAddr, limit: &Limit) -> Result<TcpStream, Ended> {
    let resetting = socket(to).and_then(|socket| socket.set_zero_linger().map(|()| socket));
    limit.step(LAYER, over(resetting, to)).await
}

fn socket(to: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn over(socket: io::Result<TcpSocket>, to: SocketAddr) -> Result<TcpStream, Ended> {
    let socket = socket.map_err(|error| Ended::Local(format!("no socket: {error}").into()))?;
    let stream = socket.connect(to).await.map_err(|error| sort(&error, to))?;
    // A closed port of this machine that the kernel also chose as our own: we met ourselves.
    match stream.local_addr() {
        Ok(own) if own == to => Err(Ended::at(LAYER, "refused")),
        _ => Ok(stream),
    }
}

/// Whether the target failed, or we did.
pub(super) fn sort(error: &io::Error, to: SocketAddr) -> Ended {
    let ours = match error.raw_os_error() {
        // Out of descriptors, memory, ports; no source address; no such family; forbidden by our own firewall;
        // our own interface is down; an address that cannot be connected to from here.
        Some(
            libc::EMFILE
            | libc::ENFILE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EADDRNOTAVAIL
            | libc::EAFNOSUPPORT
            | libc::EPERM
            | libc::ENETDOWN
            | libc::EINVAL,
        ) => true,
        // From our own routing table, or from a router on the way?
        // So a firewall on the way says that it forbids an IPv6 address (RFC 4443 §3.1), as does a forbidden route of our own.
        Some(libc::EACCES) => !routed(to.ip()),
        Some(libc::ENETUNREACH) => !routed(to.ip()) && !routed(elsewhere(to.ip())),
        _ => false,
    };
    match ours {
        true => Ended::Local(format!("{to}: {error}").into()),
        false => Ended::at(LAYER, told(error)),
    }
}

/// An address of the same family to which only a default route leads (RFC 5737, RFC 3849).
fn elsewhere(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// Whether our own routing table leads there. Connecting a UDP socket sends nothing.
fn routed(to: IpAddr) -> bool {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((to, 9))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(errno: i32) -> Ended {
        sort(&io::Error::from_raw_os_error(errno), "127.0.0.1:80".parse().unwrap())
    }

    #[test]
    fn what_this_machine_lacks_is_no_failure_of_the_target() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT] {
            assert!(matches!(sorted(errno), Ended::Local(_)), "{errno}");
        }
    }

    #[test]
    fn what_the_network_says_is_a_failure() {
        let words = [
            (libc::ECONNREFUSED, "refused"),
            (libc::ECONNRESET, "reset"),
            (libc::EHOSTUNREACH, "host unreachable"),
            (libc::ENETUNREACH, "network unreachable"),
            (libc::ETIMEDOUT, "timed out"),
            (libc::EACCES, "forbidden by a firewall on the way"),
        ];
        for (errno, what) in words {
            let Ended::Failed(cause) = sorted(errno) else { panic!("{what} is no local failure") };
            assert_eq!(cause.to_string(), format!("connect: {what}"));
        }
    }
}
