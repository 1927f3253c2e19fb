//! What is served as it was written.

pub mod record;
