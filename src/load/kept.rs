//! Maps that were compiled before are not compiled again: those in force, and those of an earlier life, from the state directory. Nor are
//! databases read for a map of another policy: all places are there, too.
//!
//! ```text
//! maps/databases.json   what each database held when it was last read, and what its file looked like
//! maps/<print>.map      a compiled policy; the print is of the policy, its clusters' sites, and what all databases and geofeeds hold
//! maps/<print>.places   where all addresses are; the print is of what all databases and geofeeds hold
//! ```
//!
//! A database whose file looks as it did is not read before the first answer, but after it: [`Upkeep`].

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{FileRead, VERSION};
use crate::alert::standing::Dated;
use crate::files::document::Written;
use crate::geo::embedded;
use crate::geo::places::Places;
use crate::plan::Map;
use crate::steering::alike::numbered;
use crate::steering::compile::Mapped;

/// The directory within the state directory.
const DIRECTORY: &str = "maps";
const DATABASES: &str = "databases.json";
const MAP: &str = "map";
const PLACES: &str = "places";
/// What a map's file begins with; the last octet is the format's version.
const MAGIC: [u8; 8] = *b"steermp\x01";
/// What a file of places begins with.
const MAGIC_OF_PLACES: [u8; 8] = *b"steerpl\x01";
/// A file's end that is looked at: there a database says what it is, and when it was built.
const END: u64 = 4096;
/// Octets of all maps and places that are kept on disk; what is beyond is compiled, or read, at each start.
const OCTETS_MAX: u64 = 1 << 30;
/// Octets that are read at a time where a file is only looked through.
const PART: usize = 1 << 20;

/// A database as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownDatabase {
    #[serde(flatten)]
    pub(super) read: FileRead,
    /// `None`: nobody knows, so that it is read each time.
    looks: Option<Looks>,
    /// When it was built, in seconds since 1970.
    built: u64,
}

/// What a file looks like without being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looks {
    octets: u64,
    /// When it was changed, since 1970.
    modified: Duration,
    /// The CRC-32 of its last 4 KiB.
    end: u32,
}

/// The maps in force, and the databases that they were made of.
#[derive(Debug, Default)]
pub struct KeptMaps(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// `None`: the disk was not asked yet.
    databases: Option<Vec<KnownDatabase>>,
    in_force: Vec<Arc<Map>>,
}

impl KeptMaps {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What these databases hold, if all of their files look as they did when they were last read.
    pub(super) fn databases(&self, state: &Path, paths: &[Written<PathBuf>]) -> Option<Vec<KnownDatabase>> {
        let mut known = self.known();
        let all = known.databases.get_or_insert_with(|| kept_databases(state).unwrap_or_default());
        let looking = paths.iter().map(|path| {
            let database = all.iter().find(|known| known.read.path == path.value)?;
            (Looks::of(&path.value).ok()? == *database.looks.as_ref()?).then(|| database.clone())
        });
        looking.collect()
    }

    /// A map by its print, with places of candidates in place of clusters.
    pub(super) fn find(&self, state: &Path, print: u128) -> Option<Mapped> {
        let in_force = self.known().in_force.iter().find(|map| map.print == Some(print)).cloned();
        match in_force {
            Some(map) => Some(numbered(&map.mapped, &map.candidates)),
            None => sealed(&file_of(state, print, MAP), MAGIC, Mapped::unpack),
        }
    }

    /// These maps are in force, of these databases.
    pub(super) fn take(&self, maps: &[Arc<Map>], databases: &[KnownDatabase]) {
        let mut known = self.known();
        known.in_force = maps.to_vec();
        known.databases = Some(databases.to_vec());
    }

    /// A database is not what it was taken for.
    fn forget(&self, path: &Path) {
        if let Some(databases) = &mut self.known().databases {
            databases.retain(|known| known.read.path != path);
        }
    }
}

fn kept_databases(state: &Path) -> Option<Vec<KnownDatabase>> {
    serde_json::from_slice(&fs::read(state.join(DIRECTORY).join(DATABASES)).ok()?).ok()
}

fn file_of(state: &Path, print: u128, ending: &str) -> PathBuf {
    state.join(DIRECTORY).join(format!("{print:032x}.{ending}"))
}

impl Looks {
    pub(super) fn of(path: &Path) -> io::Result<Looks> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        let modified = about.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(about.len().saturating_sub(END)))?;
        file.take(END).read_to_end(&mut end)?;
        Ok(Looks { octets: about.len(), modified, end: crc32fast::hash(&end) })
    }
}

impl KnownDatabase {
    /// One that was read, of a file that looked so before.
    pub(super) fn new(read: FileRead, looks: Option<Looks>, built: u64) -> KnownDatabase {
        KnownDatabase { read, looks, built }
    }

    /// How old it is.
    pub(super) fn dated(&self) -> Dated {
        Dated { name: self.read.path.to_string_lossy().into(), built: Duration::from_secs(self.built) }
    }

