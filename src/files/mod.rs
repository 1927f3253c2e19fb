//! What operators write. The only place that knows TOML; it reads no disk.

mod findings;
mod generate;
mod head;
mod integrity;
pub mod issue;
mod lexer;
mod loose_ends;
mod rdata;
mod ttl;
pub mod zone;
