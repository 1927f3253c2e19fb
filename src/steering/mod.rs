//! Which cluster for whom.

pub mod rules;
pub mod service;
