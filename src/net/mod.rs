//! Transports: octets in, octets out. All of them call one `respond`, and know nothing of DNS beyond the
//! header's first octets and the two of a stream's frame.
//!
//! ```text
//! listen::bind(address, …) -> sockets       one answering thread for each
//!   udp       Linux: recvmmsg, sendmmsg; one Snapshot and one clock reading per batch
//!   portable  any system: one datagram at a time
//!   stream    TCP (RFC 7766), on tokio; connections belong to the thread that accepted them
//!   hickory   hickory-server's listeners
//! ```

pub mod answering;
pub mod errand;
pub mod hickory;
pub mod listen;
pub mod panics;
pub mod portable;
pub mod stream;
#[cfg(target_os = "linux")]
pub mod udp;
