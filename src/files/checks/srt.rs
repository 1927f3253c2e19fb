//! What an srt check says: the stream, and what it means to be rejected.

use crate::files::document::Table;
use crate::files::issue::Issue;
use crate::health::check::{Rejected, Srt};

/// The longest stream id, in octets (draft-sharabayko-srt §3.2.1.3).
const STREAMID_MAX: usize = 512;

pub(super) fn srt(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Srt {
    let written = table.take("streamid");
    let streamid = written.as_ref().and_then(|value| {
        let text = value.filled(issues)?;
        if text.len() > STREAMID_MAX {
            issues.push(value.unfit("at most 512 octets long"));
            return None;
        }
        Some(text.into())
    });
    let words = [("succeeds", Rejected::Succeeds), ("fails", Rejected::Fails)];
    let rejected = table.take("rejected");
    if let Some(value) = rejected.as_ref().filter(|_| written.is_none()) {
        let issue = Issue::error(value.key_at.clone(), "without a `streamid` nothing is rejected");
        issues.push(issue.remedy("write the `streamid` that is asked for, or leave `rejected` out"));
    }
    let rejected = rejected.and_then(|value| value.word(&words, issues));
    Srt { streamid, rejected: rejected.unwrap_or(Rejected::Succeeds) }
}
