//! Alerts: what stands wrong, and when somebody is told of it. Pure; times are given, as durations since 1970 (UTC).
//!
//! ```text
//! Snapshot, refused reload, databases --standing, term--> Conditions --Desk::see-->  Desk  --Desk::tick--> Notifications
//!    (state, not edges: nothing is lost or told twice by a reload or a restart)   \--firing--> Alertmanager, /status, /metrics
//! ```

pub mod condition;
pub mod desk;
pub mod followed;
mod judged;
pub mod message;
pub mod notification;
pub mod queue;
pub mod receiver;
pub mod standing;
pub mod tally;
pub mod template;
pub mod term;
