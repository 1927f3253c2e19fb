//! The `git` program, and what it knows: the commit of a working tree, and a repository that is followed.
//!
//! It is run as little trusted as may be: no hook of a repository, no question at a terminal, an end to its time, and no process of it
//! outlives that.
#![allow(
    clippy::disallowed_methods,
    reason = "starting programs, and looking at the clock for them, is this shell's work"
)]

pub mod mirror;
pub mod run;
pub mod tree;
