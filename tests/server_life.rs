//! A server's life, through the program itself and real sockets: how it starts, reloads, tells and ends.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

#[path = "server_life/alerting.rs"]
mod alerting;
#[path = "server_life/commits.rs"]
mod commits;
#[path = "server_life/drilling.rs"]
mod drilling;
#[path = "server_life/following.rs"]
mod following;
#[path = "server_life/maps.rs"]
mod maps;
#[path = "server_life/orders.rs"]
mod orders;
#[path = "server_life/reloading.rs"]
mod reloading;
#[path = "server_life/starting.rs"]
mod starting;
#[path = "server_life/telling.rs"]
mod telling;
#[path = "server_life/watching.rs"]
mod watching;
#[path = "server_life/world.rs"]
mod world;
