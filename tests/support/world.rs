//! A whole server in memory: files that nobody wrote to a disk, health that nobody probed, time that somebody tells.

#![allow(
    clippy::disallowed_methods,
    reason = "files of the repository are read, and virtual time begins somewhere"
)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::cluster::Word;
use steerdns::export::editions;
use steerdns::files::issue::Issue;
use steerdns::files::read::Disk;
use steerdns::files::show::{Format, issues as shown};
use steerdns::health::note::Note;
use steerdns::health::overrides::{Change, Order, Selector};
use steerdns::health::rounds::Observation;
use steerdns::health::target::Target;
use steerdns::health::verdict::{Cause, Outcome, Seen};
use steerdns::load::{Geography, Loaded, load_from};
use steerdns::plan::Plan;
use steerdns::publisher::{Event, News, Publisher};
use steerdns::snapshot::Snapshot;
use steerdns::wire::name::Name;

/// Seconds since 1970, where what secondaries get is told the time.
const UNIX_S: u64 = 1_800_000_000;

/// Files by path, from the configuration's directory on. What is not among them is read from the repository.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<PathBuf, String>);

impl Files {
    /// Puts a file there, or another one in its place.
    pub fn put(&mut self, path: &str, text: &str) {
        self.0.insert(plain(Path::new(path)), text.into());
    }

    /// Adds to the end of a file.
    pub fn append(&mut self, path: &str, text: &str) {
        self.0.entry(plain(Path::new(path))).or_default().push_str(text);
    }

    /// Reads and compiles what `steerdns.toml` names.
    pub fn load(&self) -> Result<Loaded, String> {
        let file = |path: &Path| match self.0.get(&plain(path)) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => std::fs::read(repository().join(plain(path))),
        };
        let loaded =
            load_from(Path::new("steerdns.toml"), Disk { file: &file, names: &|of| self.names(of) }, |_| {});
        loaded.map_err(|issues: Vec<Issue>| shown(&issues, Format::Short))
    }

    /// A directory is in memory as soon as one file of it is.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directory = plain(directory);
        let own = self.0.keys().filter(|path| path.parent() == Some(&directory));
        let own: Vec<String> =
            own.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        if !own.is_empty() {
            return Ok(own);
        }
        let entries = std::fs::read_dir(repository().join(directory))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A running server without its sockets, its probes and its clock.
#[derive(Debug)]
pub struct World {
    /// What answers.
    pub snapshot: Snapshot,
    /// What time it is.
    pub now: Instant,
    /// What happened since somebody last looked.
    pub news: Vec<News>,
    /// Where addresses are, as the files of the last load say.
    pub geography: Geography,
    publisher: Publisher,
    began: Instant,
}

impl World {
    /// Starts with these files: of no target anything is known yet.
    pub fn start(files: &Files) -> Result<World, String> {
        let Loaded { plan, geography, .. } = files.load()?;
        let plan = editions(plan, &|_| None, &|_| None, Instant::now(), UNIX_S);
        Ok(World { geography, ..World::of(Arc::new(plan)) })
    }

    /// Starts with a Plan.
    pub fn of(plan: Arc<Plan>) -> World {
        let now = Instant::now();
        let publisher = Publisher::new(plan, &[], now);
        let (news, geography) = (Vec::new(), Geography::default());
        let mut world = World { snapshot: Snapshot::default(), now, news, geography, publisher, began: now };
        world.publish();
        world
    }

    /// Reads other files, as SIGHUP does.
    pub fn reload(&mut self, files: &Files) -> Result<(), String> {
        let Loaded { plan, geography, .. } = files.load()?;
        let last = |origin: &Name| {
            let zone = *self.snapshot.plan.apexes.get(origin)?;
            self.snapshot.edition(zone).cloned()
        };
        let plan = editions(plan, &last, &|_| None, self.now, UNIX_S);
        self.geography = geography;
        self.handle(Event::Loaded(Arc::new(plan)));
        Ok(())
    }

