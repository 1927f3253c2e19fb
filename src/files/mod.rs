//! What operators write. The only place that knows TOML; it reads no disk.

pub mod checks;
pub mod clusters;
pub mod codes;
pub mod document;
pub mod duration;
pub mod issue;
pub mod lines;
pub mod link;
pub mod networks;
pub mod policies;
pub mod read;
pub mod server;
pub mod show;
pub mod steering;
pub mod syntax;
pub mod words;
