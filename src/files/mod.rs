//! What operators write. The only place that knows TOML; it reads no disk.

pub mod geofeed;
pub mod issue;
