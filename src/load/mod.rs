//! Reads the disk: all that steerdns.toml names, down to a Plan.
//!
//! ```text
//! files::read (TOML, master files, RTT tables)  -> Linked   \
//! GeoIP databases, geofeeds                     -> Geography -> Places -> Plan
//! ```
//! A server's maps and places are kept, and found again: [`kept`].
#![allow(clippy::disallowed_methods)] // This is the shell that reads.

pub mod kept;
pub mod seen;

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::kept::{KeptMaps, KnownDatabase, Looks, Upkeep};
use self::seen::Seen;
use crate::alert::receiver::Alerting;
use crate::alert::standing::Dated;
use crate::files;
use crate::files::document::Written;
use crate::files::git::{CURRENT, Git};
use crate::files::issue::{At, Issue, Source, is_grave};
use crate::files::link::Linked;
use crate::files::read::{Disk, Tree, read};
use crate::files::server::{Geoip, ServerFile};
use crate::files::zone;
use crate::files::zone::{ZoneFile, loose_ends};
use crate::geo::database::Database;
use crate::geo::geofeed::Geofeed;
use crate::geo::place::{Place, Prefix};
use crate::geo::places::Places;
use crate::geo::sources::{Known, sources};
use crate::plan::parts::{Parts, Rates, Settings, Steered, ZonePart};
use crate::plan::router::{maps, wanted};
use crate::plan::{Map, Plan};
use crate::steering::alike::MapOf;
use crate::steering::service::ServiceId;
use crate::wire::cookie::Secrets;
use crate::wire::name::Name;
use crate::zone::compile::Extras;

/// What `version.bind` tells.
pub const VERSION: &str = concat!("steerdns ", env!("CARGO_PKG_VERSION"));

/// The files, read and compiled.
#[derive(Debug)]
pub struct Loaded {
    /// steerdns.toml.
    pub server: ServerFile,
    /// What they say, compiled.
    pub plan: Plan,
    /// Where addresses are, by source: large, and only needed to explain. Drop it before serving. Without databases where those did not
    /// have to be read ([`load_kept`]).
    pub geography: Geography,
    /// Warnings.
    pub issues: Vec<Issue>,
    /// What it took.
    pub took: Took,
    /// Who is told of what is wrong, and when.
    pub alerts: Alerting,
    /// How old the databases are.
    pub databases: Vec<Dated>,
    /// What is left to do once all is in force, where maps are kept.
    pub upkeep: Option<Upkeep>,
}

/// How long the parts of a load took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Reading and linking the files of the zones.
    pub reading: Duration,
    /// Reading GeoIP databases and geofeeds.
    pub geography: Duration,
    /// Compiling policies and zones.
    pub compiling: Duration,
}

/// Where addresses are, by source.
#[derive(Debug, Default)]
pub struct Geography {
    /// GeoIP databases; none: the embedded one.
    pub databases: Vec<Database>,
    /// Geofeeds.
    pub geofeeds: Vec<Geofeed>,
    /// The files that it was read from.
    pub read: Vec<FileRead>,
}

/// A file as it was when it was read: another one has another number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// Where it is.
    pub path: PathBuf,
    /// The CRC-32 of its octets, and how many there are.
    pub number: u64,
}

impl Geography {
    /// What each source says of an address, and all of them together.
    pub fn of(&self, address: IpAddr) -> (Vec<Known>, Place) {
        (sources(&self.databases, &self.geofeeds, address), *self.places().at(address))
    }

    /// The first file that was another one, or was not there, when those were read.
    pub fn other_than(&self, read: &[FileRead]) -> Option<&Path> {
        self.read.iter().find(|file| !read.contains(file)).map(|file| &*file.path)
    }

    /// All of it as one.
    pub fn places(&self) -> Places {
        Places::new(&self.databases, &self.geofeeds)
    }
}

/// Reads and compiles all that `config` names. The errors, with the warnings beside them, where there are any.
pub fn load(config: &Path) -> Result<Loaded, Vec<Issue>> {
    looking(config, None, None).loaded
}

/// The same, with what comes from a repository read from this working copy of it.
///
/// # Errors
/// As of [`load`].
pub fn load_tree(config: &Path, tree: &Path) -> Result<Loaded, Vec<Issue>> {
    looking(config, Some(tree), None).loaded
}

/// A load for a server: what came of it, good or bad, and what it looked at.
#[derive(Debug)]
pub struct Reading {
    /// The files, compiled; or their errors, with the warnings beside them.
    pub loaded: Result<Loaded, Vec<Issue>>,
    /// What it looked at.
    pub seen: Seen,
}

/// How often files are read that change while they are read.
const TRIES: usize = 3;

