//! Where addresses are.

pub mod place;
pub mod places;
pub mod prefix_map;
pub mod vector;
