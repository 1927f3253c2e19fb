//! What operators write. The only place that knows TOML; it reads no disk.

pub mod checks;
pub mod clusters;
pub mod codes;
pub mod document;
pub mod duration;
mod findings;
mod generate;
pub mod geofeed;
mod head;
mod integrity;
pub mod issue;
mod lexer;
pub mod lines;
pub mod link;
mod loose_ends;
pub mod networks;
pub mod policies;
mod rdata;
pub mod read;
pub mod rtt;
pub mod server;
pub mod show;
pub mod steering;
pub mod syntax;
mod ttl;
pub mod words;
pub mod zone;
