//! Where addresses are.

mod atlas;
pub mod countries;
pub mod database;
pub mod embedded;
pub mod geofeed;
mod layer;
pub mod packed;
pub mod place;
pub mod places;
mod places_packed;
pub mod prefix_map;
mod record;
#[cfg(test)]
mod samples;
pub mod sources;
mod subdivisions;
mod tree;
pub mod vector;
