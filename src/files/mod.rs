//! What operators write. The only place that knows TOML; it reads no disk.

pub mod document;
pub mod duration;
pub mod issue;
pub mod lines;
pub mod show;
pub mod syntax;
pub mod words;
