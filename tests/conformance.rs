//! The wire, rule by rule: a test for each, named after its section. docs/conformance.md says which test shows what.
//!
//! What takes sockets stands in `server`, what takes other programs in `secondaries`, `interop` and `differential`.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]

mod support;

#[path = "conformance/desk.rs"]
mod desk;
#[path = "conformance/rfc1034.rs"]
mod rfc1034;
#[path = "conformance/rfc2181.rs"]
mod rfc2181;
#[path = "conformance/rfc2308.rs"]
mod rfc2308;
#[path = "conformance/rfc4592.rs"]
mod rfc4592;
#[path = "conformance/rfc6672.rs"]
mod rfc6672;
#[path = "conformance/rfc6891.rs"]
mod rfc6891;
#[path = "conformance/rfc7828.rs"]
mod rfc7828;
#[path = "conformance/rfc7871.rs"]
mod rfc7871;
#[path = "conformance/rfc7873.rs"]
mod rfc7873;
#[path = "conformance/rfc8482.rs"]
mod rfc8482;
#[path = "conformance/rfc8906.rs"]
mod rfc8906;
#[path = "conformance/rfc8914.rs"]
mod rfc8914;
#[path = "conformance/rfc8945.rs"]
mod rfc8945;
#[path = "conformance/rfc9460.rs"]
mod rfc9460;
#[path = "conformance/rfc9471.rs"]
mod rfc9471;
#[path = "conformance/rfc9660.rs"]
mod rfc9660;
#[path = "conformance/rrl.rs"]
mod rrl;
#[path = "conformance/transfers.rs"]
mod transfers;
