//! Zones as they are served, and their secondaries.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::geo::place::Prefix;
use crate::wire::name::Name;
use crate::wire::tsig::{Key, Signer};
use crate::zone::record::Record;

/// A zone as it is served.
#[derive(Clone, Debug)]
pub struct ServedZone {
    /// Its apex.
    pub origin: Name,
    /// The serial that stands in its file.
    pub serial: u32,
    /// Who gets it whole.
    pub secondaries: Secondaries,
    /// Its records as they are written; none where nobody gets it whole.
    pub records: Arc<[Record]>,
    /// What is steered in it: owners, TTLs, types.
    pub steered: Vec<(Name, u32, Vec<u16>)>,
}

/// Who gets a zone whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Secondaries {
    /// Who may transfer it.
    pub grants: Vec<Grant>,
    /// Who is told of its new editions.
    pub notify: Vec<Notified>,
    /// Whether its editions are of today's health, under serials of their own; else of what the files say.
    pub of_health: bool,
}

/// Who may transfer a zone: whom all that is said here fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// From there; `None`: from anywhere.
    pub from: Option<Prefix>,
    /// With the signature of this key; `None`: with any or none.
    pub key: Option<Name>,
}

impl Grant {
    /// Whether it fits a client, and who signed its query.
    pub fn fits(&self, peer: IpAddr, signer: Option<&Signer>) -> bool {
        let known = self.key.as_ref().is_none_or(|key| signer.is_some_and(|signer| signer.key() == key));
        known && self.from.as_ref().is_none_or(|from| from.contains(peer))
    }
}

/// Who is told of a zone's new edition (RFC 1996).
#[derive(Clone, Debug)]
pub struct Notified {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the message is signed with.
    pub key: Option<Arc<Key>>,
}

impl PartialEq for Notified {
    fn eq(&self, other: &Notified) -> bool {
        let name = |of: &Notified| of.key.as_ref().map(|key| key.name.clone());
        self.address == other.address && name(self) == name(other)
    }
}
