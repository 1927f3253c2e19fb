//! The repository that zones come from: fetched, checked, applied; or held at a commit by an operator's word.
//!
//! ```text
//! every interval: fetch -> signed as it must be? -> a working copy -> reload, by the door of all reloads -> in force at a start, too
//!                                                                      \--refused: an alert, and what served serves
//! ```
//!
//! One thread does it, one thing after the other, each with an end to its time: a dead network piles nothing up, and answering waits for none
//! of it.
#![allow(clippy::disallowed_methods)] // It hands the clock to itself.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::alerting::since_1970;
use super::ordering::one_line;
use super::publishing::{Waiting, Wanted};
use super::start::{Loader, NotStarted};
use super::user;
use crate::alert::followed::{Followed, Pin, RefusedCommit, Unreached, short};
use crate::files::server::ServerFile;
use crate::files::show;
use crate::git::mirror::Mirror;
use crate::git::run::{Failed, Limit};
use crate::load;
use crate::record::Record;
use crate::state::{self, KeptCommits};

/// How long one run of git may take: a large repository over a slow line, the first time.
const GIT_WITHIN: Duration = Duration::from_secs(300);
/// How long a fetch may take; after a failure longer each time, up to that: what is dead is told soon, and what is only slow ends.
const FETCH_WITHIN: Duration = Duration::from_secs(60);
/// The same where somebody waits at a terminal.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// How many commits that were good are remembered.
const GOOD_MAX: usize = 20;
/// Of how many of them the trees are kept, so that going back needs no network.
const TREES_MAX: usize = 5;

/// What an operator wants of the commit in force, as it comes from a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The commit, or the beginning of its id; empty: the one that was good before the one in force.
    #[serde(default)]
    pub commit: String,
    /// Whether the branch is to be followed again instead.
    #[serde(default)]
    pub resume: bool,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Who says it.
    #[serde(default)]
    pub who: String,
}

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Errand {
    /// To look for a new commit now.
    Look,
    /// What an operator wants.
    Wanted(Request, Waiting),
    /// To end: so does the server.
    End,
}

/// Sees to it that a commit is here before a server of this steerdns.toml starts; where none is, it is fetched and checked.
///
/// # Errors
/// Why none can be.
pub fn prepare(config: &Path, loader: &Loader) -> Result<(), NotStarted> {
    // What is wrong with the file is told by the start.
    let Ok(server) = load::server(config) else { return Ok(()) };
    let Some(mirror) = mirror(&server).filter(|mirror| mirror.in_force().is_none()) else { return Ok(()) };
    // Git may run as another user than we are yet.
    if let Some(user) = server.user.as_ref().and_then(|user| user::of_git(&user.value)) {
        let owned = user::own(&server.state, user.uid.into(), user.gid.into());
        owned.map_err(|error| NotStarted(format!("`{}`: {error}", server.state.display())))?;
    }
    let limit = Limit { within: GIT_WITHIN, stop: &AtomicBool::new(false) };
    if mirror.linked().is_some_and(|id| mirror.tree(&id, limit).is_ok()) {
        return Ok(()); // Its tree was gone, and is made anew of what was fetched.
    }
    tracing::info!("no commit of the repository is here yet: it is fetched");
    let pin = state::read_commits(&server.state).ok().and_then(|kept| kept.pin);
    let taken = take_first(&mirror, pin.as_ref(), None, loader, limit);
    taken.map_err(|what| NotStarted(format!("no commit of the repository is here yet, and {what}")))
}

/// Takes the newest commit in place of the one that was in force, where that loads no more, as after an upgrade, and this one does. Whether
/// it did.
pub fn mend(config: &Path, loader: &Loader) -> bool {
    let Ok(server) = load::server(config) else { return false };
    let Some(mirror) = mirror(&server) else { return false };
    let is_pinned = state::read_commits(&server.state).is_ok_and(|kept| kept.pin.is_some());
    if is_pinned || loader(None).loaded.is_ok() {
        return false;
    }
    tracing::error!("the commit in force loads no more: the newest one is tried");
    let limit = Limit { within: ASKED_WITHIN, stop: &AtomicBool::new(false) };
    let taken = take_first(&mirror, None, mirror.in_force().as_deref(), loader, limit);
    taken.inspect_err(|what| tracing::error!("{what}")).is_ok()
}

