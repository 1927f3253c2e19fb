//! Datagrams that the kernel and we work on in turn, laid out once for all batches.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, c_uint, mmsghdr, sockaddr_in, sockaddr_in6, socklen_t};

use crate::answer::tally::Tally;

/// Datagrams taken at once: enough that a system call's fixed cost is small beside the work, few enough that
/// they stay in the first-level cache from receiving to sending.
const BATCH: usize = 32;
/// Octets of a buffer for the 1,232 that we usually send at most (RFC 9715 §3.2 recommends as much), filled up so that a [`Slot`] is an
/// odd number of cache lines and the headers of a batch do not all fall into one set of the cache.
pub(super) const USUAL: usize = 1280;
/// The same for the 4,096 that an operator may want.
pub(super) const LARGE: usize = 4224;
/// Octets for the address that was asked, as a control message: `in6_pktinfo` takes 40.
const CONTROL: usize = 64;

/// One datagram. What is touched of it for every query is two neighbouring cache lines.
#[repr(C, align(64))]
struct Slot<const BUFFER: usize> {
    iov: libc::iovec,
    peer: sockaddr_in6, // or a sockaddr_in, which is smaller
    buffer: Buffer<BUFFER>,
}

#[repr(C, align(64))]
struct Buffer<const BUFFER: usize>([u8; BUFFER]);

#[repr(C, align(8))] // as a cmsghdr
struct Control([u8; CONTROL]);

/// All that the kernel is told of by address. Headers are swapped, never the slots that they lead to.
#[repr(C, align(64))]
struct Memory<const BUFFER: usize> {
    headers: [mmsghdr; BATCH],
    slots: [Slot<BUFFER>; BATCH],
    controls: [Control; BATCH],
}

const _: () = assert!(size_of::<Slot<USUAL>>() % 128 == 64 && size_of::<Slot<LARGE>>() % 128 == 64);
const _: () = assert!(
    size_of::<Memory<USUAL>>() == BATCH * (size_of::<mmsghdr>() + size_of::<Slot<USUAL>>() + CONTROL)
);

/// A batch of datagrams: received, answered in place, sent; and again.
pub(super) struct Batch<const BUFFER: usize> {
    /// From `Box::into_raw`, ours alone until `drop`. All access goes through it, so that the addresses in
    /// the headers stay good.
    memory: *mut Memory<BUFFER>,
    ipv4: bool,
    /// What `msg_namelen` and `msg_controllen` must be before receiving; `receive` has left no others behind.
    peer_len: socklen_t,
    control_len: usize,
    /// Headers of the last batch that have been written to since.
    used: usize,
    /// Answers: the first so many headers.
    kept: usize,
    /// The port that we listen on, in network order: what claims to come from such a port is no resolver's, but another nameserver's
    /// or our own.
    port: u16,
}

impl<const BUFFER: usize> Batch<BUFFER> {
    /// For a socket bound to `local`: the unspecified address makes it answer from the address that was asked.
    pub(super) fn new(local: SocketAddr) -> Batch<BUFFER> {
        let memory = Box::into_raw(Box::<Memory<BUFFER>>::new_uninit()).cast::<Memory<BUFFER>>();
        let ipv4 = local.is_ipv4();
        let peer_len = if ipv4 { size_of::<sockaddr_in>() } else { size_of::<sockaddr_in6>() } as socklen_t;
        let control_len = if local.ip().is_unspecified() { CONTROL } else { 0 };
        // SAFETY: `memory` is one allocation of a Memory, whose parts are plain data that may be all zero;
        // the pointers that are made of it stay within it.
        unsafe {
            memory.write_bytes(0, 1);
            for i in 0..BATCH {
                let (header, slot) = (&raw mut (*memory).headers[i], &raw mut (*memory).slots[i]);
                (*slot).iov.iov_base = (&raw mut (*slot).buffer).cast();
                (*slot).iov.iov_len = BUFFER;
                (*header).msg_hdr.msg_iov = &raw mut (*slot).iov;
                (*header).msg_hdr.msg_iovlen = 1;
                (*header).msg_hdr.msg_name = (&raw mut (*slot).peer).cast();
                (*header).msg_hdr.msg_namelen = peer_len;
                if control_len > 0 {
                    (*header).msg_hdr.msg_control = (&raw mut (*memory).controls[i]).cast();
                    (*header).msg_hdr.msg_controllen = control_len as _;
                }
            }
        }
        Batch { memory, ipv4, peer_len, control_len, used: 0, kept: 0, port: local.port().to_be() }
    }

