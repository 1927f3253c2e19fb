//! What nodes are worth.

pub mod check;
pub mod promise;
pub mod verdict;
