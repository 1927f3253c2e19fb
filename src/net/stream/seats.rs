//! Who is connected, since when idle, and who must go when all seats are taken.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use super::{Counts, Limits};

/// Bits of an IPv6 address that tell one client from another: what a site is usually given (RFC 6177).
const CLIENT_BITS: u32 = 56;

/// The connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Seats {
    next: u64,
    taken: HashMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    client: u128,
    active: Rc<Cell<Instant>>,
    task: JoinHandle<()>,
}

/// A connection's seat: given up when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    /// When its last whole message came, or the connection itself.
    pub(super) active: Rc<Cell<Instant>>,
    id: u64,
    seats: Rc<RefCell<Seats>>,
    counts: Arc<Counts>,
}

impl Seats {
    /// Takes out whoever must go before one more of `peer`'s connections is seated: the idlest of the same
    /// client if that has as many as it may, else the idlest of all if there are as many as may be.
    pub(super) fn in_the_way(&mut self, peer: IpAddr, limits: &Limits) -> Option<JoinHandle<()>> {
        let same = client(peer);
        let of_same = self.taken.values().filter(|taken| taken.client == same).count();
        if of_same >= limits.per_client {
            self.take_idlest(|taken| taken.client == same)
        } else if self.taken.len() >= limits.connections {
            self.take_idlest(|_| true)
        } else {
            None
        }
    }

    /// Takes out the idlest of all.
    pub(super) fn idlest(&mut self) -> Option<JoinHandle<()>> {
        self.take_idlest(|_| true)
    }

    /// Takes out everybody.
    pub(super) fn all(&mut self) -> Vec<JoinHandle<()>> {
        self.taken.drain().map(|(_, taken)| taken.task).collect()
    }

    fn take_idlest(&mut self, among: impl Fn(&Taken) -> bool) -> Option<JoinHandle<()>> {
        let candidates = self.taken.iter().filter(|(_, taken)| among(taken));
        let (&id, _) = candidates.min_by_key(|(_, taken)| taken.active.get())?;
        self.taken.remove(&id).map(|taken| taken.task)
    }
}

/// Seats a connection of `peer`, and runs it.
pub(super) fn seat<F>(
    seats: &Rc<RefCell<Seats>>,
    peer: IpAddr,
    now: Instant,
    counts: &Arc<Counts>,
    run: impl FnOnce(Seat) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let active = Rc::new(Cell::new(now));
    let mut table = seats.borrow_mut();
    let id = table.next;
    table.next += 1;
    counts.accepted.bump();
    let seat = Seat { active: Rc::clone(&active), id, seats: Rc::clone(seats), counts: Arc::clone(counts) };
    let task = spawn_local(run(seat));
    table.taken.insert(id, Taken { client: client(peer), active, task });
}

impl Seat {
    /// Where its thread counts.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.borrow_mut().taken.remove(&self.id);
        self.counts.closed.bump();
    }
}

/// The same for all addresses of one client.
fn client(peer: IpAddr) -> u128 {
    match peer {
        IpAddr::V4(peer) => peer.to_ipv6_mapped().to_bits(),
        IpAddr::V6(peer) => peer.to_bits() >> (128 - CLIENT_BITS) << (128 - CLIENT_BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one_client(a: &str, b: &str) -> bool {
        client(a.parse().unwrap()) == client(b.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_56() {
        assert!(!is_one_client("192.0.2.1", "192.0.2.2"));
        assert!(is_one_client("2001:db8:0:1::1", "2001:db8:0:ff::2"));
        assert!(!is_one_client("2001:db8:0:1::1", "2001:db8:0:100::1"));
        assert!(!is_one_client("0.0.0.0", "::"));
    }
}
