//! What is served as it was written: names, their answers, and where to find them.

pub mod chain;
pub mod compile;
pub mod content;
pub mod edition;
pub mod lookup;
pub mod record;
pub mod template;
pub mod tree;