    /// Whether the file still holds what it held.
    fn is_same(&self) -> io::Result<bool> {
        let mut file = File::open(&self.read.path)?;
        let (mut hasher, mut octets, mut part) = (crc32fast::Hasher::new(), 0, vec![0; PART]);
        loop {
            match file.read(&mut part)? {
                0 => return Ok(FileRead::number(hasher.finalize(), octets) == self.read.number),
                count => {
                    hasher.update(&part[..count]);
                    octets += count;
                }
            }
        }
    }
}

/// What stands for all that is known of addresses, in the prints of maps and as the print of places.
pub(super) fn geography(databases: &[KnownDatabase], geofeeds: &[u64]) -> u64 {
    let mut hasher = SipHasher13::new();
    let embedded = databases.is_empty().then(|| embedded::about().build_epoch);
    let databases: Vec<u64> = databases.iter().map(|database| database.read.number).collect();
    (VERSION, MAGIC, embedded, databases, geofeeds).hash(&mut hasher);
    hasher.finish()
}

/// Where all addresses are, if that is kept, by what stands for it.
pub(super) fn places(state: &Path, geography: u64) -> Option<Places> {
    sealed(&file_of(state, geography.into(), PLACES), MAGIC_OF_PLACES, Places::unpack)
}

/// What is left to do once the maps are in force: it may take seconds.
#[derive(Debug)]
pub struct Upkeep {
    pub(super) kept: Arc<KeptMaps>,
    pub(super) state: PathBuf,
    pub(super) maps: Vec<Arc<Map>>,
    pub(super) databases: Vec<KnownDatabase>,
    /// What they and all geofeeds hold.
    pub(super) geography: u64,
    /// The same, where it was read anew: large, and gone once it is kept.
    pub(super) places: Option<Places>,
    /// The databases were taken for what they were, unread.
    pub(super) is_unread: bool,
}

/// Why upkeep is not all done.
#[derive(Debug)]
pub enum Undone {
    /// This database is another one than its size, time of change and end let believe: the files must be read anew.
    Changed(PathBuf),
    /// Maps or places are not kept: the next start compiles or reads them.
    Unkept(io::Error),
}

impl Upkeep {
    /// Reads what was not read, and writes what is in force; of maps and places that are no more in force the files go.
    ///
    /// # Errors
    /// What is not as it was believed to be, or could not be kept.
    pub fn run(self) -> Result<(), Undone> {
        if self.is_unread {
            let changed = self.databases.iter().find(|database| !database.is_same().unwrap_or(false));
            if let Some(changed) = changed {
                self.kept.forget(&changed.read.path);
                return Err(Undone::Changed(changed.read.path.clone()));
            }
        }
        self.write().map_err(Undone::Unkept)
    }

    fn write(&self) -> io::Result<()> {
        let directory = self.state.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let (mut octets, mut wanted) = (0, HashSet::new());
        for map in &self.maps {
            let Some(print) = map.print.filter(|print| !wanted.contains(print)) else { continue };
            octets += map.mapped.bytes() as u64;
            if octets > OCTETS_MAX {
                break;
            }
            wanted.insert(print);
            let path = file_of(&self.state, print, MAP);
            if !path.exists() {
                seal(&path, MAGIC, &numbered(&map.mapped, &map.candidates).pack())?;
            }
        }
        if self.keeps_places(octets)? {
            wanted.insert(self.geography.into());
        }
        if kept_databases(&self.state).as_ref() != Some(&self.databases) {
            let text = serde_json::to_vec_pretty(&self.databases).map_err(io::Error::other)?;
            replace(&directory.join(DATABASES), &[&text])?;
        }
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let print = path.file_stem().and_then(|stem| u128::from_str_radix(stem.to_str()?, 16).ok());
            if print.is_some_and(|print| !wanted.contains(&print)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Whether the places are on disk, beside so many octets of maps. They are written where they are not.
    fn keeps_places(&self, maps: u64) -> io::Result<bool> {
        let path = file_of(&self.state, self.geography.into(), PLACES);
        if let Ok(about) = fs::metadata(&path) {
            return Ok(maps + about.len() <= OCTETS_MAX);
        }
        let Some(places) = &self.places else { return Ok(false) };
        let packed = places.pack();
        let is_kept = maps + packed.len() as u64 <= OCTETS_MAX;
        if is_kept {
            seal(&path, MAGIC_OF_PLACES, &packed)?;
        }
        Ok(is_kept)
    }
}

/// What a file holds, if it is there. One that is damaged, or another kind of file, goes, so that it is written anew.
fn sealed<T>(path: &Path, magic: [u8; 8], unpack: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let octets = fs::read(path).ok()?;
    let unsealed = || {
        let (crc, packed) = octets.strip_prefix(&magic)?.split_first_chunk()?;
        (crc32fast::hash(packed) == u32::from_le_bytes(*crc)).then_some(packed)
    };
    let held = unsealed().and_then(unpack);
    if held.is_none() {
        let _ = fs::remove_file(path);
    }
    held
}

/// Writes a file: what it is, a CRC-32, what it holds.
fn seal(path: &Path, magic: [u8; 8], packed: &[u8]) -> io::Result<()> {
    replace(path, &[&magic, &crc32fast::hash(packed).to_le_bytes(), packed])
}

/// Whoever reads sees the old file or the new one. It is not waited until the disk has it: what is lost or damaged is compiled.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    fs::rename(&fresh, path)
}
