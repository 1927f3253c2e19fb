//! From steerdns.toml to a linked world: which files are read, in which order.
//!
//! ```text
//! steerdns.toml -> zones/clusters.toml -> zones/*.zone, zones/*.toml -> what those name (RTT tables, prefix files, roots) -> link
//! ```
//!
//! Reads no disk: the shell that does hands in [`Disk`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clusters::{self, ClustersFile};
use super::document::Written;
use super::git::Git;
use super::issue::{At, Issue, Source, is_grave};
use super::link::{Includes, Linked, World, WrittenZone, link};
use super::policies::WrittenPolicy;
use super::server::ServerFile;
use super::steering::{self, ServicePolicy, SteeringFile};
use super::transfers::WrittenSecret;
use super::words::shown;
use super::{alerts, networks, rtt, server};
use crate::cluster::ClusterId;
use crate::wire::name::Name;
use crate::zone::record::Record;

/// A TOML file may be this large: nobody writes more by hand, and its parser holds several times as much.
pub const TOML_OCTETS_MAX: usize = 16 << 20;
/// The file of clusters, in the directory of the zones.
pub const CLUSTERS_FILE: &str = "clusters.toml";

/// Whether a file of this name in the directory of the zones is read, or its absence told.
pub fn is_of_zones(name: &str) -> bool {
    name.ends_with(".zone") || name.ends_with(".toml")
}

/// What reading needs of the disk.
#[derive(Clone, Copy)]
pub struct Disk<'a> {
    /// The octets of a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The names of the files in a directory, in any order.
    pub names: &'a dyn Fn(&Path) -> io::Result<Vec<String>>,
}

/// Reads a master file of a zone: its records, and where each of them stands.
pub type ReadZone<'z> = dyn Fn(&Arc<Source>, &Name, &mut Vec<Issue>) -> (Vec<Record>, Vec<At>) + 'z;

/// From which working copy of a repository files are read, where they come from one.
#[derive(Clone, Copy)]
pub enum Tree<'t> {
    /// From this one.
    Here(&'t Path),
    /// From the one in force, if one is here.
    InForce(&'t dyn Fn(&Git) -> Option<PathBuf>),
}

/// Reads all that `config` (steerdns.toml) names, and links it; where it names a repository, from `tree`.
///
/// `None` where an issue is an error; warnings may stand beside a linked world.
pub fn read(
    config: &Path,
    tree: Tree<'_>,
    disk: Disk<'_>,
    zone: &ReadZone<'_>,
) -> (Option<Linked>, Vec<Issue>) {
    let mut reader = Reader { tree, disk, zone, issues: Vec::new() };
    let linked = reader.world(config).and_then(|world| link(world, &mut reader.issues));
    (linked, reader.issues)
}

const NO_COMMIT_REMEDY: &str =
    "`steerdns serve` fetches it when it starts, `steerdns check --tree DIR` reads a working copy";

struct Reader<'a> {
    tree: Tree<'a>,
    disk: Disk<'a>,
    zone: &'a ReadZone<'a>,
    issues: Vec<Issue>,
}

