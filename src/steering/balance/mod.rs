//! Clients divided over clusters by what these can carry: nobody is sent to a full cluster while another has room.
//!
//! ```text
//! world     what is known of lists and clusters now
//! settings  marks and times
//! demand    reports of load -> what each list's clients ask for
//! life      where each slot of a touched list is, since when, and why
//! ground    a step's parcels: slots of one list that may move alike; and how full that makes clusters
//! classes   slots that are open to the same clusters
//! fair      how full the fullest must be where the world is short of capacity
//! auction   full clusters count as farther, until nobody is over its mark
//! nearer    slots come back
//! steps     Balance: all of it once a second -> Table
//! table     (list, slot) -> the rank at which its choice begins; and a summary for people
//! ```
//!
//! Nothing here knows a clock, and all arithmetic is `+ - × ÷`: two nameservers that are told the same make the same table.

mod auction;
mod classes;
mod demand;
mod fair;
mod ground;
mod life;
mod nearer;
pub mod settings;
pub mod steps;
pub mod table;
pub mod world;
