//! What nodes are worth: what one probe saw becomes a verdict, and doubt carries its date.
//!
//! ```text
//! rounds   when to probe whom            Rounds -> Start, Withdraw, Report      (one Pace a target)
//! board    what we hold of every target  Report -> Change
//! tracker  one target's verdict          both run the same one, so they never disagree
//! quality  what the ways to clusters cost  Report -> Measure                  (one Way a target, each with its Baseline)
//! ```

pub mod baseline;
pub mod board;
pub mod budget;
pub mod certificate;
pub mod check;
pub mod doubt;
pub mod drill;
pub mod layers;
pub mod load;
pub mod note;
pub mod overrides;
pub mod pace;
pub mod promise;
pub mod quality;
pub mod resource;
pub mod rounds;
pub mod target;
pub mod tracker;
pub mod usual;
pub mod verdict;
pub mod way;