/// The same as [`load`], but what is kept is neither compiled again nor read: see [`kept`]. Files that change meanwhile are read again, and
/// refused where that has no end: nothing is made of a mixture. What comes from a repository is read from `tree`, or else from the working copy
/// in force.
pub fn load_kept(config: &Path, tree: Option<&Path>, kept: &Arc<KeptMaps>) -> Reading {
    for _ in 1..TRIES {
        let reading = looking(config, tree, Some(kept));
        if reading.seen.again() == reading.seen {
            return reading;
        }
    }
    let mut reading = looking(config, tree, Some(kept));
    let now = reading.seen.again();
    if let (Ok(_), Some(path)) = (&reading.loaded, now.other_than(&reading.seen)) {
        let what = format!("`{}` changed while the files were read, {TRIES} times", path.display());
        reading.loaded = Err(vec![Issue::of_all(what).remedy("reload once they are all there")]);
    }
    reading
}

fn looking(config: &Path, tree: Option<&Path>, kept: Option<&Arc<KeptMaps>>) -> Reading {
    let seen = RefCell::new(Seen::default());
    let file = |path: &Path| {
        seen.borrow_mut().file(path);
        fs::read(path)
    };
    let listed = |directory: &Path| {
        let names = names(directory);
        seen.borrow_mut().directory(directory, names.as_deref().ok());
        names
    };
    // What the link leads to now, and for the whole of this load.
    let in_force = |git: &Git| fs::canonicalize(git.directory.join(CURRENT)).ok();
    let tree = tree.map_or(Tree::InForce(&in_force), Tree::Here);
    let loaded = load_through(config, tree, Disk { file: &file, names: &listed }, |_| {}, kept);
    let mut seen = seen.into_inner();
    // Those that did not have to be read.
    let databases = loaded.iter().flat_map(|loaded| &loaded.server.geoip.databases);
    databases.for_each(|path| seen.file(&path.value));
    Reading { loaded, seen }
}

/// steerdns.toml alone: where the server's files are.
///
/// # Errors
/// What is wrong with it.
pub fn server(config: &Path) -> Result<ServerFile, Vec<Issue>> {
    let unreadable = |what: String| vec![Issue::of_all(what)];
    let text = fs::read_to_string(config)
        .map_err(|error| unreadable(format!("`{}` cannot be read: {error}", config.display())))?;
    let source = Arc::new(Source { path: config.to_string_lossy().into(), text });
    let mut issues = Vec::new();
    let server = files::server::read(&source, &mut issues);
    if is_grave(&issues) { Err(issues) } else { Ok(server) }
}

/// Who is told of alerts, as steerdns.toml and the files that it names for that say; and what this nameserver is called.
///
/// # Errors
/// What is wrong with them.
pub fn alerts(config: &Path) -> Result<(Alerting, ServerFile), Vec<Issue>> {
    let server = server(config)?;
    let mut issues = Vec::new();
    let settings = files::alerts::settle(&server.alert, &|path| fs::read(path), &mut issues);
    if issues.is_empty() { Ok((settings, server)) } else { Err(issues) }
}

/// The same as [`load`], from another disk, and with what `adjust` makes of the linked files.
///
/// # Errors
/// As of [`load`].
pub fn load_from(
    config: &Path,
    disk: Disk<'_>,
    adjust: impl FnOnce(&mut Linked),
) -> Result<Loaded, Vec<Issue>> {
    load_through(config, Tree::InForce(&|_| None), disk, adjust, None)
}