/// Fetches, and has the newest commit served by the start, or the one that is pinned; it must be fit to follow the one in force, if there is one.
///
/// # Errors
/// A sentence, or all that is wrong with the files.
fn take_first(
    mirror: &Mirror,
    pin: Option<&Pin>,
    in_force: Option<&str>,
    loader: &Loader,
    limit: Limit<'_>,
) -> Result<(), String> {
    let newest = mirror.fetch(limit).map_err(|failed| format!("it cannot be fetched: {failed}"))?;
    let id = pin.and_then(|pin| mirror.meant(&pin.id, limit).ok()).unwrap_or(newest);
    let not = |what: &dyn Display| format!("commit {} cannot be taken: {what}", short(&id));
    in_force
        .map_or(Ok(()), |in_force| follows(mirror, &id, in_force, limit))
        .map_err(|why| not(&why.what))?;
    mirror.verify(&id, limit).map_err(|failed| not(&failed))?;
    let tree = mirror.tree(&id, limit).map_err(|failed| not(&failed))?;
    let loaded = loader(Some(&tree)).loaded;
    loaded.map_err(|issues| not(&format_args!("\n{}", show::issues(&issues, show::Format::Full))))?;
    mirror.put_in_force(&id).map_err(|error| not(&error))
}

fn mirror(server: &ServerFile) -> Option<Mirror> {
    let user = server.user.as_ref().and_then(|user| user::of_git(&user.value));
    server.git.as_ref().map(|git| Mirror::new(git.value.clone(), user))
}

/// Follows a repository.
pub(super) struct Follower {
    mirror: Mirror,
    state: PathBuf,
    followed: Followed,
    reloads: mpsc::WeakSender<Wanted>,
    record: Arc<Record>,
    /// Set where something comes before what git does now: an operator's word, or the end.
    hurry: Arc<AtomicBool>,
    is_to_look: Arc<AtomicBool>,
}

/// Asks the thread for something.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    errands: std_mpsc::Sender<Errand>,
    hurry: Arc<AtomicBool>,
    /// Whether a look waits already: nobody needs two.
    is_to_look: Arc<AtomicBool>,
}

impl Asking {
    /// Asks; what an operator wants comes before whatever git does now. `false`: the thread is gone.
    pub(super) fn ask(&self, errand: Errand) -> bool {
        match errand {
            Errand::Look if self.is_to_look.swap(true, Ordering::Relaxed) => return true,
            Errand::Look => {}
            Errand::Wanted(..) | Errand::End => self.hurry.store(true, Ordering::Relaxed),
        }
        self.errands.send(errand).is_ok()
    }
}

/// Why a commit does not serve.
struct NotTaken {
    what: String,
    others: usize,
    /// Its files say so: as long as they and ours are the same, so will they.
    is_of_files: bool,
}

impl From<Failed> for NotTaken {
    fn from(failed: Failed) -> NotTaken {
        NotTaken { what: failed.to_string(), others: 0, is_of_files: false }
    }
}

impl Follower {
    /// One of this server, if it follows a repository.
    pub(super) fn new(
        server: &ServerFile,
        reloads: mpsc::WeakSender<Wanted>,
        record: Arc<Record>,
    ) -> Option<Follower> {
        let mirror = mirror(server)?;
        let kept = state::read_commits(&server.state).unwrap_or_else(|what| {
            tracing::error!("{what}");
            KeptCommits::default()
        });
        let followed = Followed {
            branch: mirror.settings().branch.clone(),
            in_force: mirror.in_force().unwrap_or_default().into(),
            good: kept.good,
            pin: kept.pin,
            ..Followed::default()
        };
        let (state, hurry, is_to_look) = (server.state.clone(), Arc::default(), Arc::default());
        let follower = Follower { mirror, state, followed, reloads, record, hurry, is_to_look };
        follower.tell();
        Some(follower)
    }