    /// Waits for a datagram, or until the socket's read timeout, and takes what else has come: how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for i in 0..self.used {
            // SAFETY: `used` is at most BATCH; the header leads to a slot of our memory.
            unsafe {
                let header = self.header(i);
                (*header).msg_hdr.msg_namelen = self.peer_len;
                (*header).msg_hdr.msg_controllen = self.control_len as _;
                (*(*header).msg_hdr.msg_iov).iov_len = BUFFER;
            }
        }
        (self.used, self.kept) = (0, 0);
        // SAFETY: the headers and all that they lead to are ours, and as large as they say.
        let received = unsafe {
            let headers = (&raw mut (*self.memory).headers).cast::<mmsghdr>();
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers,
                BATCH as c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        self.used = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        assert!(self.used <= BATCH, "recvmmsg fills the headers that it was given");
        Ok(self.used)
    }

    /// The datagram at `at`: who sent it, its length, and its buffer, which may be written to beyond that.
    /// `None` where it was longer than the buffer, or no answer could reach the sender.
    #[inline]
    pub(super) fn query(&mut self, at: usize) -> Option<(IpAddr, usize, &mut [u8])> {
        assert!(at < self.used);
        // SAFETY: `at` is one of the headers that the kernel filled; it leads to a slot of our memory, whose
        // buffer nobody else refers to while `self` is borrowed.
        unsafe {
            let header = self.header(at);
            if (*header).msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                return None;
            }
            let peer = self.ip(header)?;
            let buffer = &mut *(*(*header).msg_hdr.msg_iov).iov_base.cast::<Buffer<BUFFER>>();
            Some((peer, (*header).msg_len as usize, &mut buffer.0))
        }
    }

    /// The datagram at `at` has been answered in its buffer, by so many octets.
    #[inline]
    pub(super) fn keep(&mut self, at: usize, len: usize) {
        assert!(at < self.used && self.kept <= at && len <= BUFFER);
        // SAFETY: both are headers of our memory; `at` leads to a slot of it, which holds `len` octets.
        unsafe {
            (*(*self.header(at)).msg_hdr.msg_iov).iov_len = len;
            if self.kept != at {
                ptr::swap(self.header(self.kept), self.header(at));
            }
        }
        self.kept += 1;
    }

    /// Writes to the beginning of the buffer at `at`.
    pub(super) fn write(&mut self, at: usize, octets: &[u8]) {
        assert!(at < self.used && octets.len() <= BUFFER);
        // SAFETY: as in `query`.
        let buffer = unsafe { &mut *(*(*self.header(at)).msg_hdr.msg_iov).iov_base.cast::<Buffer<BUFFER>>() };
        buffer.0[..octets.len()].copy_from_slice(octets);
    }

    /// Sends what was kept, skipping what the kernel refuses.
    pub(super) fn send(&mut self, socket: &UdpSocket, tally: &Tally) {
        if self.control_len > 0 {
            self.any_interface();
        }
        let mut sent = 0;
        while sent < self.kept {
            // SAFETY: the first `kept` headers are ours and lead to what they say; `kept` is at most BATCH.
            let done = unsafe {
                let (first, left) = (self.header(sent), (self.kept - sent) as c_uint);
                libc::sendmmsg(socket.as_raw_fd(), first, left, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(done) {
                Ok(done) if done > 0 => sent += done,
                _ => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        tally.send_failed(self.kept - sent); // the queue is full: so it is for the others
                        return;
                    }
                    _ => {
                        tally.send_failed(1); // no route, no memory, a firewall's word: that one alone
                        sent += 1;
                    }
                },
            }
        }
    }

    /// Who sent the datagram at `at`.
    pub(super) fn peer(&self, at: usize) -> Option<SocketAddr> {
        assert!(at < self.used);
        // SAFETY: as in `query`; the family of the socket tells which sockaddr the kernel wrote.
        unsafe {
            let header = self.header(at);
            let ip = self.ip(header)?;
            let name = (*header).msg_hdr.msg_name.cast::<sockaddr_in6>();
            let port = u16::from_be((*name).sin6_port); // at the same place in both
            Some(match ip {
                IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, (*name).sin6_scope_id).into(),
            })
        }
    }

    /// The control message that makes an answer leave from the address that was asked at `at`; empty where
    /// the socket has but one.
    pub(super) fn control(&self, at: usize) -> Box<[u8]> {
        assert!(at < self.used);
        if self.control_len == 0 {
            return Box::default();
        }
        // SAFETY: as in `query`; the kernel wrote `msg_controllen` octets, at most CONTROL, all once zeroed.
        unsafe {
            let header = self.header(at);
            clear_interface(header);
            let len = CONTROL.min((*header).msg_hdr.msg_controllen as _);
            let control = &(*(*header).msg_hdr.msg_control.cast::<Control>()).0;
            control[..len].into()
        }
    }

    /// Lets routing choose the interface by which each answer leaves: it need not be the one it came by.
    fn any_interface(&mut self) {
        for i in 0..self.kept {
            // SAFETY: a header that the kernel filled, `i` being less than `used`.
            unsafe { clear_interface(self.header(i)) };
        }
    }

    /// The header at `at`, which must be below BATCH.
    #[inline]
    unsafe fn header(&self, at: usize) -> *mut mmsghdr {
        // SAFETY: within the array, as the caller promises.
        unsafe { (&raw mut (*self.memory).headers).cast::<mmsghdr>().add(at) }
    }

    /// The sender's address; `None` with source port 0, which no answer can reach, and with our own.
    #[inline]
    unsafe fn ip(&self, header: *const mmsghdr) -> Option<IpAddr> {
        // SAFETY: `msg_name` leads to a slot's `peer`, aligned for both and as large as the larger; the
        // kernel wrote the socket's own family.
        unsafe {
            let name = (*header).msg_hdr.msg_name;
            if self.ipv4 {
                let name = &*name.cast::<sockaddr_in>();
                (name.sin_port != 0 && name.sin_port != self.port)
                    .then(|| Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr)).into())
            } else {
                let name = &*name.cast::<sockaddr_in6>();
                (name.sin6_port != 0 && name.sin6_port != self.port)
                    .then(|| Ipv6Addr::from(name.sin6_addr.s6_addr).into())
            }
        }
    }
}

