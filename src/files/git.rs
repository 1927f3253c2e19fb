//! `[git]` of steerdns.toml: the repository that the zones come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::document::{Table, Value, Written, beside};
use super::issue::Issue;

/// In the directory of the working copies, the link to the one in force.
pub const CURRENT: &str = "current";
/// The directory of the working copies, within the state directory.
const DIRECTORY: &str = "git";
const BRANCH: &str = "main";
const INTERVAL: Duration = Duration::from_secs(60);

/// The repository that the zones come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// Its URL, or its path on this machine.
    pub repository: Arc<str>,
    /// The branch that is followed; default `main`.
    pub branch: Arc<str>,
    /// How often it is asked for a new commit; 1 s ..= 1 day, default 1 min.
    pub interval: Duration,
    /// Whether a commit must be signed by somebody who is trusted; default false.
    pub signed: bool,
    /// Who is trusted: a file of keys as ssh-keygen reads it (ALLOWED SIGNERS); `None`: whoever is in the GPG keyring of this user.
    pub allowed_signers: Option<PathBuf>,
    /// Where the working copies are; default `git` in the state directory.
    pub directory: PathBuf,
}

/// Reads `[git]`; what is wrong is told, and holds its default, or nothing. `config` is the path of steerdns.toml.
pub(super) fn git(mut table: Table<'_>, config: &str, state: &Path, issues: &mut Vec<Issue>) -> Written<Git> {
    let at = table.at().clone();
    let repository = table.need("repository", "repository = \"git@example.com:dns/zones.git\"", issues);
    let branch = table.take("branch").and_then(|value| branch(&value, issues));
    let range = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let interval = table.take("interval").and_then(|value| value.duration(range, issues));
    let signed_value = table.take("signed");
    let signed = signed_value.as_ref().and_then(|value| value.flag(issues));
    let signers_value = table.take("allowed_signers");
    let allowed_signers = signers_value.as_ref().and_then(|value| value.path(issues));
    let directory = table.take("directory").and_then(|value| value.path(issues));
    table.finish(issues);
    let is_unsigned = signed_value.is_none() || signed == Some(false);
    if let (Some(value), true) = (signers_value, is_unsigned) {
        let issue = Issue::error(value.key_at, "`allowed_signers` are asked for nothing");
        issues.push(issue.remedy("write `signed = true`, too, or leave them out"));
    }
    let repository = repository.and_then(|value| self::repository(&value, config, issues));
    Written {
        value: Git {
            repository: repository.unwrap_or_default(),
            branch: branch.unwrap_or_else(|| BRANCH.into()),
            interval: interval.unwrap_or(INTERVAL),
            signed: signed.unwrap_or(false),
            allowed_signers: allowed_signers.map(|path| path.value),
            directory: directory.map_or_else(|| state.join(DIRECTORY), |directory| directory.value),
        },
        at,
    }
}

/// A URL (`https://…`, `ssh://…`, `file://…`), `user@host:path` as ssh has it, or a path, relative to steerdns.toml.
fn repository(value: &Value<'_>, config: &str, issues: &mut Vec<Issue>) -> Option<Arc<str>> {
    let text = value.filled(issues)?;
    if text.starts_with('-') {
        issues.push(value.unfit("a URL or a path"));
        return None;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        // As git decides it: a colon before the first slash is a host's.
        let is_remote = text.split('/').next().is_some_and(|first| first.contains(':'));
        return Some(if is_remote { text.into() } else { beside(config, text).to_string_lossy().into() });
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let holds_secret =
        authority.rsplit_once('@').is_some_and(|(user, _)| scheme != "ssh" && !user.is_empty());
    if holds_secret {
        let what = "`repository` holds a password or a token: logs and programs would show it";
        let remedy = "use a key of ssh, or a credential helper of git (`git help credentials`)";
        issues.push(Issue::error(value.at.clone(), what).remedy(remedy));
        return None;
    }
    Some(text.into())
}

/// A branch's name (git check-ref-format).
fn branch(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Arc<str>> {
    let text = value.filled(issues)?;
    let strange = |c: char| c.is_whitespace() || "~^:?*[\\".contains(c);
    let is_wrong = text.starts_with(['-', '/', '.'])
        || text.ends_with(['/', '.'])
        || text.ends_with(".lock")
        || ["..", "//", "@{", "/."].iter().any(|part| text.contains(part))
        || text.contains(strange);
    if is_wrong {
        issues.push(value.unfit("the name of a branch").remedy("e.g. `branch = \"main\"`"));
        return None;
    }
    Some(text.into())
}