    /// Who asks it, and where it is asked.
    pub(super) fn asking(&self) -> (Asking, std_mpsc::Receiver<Errand>) {
        let (errands, asked) = std_mpsc::channel();
        let (hurry, is_to_look) = (Arc::clone(&self.hurry), Arc::clone(&self.is_to_look));
        (Asking { errands, hurry, is_to_look }, asked)
    }

    /// Follows it until the server ends.
    pub(super) fn run(mut self, errands: &std_mpsc::Receiver<Errand>) {
        let Followed { good, in_force, pin, .. } = &self.followed;
        if pin.is_none() && !good.contains(in_force) {
            // The first one, or the program ended before it was kept.
            self.remember();
        }
        let interval = self.mirror.settings().interval;
        let mut next = Instant::now();
        loop {
            let errand = errands.recv_timeout(next.saturating_duration_since(Instant::now()));
            match errand {
                Ok(Errand::Wanted(request, waiting)) => {
                    self.hurry.store(false, Ordering::Relaxed);
                    let words = if request.resume { self.resume(&request) } else { self.roll_back(&request) };
                    self.tell();
                    let _ = waiting.send(words);
                    continue;
                }
                Ok(Errand::Look) => {
                    self.is_to_look.store(false, Ordering::Relaxed);
                    self.look(true);
                }
                Err(std_mpsc::RecvTimeoutError::Timeout) => self.look(false),
                Ok(Errand::End) | Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.tell();
            next = Instant::now() + interval;
        }
    }

    /// Fetches, and applies the newest commit unless one is pinned. A commit whose files were refused is tried again only where somebody
    /// `asked`.
    fn look(&mut self, asked: bool) {
        if let Some(pin) = self.followed.pin.clone().filter(|pin| pin.id != self.followed.in_force) {
            // It was said, and the program ended before it was done.
            self.apply(&pin.id).unwrap_or_else(|not| {
                tracing::error!("commit {} is pinned, and not taken: {}", pin.id, not.what)
            });
        }
        let failures = self.followed.unreached.as_ref().map_or(0, |unreached| unreached.times);
        let within = FETCH_WITHIN.saturating_mul(failures.saturating_add(1)).min(GIT_WITHIN);
        let Some(newest) = self.fetch(within) else { return };
        let Followed { in_force, refused, pin, .. } = &self.followed;
        if pin.is_some() {
            return;
        }
        if newest == *in_force {
            self.followed.refused = None;
            return;
        }
        if !asked && refused.as_ref().is_some_and(|refused| refused.id == newest && refused.is_of_files) {
            return;
        }
        let _ = self.follow(&newest);
    }

    /// Fetches the branch: its newest commit.
    fn fetch(&mut self, within: Duration) -> Option<Arc<str>> {
        let fetched = self.mirror.fetch(Limit { within, ..self.limit() });
        if !matches!(fetched, Err(Failed::Stopped)) {
            self.record.fetched(fetched.is_ok());
        }
        match fetched {
            Ok(newest) => {
                if self.followed.unreached.take().is_some() {
                    tracing::info!("the repository is fetched again");
                }
                let newest: Arc<str> = newest.into();
                (self.followed.newest, self.followed.fetched) = (Some(newest.clone()), Some(since_1970()));
                Some(newest)
            }
            Err(Failed::Stopped) => None,
            Err(failed) => {
                let what: Arc<str> = failed.to_string().into();
                let earlier = self.followed.unreached.take();
                if earlier.as_ref().is_none_or(|earlier| earlier.what != what) {
                    tracing::warn!("the repository cannot be fetched: {what}");
                }
                self.followed.unreached = Some(Unreached {
                    since: earlier.as_ref().map_or_else(since_1970, |earlier| earlier.since),
                    times: earlier.map_or(0, |earlier| earlier.times).saturating_add(1),
                    what,
                });
                None
            }
        }
    }

    /// Applies the newest commit of the branch, or says that it is refused.
    fn follow(&mut self, newest: &Arc<str>) -> Result<(), String> {
        let next = follows(&self.mirror, newest, &self.followed.in_force, self.limit());
        match next.and_then(|()| self.apply(newest)) {
            Ok(()) => {
                self.remember();
                Ok(())
            }
            Err(NotTaken { what, .. }) if self.hurry.load(Ordering::Relaxed) => Err(what),
            Err(NotTaken { what, others, is_of_files }) => {
                let earlier = self.followed.refused.take();
                if earlier.as_ref().is_none_or(|earlier| earlier.id != *newest || *earlier.what != *what) {
                    tracing::error!(commit = %newest, "commit {} is refused, {} serves: {what}", short(newest), short(&self.followed.in_force));
                }
                let words = format!("commit {} is refused: {what}", short(newest));
                self.followed.refused = Some(RefusedCommit {
                    id: newest.clone(),
                    since: earlier.map_or_else(since_1970, |earlier| earlier.since),
                    what: what.into(),
                    others,
                    is_of_files,
                });
                Err(words)
            }
        }
    }

    /// Puts a commit in force, now and at each start.
    fn apply(&mut self, id: &Arc<str>) -> Result<(), NotTaken> {
        self.mirror.verify(id, self.limit())?;
        let tree = self.mirror.tree(id, self.limit())?;
        let ending = || NotTaken::from(Failed::Stopped);
        let (reply, told) = oneshot::channel();
        let wanted = Wanted { tree: Some(tree.clone()), waiting: reply };
        self.reloads.upgrade().ok_or_else(ending)?.blocking_send(wanted).map_err(|_| ending())?;
        told.blocking_recv().map_err(|_| ending())?.map_err(|issues| not_taken(&issues, &tree))?;
        self.followed.in_force = id.clone();
        self.followed.refused = None;
        if let Err(error) = self.mirror.put_in_force(id) {
            tracing::error!("a restart will serve the commit of before: {error}");
        }
        tracing::info!(commit = %id, "commit {} is in force", short(id));
        Ok(())
    }

    /// Holds an earlier commit.
    fn roll_back(&mut self, request: &Request) -> Result<String, String> {
        let (why, who) = (one_line(&request.why), one_line(&request.who));
        if why.is_empty() {
            return Err(
                "say why: --why \"c0ffee sends Asia to Europe\"; whoever wakes at night reads it".into()
            );
        }
        let who = if who.is_empty() { "unknown".into() } else { who };
        let id: Arc<str> = match &*request.commit {
            "" => self.previous()?,
            words => self.meant(words)?.into(),
        };
        if let Err(NotTaken { what, others, .. }) = self.apply(&id) {
            let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            return Err(format!(
                "commit {} is refused: {what}{more}; {} serves on",
                short(&id),
                short(&self.followed.in_force)
            ));
        }
        tracing::warn!(commit = %id, %who, %why, "commit {} is pinned", short(&id));
        self.followed.pin =
            Some(Pin { id: id.clone(), who: who.into(), why: why.into(), since: since_1970() });
        let branch = &self.followed.branch;
        let words = format!(
            "commit {} is in force and pinned; `steerdns rollback --resume` follows branch {branch} again",
            short(&id)
        );
        self.keep()
            .map(|()| words.clone())
            .map_err(|error| format!("{words}; but a restart will forget the pin: {error}"))
    }

    /// The commit that was good before the one in force.
    fn previous(&self) -> Result<Arc<str>, String> {
        let Followed { good, in_force, .. } = &self.followed;
        let place = good.iter().position(|id| id == in_force);
        let previous = place.and_then(|place| good.get(place + 1));
        previous.cloned().ok_or_else(|| {
            let known: Vec<&str> = good.iter().filter(|id| *id != in_force).map(|id| short(id)).collect();
            match known.is_empty() {
                true => "no commit was in force before this one: say which".into(),
                false => format!(
                    "no commit is known to be good before this one: say which, e.g. {}",
                    known.join(", ")
                ),
            }
        })
    }

    /// The commit that an operator means: of those that are here, or else of those that can be fetched.
    fn meant(&mut self, words: &str) -> Result<String, String> {
        let words = words.to_ascii_lowercase();
        match self.mirror.meant(&words, self.limit()) {
            Ok(id) => Ok(id),
            Err(unknown) => {
                self.fetch(ASKED_WITHIN).ok_or_else(|| unknown.to_string())?;
                self.mirror.meant(&words, self.limit()).map_err(|failed| failed.to_string())
            }
        }
    }

    /// Follows the branch again.
    fn resume(&mut self, request: &Request) -> Result<String, String> {
        let Some(pin) = self.followed.pin.take() else {
            return Err(format!("no commit is pinned: branch {} is followed", self.followed.branch));
        };
        if let Err(error) = self.keep() {
            self.followed.pin = Some(pin);
            return Err(format!("the pin stands: that it is gone cannot be kept: {error}"));
        }
        let who = one_line(&request.who);
        tracing::warn!(commit = %pin.id, %who, "commit {} is pinned no more", short(&pin.id));
        let branch = self.followed.branch.clone();
        let followed = format!("branch {branch} is followed again");
        let Some(newest) = self.fetch(ASKED_WITHIN) else {
            let why = self.followed.unreached.as_ref().map(|unreached| unreached.what.to_string());
            return Ok(format!("{followed}; it cannot be fetched now: {}", why.unwrap_or_default()));
        };
        if newest != self.followed.in_force {
            self.follow(&newest).map_err(|what| format!("{followed}; {what}"))?;
        }
        self.remember();
        Ok(format!("{followed}: commit {} is in force", short(&newest)))
    }

    /// Remembers the commit in force as a good one, and takes away what is not needed to go back.
    fn remember(&mut self) {
        let Followed { good, in_force, .. } = &mut self.followed;
        if in_force.is_empty() || good.first() == Some(in_force) {
            return;
        }
        good.retain(|id| id != in_force);
        good.insert(0, in_force.clone());
        good.truncate(GOOD_MAX);
        if let Err(error) = self.keep() {
            tracing::error!("it is not kept which commits were good: {error}");
        }
        let kept = self.followed.good.iter().take(TREES_MAX).map(ToString::to_string);
        self.mirror.tidy(&kept.collect::<BTreeSet<_>>(), self.limit());
    }

    fn keep(&self) -> std::io::Result<()> {
        let Followed { good, pin, .. } = &self.followed;
        state::write_commits(&self.state, &KeptCommits { good: good.clone(), pin: pin.clone() })
    }

    fn tell(&self) {
        self.record.follows(self.followed.clone());
    }

    fn limit(&self) -> Limit<'_> {
        Limit { within: GIT_WITHIN, stop: &self.hurry }
    }
}

/// Whether a commit may follow the one in force: where signatures are demanded, an old one that is shown again may not.
fn follows(mirror: &Mirror, newest: &str, in_force: &str, limit: Limit<'_>) -> Result<(), NotTaken> {
    if !mirror.settings().signed || mirror.is_after(newest, in_force, limit)? {
        return Ok(());
    }
    let (old, new) = (short(in_force), short(newest));
    let what = format!(
        "it does not come after {old}, the one in force: if that is meant, `steerdns rollback {new}`"
    );
    Err(NotTaken { what, others: 0, is_of_files: false })
}

/// What a reload said of a commit's files: the first mistake, with its path within the repository, and how many more.
fn not_taken(issues: &str, tree: &Path) -> NotTaken {
    let within = format!("{}/", tree.display());
    let mut errors = issues.lines().filter(|line| line.contains("error: "));
    let first = errors.next().or(issues.lines().next()).unwrap_or_default();
    NotTaken { what: first.replace(&within, ""), others: errors.count(), is_of_files: true }
}
