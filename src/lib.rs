//! steerdns: an authoritative nameserver that sends every viewer to the nearest healthy cluster.

pub mod admin;
pub mod answer;
pub mod cluster;
pub mod files;
pub mod geo;
pub mod health;
pub mod metrics;
pub mod net;
pub mod snapshot;
pub mod steering;
pub mod wire;
pub mod zone;