impl<const BUFFER: usize> Drop for Batch<BUFFER> {
    fn drop(&mut self) {
        // SAFETY: from `Box::into_raw` in `new`, of the same layout, and not used after this.
        drop(unsafe { Box::from_raw(self.memory.cast::<MaybeUninit<Memory<BUFFER>>>()) });
    }
}

/// Sets the interface to none in the control message of a received datagram, and leaves the address.
///
/// # Safety
/// `msg_control` leads to at least `msg_controllen` octets that the kernel wrote, aligned as a `cmsghdr`.
unsafe fn clear_interface(header: *mut mmsghdr) {
    // SAFETY: the macros stay within `msg_controllen`; each kind's data are as large as its struct.
    unsafe {
        let message = &raw const (*header).msg_hdr;
        let mut control = libc::CMSG_FIRSTHDR(message);
        while !control.is_null() {
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = libc::CMSG_DATA(control).cast::<libc::in_pktinfo>();
                    (&raw mut (*info).ipi_ifindex).write_unaligned(c_int::default());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = libc::CMSG_DATA(control).cast::<libc::in6_pktinfo>();
                    (&raw mut (*info).ipi6_ifindex).write_unaligned(0);
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(message, control);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::answer::totals::Totals;
    use crate::answer::worker::Transport;
    use crate::cluster::Family;
    use crate::net::listen;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn socket() -> UdpSocket {
        let socket = listen::bind("127.0.0.1:0".parse().unwrap(), 1, 0).unwrap().udp.remove(0);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A batch of so many datagrams, the n-th of n octets that are all n, and their sender.
    fn filled(n: u8, server: &UdpSocket) -> (Batch<USUAL>, UdpSocket) {
        let client = socket();
        for i in 1..=n {
            client.send_to(&vec![i; usize::from(i)], server.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::<USUAL>::new(server.local_addr().unwrap());
        assert_eq!(
            batch.receive(server).unwrap(),
            usize::from(n),
            "loopback delivers before `send_to` returns"
        );
        (batch, client)
    }

    fn received(client: &UdpSocket) -> Vec<u8> {
        let mut buf = [0; 2048];
        let (len, _) = client.recv_from(&mut buf).unwrap();
        buf[..len].to_vec()
    }

    #[test]
    fn what_is_kept_is_sent_and_the_rest_is_not() {
        let server = socket();
        let (mut batch, client) = filled(5, &server);
        let tally = Tally::new(Transport::Udp, Family::V4);
        for at in [1, 3, 4] {
            let (peer, len, buf) = batch.query(at).unwrap();
            assert_eq!((peer, len), (client.local_addr().unwrap().ip(), at + 1));
            buf[len] = 99;
            batch.keep(at, len + 1);
        }
        batch.send(&server, &tally);
        assert_eq!(
            [received(&client), received(&client), received(&client)],
            [vec![2, 2, 99], vec![4, 4, 4, 4, 99], vec![5, 5, 5, 5, 5, 99]]
        );
        // Nothing of it is left for the next batch.
        client.send_to(&[7; 1280], server.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive(&server).unwrap(), 1);
        assert_eq!(batch.query(0).unwrap().1, 1280);
        batch.keep(0, 1);
        batch.send(&server, &tally);
        assert_eq!(received(&client), [7]);
    }

    #[test]
    fn a_datagram_that_was_cut_off_is_no_query() {
        let server = socket();
        let mut batch = Batch::<USUAL>::new(server.local_addr().unwrap());
        let client = socket();
        client.send_to(&[1; USUAL + 1], server.local_addr().unwrap()).unwrap();
        client.send_to(&[1; USUAL], server.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive(&server).unwrap(), 2);
        assert!(batch.query(0).is_none());
        assert!(batch.query(1).is_some());
    }

    #[test]
    fn an_answer_that_the_kernel_refuses_holds_up_no_other() {
        let server = socket();
        let (mut batch, client) = filled(3, &server);
        // SAFETY: the header leads to a slot's `peer`, which is a sockaddr_in here.
        unsafe { (*(*batch.header(1)).msg_hdr.msg_name.cast::<sockaddr_in>()).sin_port = 0 };
        assert!(batch.query(1).is_none(), "port 0 is never answered");
        (0..3).for_each(|at| batch.keep(at, at + 1)); // but if it were
        let tally = Arc::new(Tally::new(Transport::Udp, Family::V4));
        batch.send(&server, &tally);
        assert_eq!([received(&client), received(&client)], [vec![1], vec![3, 3, 3]]);
        assert_eq!(Totals::of(&[tally]).paths[0].send_failures, 1);
    }

    #[test]
    fn the_socket_s_timeout_ends_a_wait() {
        let server = socket();
        server.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let error = Batch::<USUAL>::new(server.local_addr().unwrap()).receive(&server).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
