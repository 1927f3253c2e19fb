//! steerdns: an authoritative nameserver that sends every viewer to the nearest healthy cluster.

pub mod admin;
pub mod answer;
pub mod cluster;
pub mod explain;
pub mod files;
pub mod geo;
pub mod health;
pub mod load;
pub mod metrics;
pub mod net;
pub mod plan;
pub mod publisher;
pub mod sets;
pub mod probe;
pub mod snapshot;
pub mod state;
pub mod steering;
pub mod wire;
pub mod zone;
pub mod why;
pub mod server;
pub mod record;
pub mod asked;
pub mod cli;
