//! What operators and their tools read: `/metrics`, `/status`, `/healthz`.

pub mod http;
mod seats;