fn load_through(
    config: &Path,
    tree: Tree<'_>,
    disk: Disk<'_>,
    adjust: impl FnOnce(&mut Linked),
    kept: Option<&Arc<KeptMaps>>,
) -> Result<Loaded, Vec<Issue>> {
    let began = Instant::now();
    let (linked, mut issues) = world(config, tree, disk);
    let read = Instant::now();
    let mut linked = linked.ok_or_else(|| std::mem::take(&mut issues))?;
    adjust(&mut linked);
    let (server, alerts) = (linked.server.clone(), linked.alerts.clone());
    let mut geography = Geography::default();
    geography.read_geofeeds(&server.geoip, disk, &mut issues);
    let fed = geography.geofeeds.iter().flat_map(|feed| feed.entries.iter().map(|entry| entry.prefix));
    let parts = parts(linked, fed.collect());
    let wanted = wanted(&parts);
    let feeds: Vec<u64> = geography.read.iter().map(|read| read.number).collect();
    let find = |print| kept.and_then(|kept| kept.find(&server.state, print));
    let unread = kept.and_then(|kept| {
        let databases = kept.databases(&server.state, &server.geoip.databases)?;
        let print = kept::geography(&databases, &feeds);
        // They are large: nobody reads them where all maps are found.
        let places = OnceCell::new();
        let located = Instant::now();
        let read = || (kept::places(&server.state, print), located.elapsed());
        let compiled = |print, of: MapOf<'_>| {
            find(print).or_else(|| Some(of.compiled(places.get_or_init(read).0.as_ref()?)))
        };
        let maps = maps(&wanted, &parts, print, compiled)?;
        let located = located + places.get().map_or(Duration::ZERO, |(_, took)| *took);
        Some(Mapping { maps, databases, geography: print, places: None, located })
    });
    let is_unread = unread.is_some();
    let mapping = if let Some(mapping) = unread {
        geography.read.extend(mapping.databases.iter().map(|database| database.read.clone()));
        mapping
    } else {
        let databases = geography.read_databases(&server.geoip, disk, &mut issues);
        if is_grave(&issues) {
            return Err(issues);
        }
        let (places, print) = (geography.places(), kept::geography(&databases, &feeds));
        let located = Instant::now();
        let compiled = |print, of: MapOf<'_>| Some(find(print).unwrap_or_else(|| of.compiled(&places)));
        let maps = maps(&wanted, &parts, print, compiled).unwrap_or_default();
        Mapping { maps, databases, geography: print, places: kept.map(|_| places), located }
    };
    if is_grave(&issues) {
        return Err(issues);
    }
    let Mapping { maps, databases, geography: print, places, located } = mapping;
    let plan = match Plan::over(maps, wanted, parts) {
        Ok(plan) => plan,
        Err(large) => {
            issues.push(Issue::of_all(large.to_string()));
            return Err(issues);
        }
    };
    let took = Took { reading: read - began, geography: located - read, compiling: located.elapsed() };
    let dated = databases.iter().map(KnownDatabase::dated).collect();
    let upkeep = kept.map(|kept| {
        kept.take(&plan.maps, &databases);
        let (kept, state, maps) = (Arc::clone(kept), server.state.clone(), plan.maps.clone());
        Upkeep { kept, state, maps, databases, geography: print, places, is_unread }
    });
    Ok(Loaded { server, plan, geography, issues, took, alerts, databases: dated, upkeep })
}

/// The maps that were wanted, and what they were made of.
struct Mapping {
    maps: Vec<Arc<Map>>,
    databases: Vec<KnownDatabase>,
    /// The print of what databases and geofeeds hold.
    geography: u64,
    /// The same, where it is yet to be kept.
    places: Option<Places>,
    /// From then on it was compiled.
    located: Instant,
}

/// Reads and links the files of the zones.
fn world(config: &Path, tree: Tree<'_>, disk: Disk<'_>) -> (Option<Linked>, Vec<Issue>) {
    let zones: RefCell<Vec<ZoneFile>> = RefCell::default();
    let read_zone = |source: &Arc<Source>, origin: &Name, issues: &mut Vec<Issue>| {
        let mut include = |path: &str, from: &str| include(disk, path, from);
        let file = zone::read(source, origin, &mut include, issues);
        let (records, at) = (file.records.clone(), file.at.clone());
        zones.borrow_mut().push(file);
        (records, at)
    };
    let (linked, mut issues) = read(config, tree, disk, &read_zone);
    if let Some(linked) = &linked {
        let steered = Owners::new(linked);
        for file in zones.borrow().iter() {
            loose_ends(file, &|name| steered.holds(name), &mut issues);
        }
    }
    (linked, issues)
}

/// The names that services can answer for.
struct Owners<'l> {
    owners: HashSet<&'l Name>,
    /// What wildcard services stand below.
    wild: HashSet<Name>,
}

