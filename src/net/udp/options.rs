//! Socket options that socket2 lacks, and the kernel's own count of lost queries.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use libc::{c_int, c_void, socklen_t};
use socket2::Socket;

/// Sets what a datagram socket of ours needs besides.
pub(in crate::net) fn apply(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    // Never believe a path MTU that somebody forged, nor ask for one: answers are small enough to pass, and
    // those that do not may be fragmented (draft-ietf-dnsop-avoid-fragmentation, what NSD and Knot do).
    if address.is_ipv4() {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)?;
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)?;
    }
    // Which of our addresses was asked: it must answer. Costs a little, so only where there are several.
    if address.ip().is_unspecified() {
        if address.is_ipv4() {
            set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        } else {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
    }
    Ok(())
}

/// Queries that the kernel dropped since the socket was made, for want of room in its queue; it wraps at 2³².
/// `None` where the kernel does not tell (before Linux 4.12). A system call: ask when metrics are read.
pub fn kernel_drops(socket: &UdpSocket) -> Option<u32> {
    let mut memory = [0_u32; 16];
    let mut len = size_of_val(&memory) as socklen_t;
    // SAFETY: `memory` has room for `len` octets, and both live until the call returns.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut memory).cast::<c_void>(),
            &raw mut len,
        )
    };
    let drops = libc::SK_MEMINFO_DROPS as usize;
    (done == 0 && len as usize > drops * size_of::<u32>()).then_some(memory[drops])
}

fn set(socket: &Socket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: `value` is `len` octets, and lives until the call returns.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast::<c_void>(), len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen;

    #[test]
    fn the_kernel_tells_how_many_queries_it_lost() {
        let server = listen::bind("127.0.0.1:0".parse().unwrap(), 1, 0).unwrap();
        assert_eq!(kernel_drops(&server.udp[0]), Some(0));
        let client = listen::bind("127.0.0.1:0".parse().unwrap(), 1, 0).unwrap();
        let room = socket2::SockRef::from(&server.udp[0]).recv_buffer_size().unwrap();
        // A datagram takes at least its own octets of the queue, which nobody empties.
        for _ in 0..room / 32_000 + 1 {
            client.udp[0].send_to(&[0; 32_000], server.address).unwrap();
        }
        assert!(kernel_drops(&server.udp[0]).unwrap() > 0);
    }
}
