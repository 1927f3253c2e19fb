//! What operators write. The only place that knows TOML; it reads no disk.

pub mod issue;
pub mod rtt;
