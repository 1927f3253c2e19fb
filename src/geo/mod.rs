//! Where addresses are.

pub mod place;
pub mod places;
