//! Wire format: names, queries, EDNS, responses.

pub mod name;
