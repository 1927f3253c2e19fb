//! What an icmp check says: the loss that is too much.

use super::default;
use crate::files::document::Table;
use crate::files::issue::Issue;
use crate::health::check::{Icmp, Loss};

pub(super) fn icmp(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Icmp {
    let written = table.take("loss_max");
    let max = written.as_ref().and_then(|value| {
        let share = value.number(issues)?;
        if !(share > 0.0 && share < 1.0) {
            issues.push(value.unfit("a share between 0 and 1").remedy("e.g. `0.2` for 20 %"));
            return None;
        }
        Some(share)
    });
    let window = table.take("window");
    if let Some(value) = window.as_ref().filter(|_| written.is_none()) {
        let issue = Issue::error(value.key_at.clone(), "without a `loss_max` there is no `window`");
        issues.push(issue.remedy("write `loss_max = 0.2`, or leave `window` out"));
    }
    let window = window.and_then(|value| value.whole(5..=1000, issues));
    let window = window.and_then(|window| window.try_into().ok()).unwrap_or(default::LOSS_WINDOW);
    Icmp { loss: max.map(|max| Loss { max, window }) }
}
