//! hickory
