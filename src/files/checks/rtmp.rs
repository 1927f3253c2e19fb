//! What rtmp and rtmps checks say: the application, and the stream that must be live.

use super::{default, host};
use crate::files::document::Table;
use crate::files::issue::Issue;
use crate::health::check::Rtmp;

pub(super) fn rtmp(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Rtmp {
    let app = table.take("app").and_then(|value| value.filled(issues));
    let host = table.take("host").and_then(|value| host(&value, issues));
    let play = table.take("play").and_then(|value| value.filled(issues)).map(String::from);
    Rtmp { app: app.unwrap_or(default::APP).into(), host, play }
}
