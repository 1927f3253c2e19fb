//! What one probe of a target leaves to the next.

/// What one probe of a target leaves to the next: of use where a single look tells too little.
#[derive(Debug, Default)]
pub struct Memory {}
