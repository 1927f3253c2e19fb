//! Bindings: what a service answers beside its addresses, in HTTPS and SVCB (RFC 9460) and in SRV (RFC 2782).

use super::service::ServiceId;

/// What one service answers in one of these types.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The service.
    pub service: ServiceId,
    /// How it is said.
    pub form: Form,
    /// So many clusters more than the one that is answered are named, in the client's order.
    pub next: u8,
}

/// How a binding is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// HTTPS or SVCB: where, and how to speak there.
    Service {
        /// The TargetName of the cluster that is answered: the root where the owner itself has its addresses.
        target: Box<[u8]>,
        /// SvcParams below the address hints, as they stand in RDATA: alpn, no-default-alpn, port.
        params: Box<[u8]>,
    },
    /// SRV: each node by its name.
    Nodes {
        /// The port; `None`: that of the check.
        port: Option<u16>,
    },
}
