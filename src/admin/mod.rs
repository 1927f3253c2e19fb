//! What operators and their tools read: `/metrics`, `/status`, `/healthz`.

#[cfg(unix)]
pub mod control;
pub mod http;
mod seats;