impl Reader<'_> {
    fn world(&mut self, config: &Path) -> Option<World> {
        let source = self.toml(config, None)?;
        let mut server = server::read(&source, &mut self.issues);
        let tree = match (self.tree, &server.git) {
            (Tree::InForce(_), None) => None,
            (Tree::InForce(find), Some(git)) => Some((git, find(&git.value))),
            (Tree::Here(tree), Some(git)) => Some((git, Some(tree.to_owned()))),
            (Tree::Here(_), None) => {
                let what =
                    format!("`[git]` is not in `{}`: the zones come from no repository", shown(&source.path));
                self.nowhere(what, "a server that runs with it must be restarted to do without");
                return None;
            }
        };
        if let Some((git, tree)) = tree {
            let Some(tree) = tree else {
                // Of a repository that is written wrong, that is no wonder.
                if !is_grave(&self.issues) {
                    let issue = Issue::error(git.at.clone(), "no commit of the repository is here yet");
                    self.issues.push(issue.remedy(NO_COMMIT_REMEDY));
                }
                return None;
            };
            server.within(tree);
        }
        let directory = server.zones.clone();
        let names = match (self.disk.names)(&directory.value) {
            Ok(names) => BTreeSet::from_iter(names),
            Err(fault) => {
                self.unreadable(&directory.value, Some(directory.at), &fault);
                return None;
            }
        };
        let clusters = match names.contains(CLUSTERS_FILE) {
            true => self.toml(&directory.value.join(CLUSTERS_FILE), None),
            false => None,
        };
        let clusters = clusters.map(|source| clusters::read(&source, &mut self.issues)).unwrap_or_default();
        let zones = self.zones(&directory, &names);
        let includes = self.includes(&server, &clusters, &zones);
        Some(World { server, clusters, zones, includes })
    }

    /// All zones of the directory.
    fn zones(&mut self, directory: &Written<PathBuf>, names: &BTreeSet<String>) -> Vec<WrittenZone> {
        let mut zones: BTreeMap<Name, (String, WrittenZone)> = BTreeMap::new();
        let stems = names.iter().filter_map(|name| Some((name, name.strip_suffix(".zone")?)));
        for (file, stem) in stems {
            let path = directory.value.join(file);
            let origin = match Name::parse(stem, Some(&Name::root())) {
                Ok(origin) => origin,
                Err(fault) => {
                    let what =
                        format!("`{}` is not named after a zone: {fault}", shown(&path.to_string_lossy()));
                    self.nowhere(what, "e.g. `live.example.com.zone`");
                    continue;
                }
            };
            if let Some((other, _)) = zones.get(&origin) {
                let what = format!("`{}` and `{}` are the same zone", shown(other), shown(file));
                self.nowhere(what, "leave one of them out");
                continue;
            }
            let Some(source) = self.text(&path, None) else { continue };
            let (records, records_at) = (self.zone)(&source, &origin, &mut self.issues);
            let toml = format!("{stem}.toml");
            let steering = match names.contains(&toml) {
                true => self.toml(&directory.value.join(toml), None),
                false => None,
            };
            let steering = steering.map(|source| steering::read(&source, &origin, &mut self.issues));
            let steering = steering.unwrap_or_default();
            let exposed = HashSet::new();
            let zone = WrittenZone { origin: origin.clone(), records, records_at, steering, exposed };
            zones.insert(origin, (file.clone(), zone));
        }
        if zones.is_empty() && !is_grave(&self.issues) {
            let what = format!("no master file is in `{}`", shown(&directory.value.to_string_lossy()));
            let issue = Issue::error(directory.at.clone(), what);
            self.issues.push(issue.remedy("e.g. `live.example.com.zone`"));
        }
        self.lonely(directory, names);
        zones.into_values().map(|(_, zone)| zone).collect()
    }

    /// Says of TOML files that no zone has their name.
    fn lonely(&mut self, directory: &Written<PathBuf>, names: &BTreeSet<String>) {
        let stems: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".zone")).collect();
        let tomls = names.iter().filter(|name| *name != CLUSTERS_FILE);
        for stem in tomls.filter_map(|name| name.strip_suffix(".toml")) {
            if stems.contains(&stem) {
                continue;
            }
            let path = directory.value.join(format!("{stem}.toml"));
            let what = format!("`{}` has no master file beside it", shown(&path.to_string_lossy()));
            let near = super::words::nearest(stem, stems.iter().copied().chain(["clusters"]));
            match near {
                Some("clusters") => self.nowhere(what, "the file of clusters is `clusters.toml`"),
                Some(near) => self.nowhere(what, &format!("there is `{near}.zone`")),
                None => self.nowhere(what, &format!("add `{}.zone`", shown(stem))),
            }
        }
    }

    /// All files that clusters.toml and the zones' files name, each once.
    fn includes(&mut self, server: &ServerFile, file: &ClustersFile, zones: &[WrittenZone]) -> Includes {
        let mut includes = Includes::default();
        let of_zones = zones.iter().flat_map(|zone| policies_of(&zone.steering));
        let policies: Vec<&WrittenPolicy> = file.policies.iter().chain(of_zones).collect();
        // More clusters than an id can count are told when they are linked.
        let ids = (0..=u16::MAX).map(ClusterId).zip(&file.clusters);
        let ids: BTreeMap<&str, ClusterId> = ids.map(|(id, cluster)| (&*cluster.key.value, id)).collect();
        for path in distinct(policies.iter().filter_map(|policy| policy.rtt.as_ref())) {
            let Some(source) = self.text(&path.value, Some(&path.at)) else { continue };
            let (rows, issues) = rtt::rows(&source, &ids);
            self.issues.extend(issues);
            let rows = rows.into_iter().map(|row| row.rtt).collect();
            includes.rtt.insert(path.value.clone(), rows);
        }
        let rules = policies.iter().flat_map(|policy| &policy.rules);
        for path in distinct(rules.filter_map(|rule| rule.prefix_file.as_ref())) {
            let Some(source) = self.text(&path.value, Some(&path.at)) else { continue };
            includes.prefixes.insert(path.value.clone(), networks::read(&source, &mut self.issues));
        }
        for path in distinct(file.checks.iter().filter_map(|check| check.roots.as_ref())) {
            match (self.disk.file)(&path.value) {
                Ok(pem) if pem.windows(PEM_MARK.len()).any(|window| window == PEM_MARK) => {
                    includes.roots.insert(path.value.clone(), pem.into());
                }
                Ok(_) => {
                    let what = format!("`{}` holds no certificate", shown(&path.value.to_string_lossy()));
                    self.issues.push(Issue::error(path.at.clone(), what).remedy("PEM, as openssl writes it"));
                }
                Err(fault) => self.unreadable(&path.value, Some(path.at.clone()), &fault),
            }
        }
        let keys = server.keys.iter().filter_map(|key| match &key.secret {
            WrittenSecret::File(path) => Some(path),
            WrittenSecret::Here(_) | WrittenSecret::Unread => None,
        });
        let cookies = server.cookies.secret_file.as_ref().filter(|_| server.cookies.enabled);
        for path in distinct(keys.chain(cookies).chain(server.push_token.as_ref())) {
            match (self.disk.file)(&path.value) {
                Ok(octets) => _ = includes.secrets.insert(path.value.clone(), octets),
                Err(fault) => self.unreadable(&path.value, Some(path.at.clone()), &fault),
            }
        }
        includes.alerts = alerts::settle(&server.alert, self.disk.file, &mut self.issues);
        includes
    }

    /// The text of a TOML file.
    fn toml(&mut self, path: &Path, named_at: Option<&At>) -> Option<Arc<Source>> {
        let source = self.text(path, named_at)?;
        if source.text.len() > TOML_OCTETS_MAX {
            let what = format!("`{}` is larger than {} MiB", shown(&source.path), TOML_OCTETS_MAX >> 20);
            self.nowhere(what, "is this a TOML file?");
            return None;
        }
        Some(source)
    }

    /// The text of a file, which `named_at` names.
    fn text(&mut self, path: &Path, named_at: Option<&At>) -> Option<Arc<Source>> {
        let octets = match (self.disk.file)(path) {
            Ok(octets) => octets,
            Err(fault) => {
                self.unreadable(path, named_at.cloned(), &fault);
                return None;
            }
        };
        let shown_path: Arc<str> = path.to_string_lossy().into();
        match String::from_utf8(octets) {
            Ok(text) => Some(Arc::new(Source { path: shown_path, text })),
            Err(fault) => {
                let at = fault.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(fault.as_bytes()).into_owned();
                let source = Arc::new(Source { path: shown_path, text });
                let issue = Issue::error(At { source, span: at..at + 1 }, "this is not UTF-8 text");
                self.issues.push(issue.remedy("save the file as UTF-8"));
                None
            }
        }
    }

    fn unreadable(&mut self, path: &Path, named_at: Option<At>, fault: &io::Error) {
        let path = shown(&path.to_string_lossy());
        let what = match fault.kind() {
            io::ErrorKind::NotFound => format!("`{path}` does not exist"),
            io::ErrorKind::PermissionDenied => format!("`{path}` may not be read by this user"),
            _ => format!("`{path}` cannot be read: {fault}"),
        };
        self.issues.push(Issue { at: named_at, ..Issue::of_all(what) });
    }

    /// A mistake of a file as a whole.
    fn nowhere(&mut self, what: String, remedy: &str) {
        let remedy = Some(remedy.to_owned());
        self.issues.push(Issue { remedy, ..Issue::of_all(what) });
    }
}

/// What begins a certificate in PEM (RFC 7468 §5.1).
const PEM_MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A zone's own policies, those inline included.
fn policies_of(file: &SteeringFile) -> impl Iterator<Item = &WrittenPolicy> {
    let inline = file.services.iter().filter_map(|service| match &service.policy {
        ServicePolicy::Inline(policy) => Some(&**policy),
        ServicePolicy::Named(_) | ServicePolicy::Unread => None,
    });
    file.policies.iter().chain(inline)
}

/// Each path once, at the first place that names it.
fn distinct<'w>(paths: impl Iterator<Item = &'w Written<PathBuf>>) -> Vec<&'w Written<PathBuf>> {
    let mut seen = BTreeSet::new();
    paths.filter(|path| seen.insert(&path.value)).collect()
}