impl<'l> Owners<'l> {
    fn new(linked: &'l Linked) -> Owners<'l> {
        let exposed = linked.zones.iter().flat_map(|zone| &zone.exposed);
        let owners: HashSet<&Name> =
            linked.services.iter().map(|service| &service.owner).chain(exposed).collect();
        let wild = owners.iter().filter(|owner| owner.is_wildcard());
        Owners { wild: wild.filter_map(|owner| owner.parent()).collect(), owners }
    }

    fn holds(&self, name: &Name) -> bool {
        let above = std::iter::successors(name.parent(), Name::parent);
        self.owners.contains(name) || above.into_iter().any(|above| self.wild.contains(&above))
    }
}

/// The text that `$INCLUDE` names: relative to the file that says so.
fn include(disk: Disk<'_>, path: &str, from: &str) -> Result<Arc<Source>, String> {
    let path = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
    let octets =
        (disk.file)(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    let text = String::from_utf8(octets).map_err(|_| format!("`{}` is not UTF-8 text", path.display()))?;
    Ok(Arc::new(Source { path: path.to_string_lossy().into(), text }))
}

/// The directory that a file is in.
pub fn beside(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The machine's own disk.
pub fn disk() -> Disk<'static> {
    Disk { file: &|path| fs::read(path), names: &names }
}

/// The names of the files in a directory.
///
/// # Errors
/// It cannot be read.
pub fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Other names than UTF-8 are not ours; directories neither. Links are followed.
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().is_file()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Reads these databases and geofeeds.
///
/// # Errors
/// What is wrong with them.
pub fn geography(geoip: &Geoip) -> Result<Geography, Vec<Issue>> {
    let mut issues = Vec::new();
    let geography = geography_from(geoip, disk(), &mut issues);
    if is_grave(&issues) { Err(issues) } else { Ok(geography) }
}

fn geography_from(geoip: &Geoip, disk: Disk<'_>, issues: &mut Vec<Issue>) -> Geography {
    let mut geography = Geography::default();
    geography.read_geofeeds(geoip, disk, issues);
    geography.read_databases(geoip, disk, issues);
    geography
}

impl Geography {
    /// Reads the databases, and tells how they are known again.
    fn read_databases(
        &mut self,
        geoip: &Geoip,
        disk: Disk<'_>,
        issues: &mut Vec<Issue>,
    ) -> Vec<KnownDatabase> {
        let mut known = Vec::new();
        for path in &geoip.databases {
            let looks = Looks::of(&path.value).ok(); // Before it is read, so that it is the older of the two.
            let Some(octets) = octets(path, disk, issues) else { continue };
            let read = FileRead::new(&path.value, &octets);
            match Database::new(&path.value.to_string_lossy(), octets) {
                Ok(database) => {
                    known.push(KnownDatabase::new(read.clone(), looks, database.about().build_epoch));
                    self.databases.push(database);
                    self.read.push(read);
                }
                Err(error) => issues.push(Issue::error(path.at.clone(), error.to_string())),
            }
        }
        known
    }

    fn read_geofeeds(&mut self, geoip: &Geoip, disk: Disk<'_>, issues: &mut Vec<Issue>) {
        for path in &geoip.geofeeds {
            let Some(octets) = octets(path, disk, issues) else { continue };
            self.read.push(FileRead::new(&path.value, &octets));
            let name = path.value.to_string_lossy();
            match String::from_utf8(octets) {
                Ok(text) => {
                    let source = Arc::new(Source { path: name.into(), text });
                    let (geofeed, found) = files::geofeed::parse(&source);
                    issues.extend(found);
                    self.geofeeds.push(geofeed);
                }
                Err(_) => issues.push(Issue::error(path.at.clone(), format!("`{name}` is not UTF-8 text"))),
            }
        }
    }
}

impl FileRead {
    fn new(path: &Path, octets: &[u8]) -> FileRead {
        FileRead { path: path.to_owned(), number: FileRead::number(crc32fast::hash(octets), octets.len()) }
    }

    fn number(crc: u32, octets: usize) -> u64 {
        u64::from(crc) << 32 | octets as u64 & u64::from(u32::MAX)
    }
}

fn octets(path: &Written<PathBuf>, disk: Disk<'_>, issues: &mut Vec<Issue>) -> Option<Vec<u8>> {
    let at: At = path.at.clone();
    let octets = (disk.file)(&path.value);
    octets
        .map_err(|error| {
            issues.push(Issue::error(at, format!("`{}` cannot be read: {error}", path.value.display())))
        })
        .ok()
}

/// What the files say, as the Plan takes it.
fn parts(linked: Linked, fed: Vec<Prefix>) -> Parts {
    let Linked {
        server,
        inventory,
        checks,
        balance,
        push_token,
        policies,
        services,
        bindings,
        keys,
        cookies,
        zones,
        ..
    } = linked;
    let rrl = server.rrl;
    let zones = zones.into_iter().map(|zone| {
        let steered = |id: &ServiceId| Steered {
            service: services[id.0 as usize].clone(),
            bindings: bindings[id.0 as usize].clone(),
        };
        let services = zone.services.iter().map(steered).collect();
        ZonePart { origin: zone.origin, records: zone.records, services, secondaries: zone.secondaries }
    });
    Parts {
        zones: zones.collect(),
        inventory,
        checks,
        policies,
        distrust: server.distrust,
        balance,
        settings: Settings {
            nsid: server.nsid.as_deref().unwrap_or_default().as_bytes().into(),
            version: VERSION.into(),
            commit: None,
            payload_max: server.edns_size,
            why: server.explain_allow,
            cookies: Secrets::new(cookies),
            rates: (rrl.rate > 0).then(|| Rates::new(rrl.rate, rrl.slip, rrl.ipv4, rrl.ipv6, rrl.allow)),
            keepalive_100ms: u16::try_from(server.tcp.idle.as_millis() / 100).unwrap_or(u16::MAX),
            keys,
            push_token,
            extras: if server.minimal_responses { Extras::None } else { Extras::Addresses },
        },
        fed,
    }
}
