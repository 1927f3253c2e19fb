//! Starts the tasks, hands out channels, reloads, ends in order.
//!
//! ```text
//! prober --Observation--> publishing --Snapshot--> Live --> answering threads (listening)
//! reload --Loaded---------/    |                                 \--Errand--> late
//!                              \--News--> log, Record (metrics), state file (on its own thread), NOTIFY
//! alerting: looks at Live, and at what became of reloads; Notifications --> couriers
//! exporting --Edited-----------/    what secondaries of zones of health get, at most once a second
//! drilling: rehearsed failures: what the prober takes to have failed, and when that was seen
//! upkeep: maps are kept on disk for the next start, databases looked through, behind the answers' backs
//! following: fetches the repository that zones come from, and asks for reloads of its commits
//! watching: looks at the files, and asks for a reload once they changed and have come to rest
//! desks: the admin listener (/metrics, /status) and the control socket (reload, status, explain, overrides)
//! ```

mod alerting;
mod balancing;
mod desks;
pub mod drilling;
mod exporting;
pub mod following;
mod late;
mod listening;
pub mod ordering;
mod publishing;
pub mod reading;
mod start;
mod upkeep;
#[cfg(unix)]
mod user;
mod watching;

pub use start::{Handle, Loader, NotStarted, Server, start};