    /// How long it runs.
    pub fn age(&self) -> Duration {
        self.now - self.began
    }

    /// Lets time pass.
    pub fn after(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
    }

    /// An operator says something of nodes.
    pub fn order(&mut self, word: &str, target: &str, length: Option<Duration>) -> Result<(), String> {
        let target = Selector::parse(target)?;
        let word = match word {
            "drain" => Word::Drain,
            "hold-down" => Word::Down,
            "hold-up" => Word::Up,
            _ => {
                self.handle(Event::Overridden(Change::Clear(target)));
                return Ok(());
            }
        };
        let (why, who, since) = ("a scenario".into(), "nobody".into(), self.now);
        let until = length.map(|length| since + length);
        self.handle(Event::Overridden(Change::Give(Order { target, word, why, who, since, until })));
        Ok(())
    }

    /// What always answers does, or does not.
    pub fn canaries(&mut self, answer: bool) {
        for target in self.snapshot.plan.distrust.targets() {
            for _ in 0..target.aim.check.fall {
                if answer { self.succeed(&target) } else { self.fail(&target) }
            }
        }
        self.handle(Event::Tick);
    }

    /// Hands one event to the publisher, and publishes.
    pub fn handle(&mut self, event: Event) {
        self.publisher.handle(event, self.now);
        self.publish();
    }

    fn publish(&mut self) {
        let (snapshot, news) = self.publisher.publish(self.now);
        self.snapshot = snapshot.unwrap_or_else(|| self.snapshot.clone());
        self.news.push(news);
    }

    /// The targets that words mean: `sin`, `sin/sin-1`, `sin/sin-1/192.0.2.11`, `all`; of one check alone, or of every.
    pub fn targets(&self, whose: &str, check: Option<&str>) -> Vec<Target> {
        let mut words = whose.split('/');
        let (cluster, node, address) = (words.next().unwrap(), words.next(), words.next());
        let of = self.snapshot.plan.targets.iter().filter(|target| {
            let key = &target.aim.key;
            (cluster == "all" || *key.cluster == *cluster)
                && node.is_none_or(|node| *key.node == *node)
                && address.is_none_or(|address| key.address.to_string() == address)
                && check.is_none_or(|check| *key.check == *check)
        });
        of.cloned().collect()
    }

    /// A probe of `target` told this; a doubt would be decided at `decided_by`.
    pub fn observe(&mut self, target: &Target, outcome: Outcome, decided_by: Instant) {
        let started = self.now.checked_sub(Duration::from_millis(10)).unwrap_or(self.now);
        let seen = Seen { outcome, started, at: self.now, decided_by };
        self.handle(Event::Observed(Observation { aim: target.aim.clone(), seen }));
    }

    /// A probe of `target` learned this.
    pub fn noted(&mut self, target: &Target, note: Note) {
        self.handle(Event::Noted(target.aim.clone(), note));
    }

    /// As many successes as it takes to be up.
    pub fn up(&mut self, target: &Target) {
        for _ in 0..target.aim.check.rise {
            self.succeed(target);
        }
    }

    /// As many failures as it takes to be down.
    pub fn down(&mut self, target: &Target) {
        for _ in 0..target.aim.check.fall {
            self.fail(target);
        }
    }

    /// One success.
    pub fn succeed(&mut self, target: &Target) {
        self.observe(target, Outcome::Succeeded(Duration::from_millis(10)), self.now);
    }

    /// One failure; the doubt that follows it would be decided 3 s later.
    pub fn fail(&mut self, target: &Target) {
        let cause = Cause { layer: "connect", what: "refused".into() };
        self.observe(target, Outcome::Failed(cause), self.now + Duration::from_secs(3));
    }

    /// A probe that is late: in doubt for so long.
    pub fn suspect(&mut self, target: &Target, decided_within: Duration) {
        self.observe(target, Outcome::Late, self.now + decided_within);
    }

    /// Everything is up.
    pub fn all_up(&mut self) {
        for target in self.targets("all", None) {
            self.up(&target);
        }
    }
}
