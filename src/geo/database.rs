//! A GeoIP database in MaxMind's format (.mmdb), read whole at load.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};

use super::layer::Layer;
use super::place::{Place, Prefix};
use super::places::{Catalogue, Places};
use super::record::Record;

/// Networks that a file may hold for each node of its search tree. A tree has at most one more network than nodes;
/// a tree that shares nodes can have more, and a hostile one any number of them.
const NETWORKS_PER_NODE: u64 = 4;

/// How many octets of a data section share a shelf of [`Decoded`]: at least so many places lie in one of real databases.
const SHELF_OCTETS: usize = 16;

/// What one database says of every address.
///
/// Its octets are not kept: whatever is wrong with the file is found when it is read.
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    about: About,
    places: Places,
}

/// The facts about a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its own word for what it is, such as `GeoLite2-City`.
    pub kind: String,
    /// When it was built, in seconds since 1970.
    pub build_epoch: u64,
    /// The size of the file.
    pub octets: usize,
    /// Networks that it has a record for, both families together.
    pub networks: u64,
    /// Distinct records.
    pub records: usize,
    /// Whether it says anything of IPv4 addresses.
    pub ipv4: bool,
    /// Whether it says anything of IPv6 addresses.
    pub ipv6: bool,
}

/// Why a file cannot be used as a GeoIP database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseError {
    /// It is not a MaxMind database, or a broken one.
    Broken {
        /// The file.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It is one, but no record of it holds anything that we read.
    Silent {
        /// The file.
        name: String,
        /// Its own word for what it is.
        kind: String,
    },
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseError::Broken { name, cause } => {
                write!(f, "`{name}` is not a readable GeoIP database: {cause}")
            }
            DatabaseError::Silent { name, kind } => write!(
                f,
                "`{name}` (`{kind}`) holds no country, subdivision, coordinates or AS number of any address"
            ),
        }
    }
}

impl std::error::Error for DatabaseError {}

impl Database {
    /// Reads a whole file; `name` is what operators know it by.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Database, DatabaseError> {
        let broken =
            |error: MaxMindDbError| DatabaseError::Broken { name: name.into(), cause: error.to_string() };
        let reader = Reader::from_source(bytes.as_slice()).map_err(broken)?;
        let metadata = reader.metadata();
        let most_networks = u64::from(metadata.node_count) * NETWORKS_PER_NODE + 1;

        let mut decoded = Decoded::new(bytes.len());
        let (mut v4, mut v6) = (Layer::v4(), Layer::v6());
        let (mut networks, mut ipv4, mut ipv6) = (0, false, false);
        for found in reader.networks(options(&reader)).map_err(broken)? {
            let found = found.map_err(broken)?;
            networks += 1;
            if networks > most_networks {
                let cause = "its search tree holds more networks than its size allows".into();
                return Err(DatabaseError::Broken { name: name.into(), cause });
            }
            let Some(offset) = found.offset() else { continue };
            let place = match decoded.place(offset) {
                Some(place) => place,
                None => {
                    let record: Option<Record> = found.decode().map_err(broken)?;
                    decoded.insert(offset, record.unwrap_or_default().place())
                }
            };
            let network = found.network().map_err(broken)?;
            match network.ip() {
                IpAddr::V4(first) => {
                    ipv4 |= place != 0;
                    let first = u32::from(first);
                    let hosts = u32::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    v4.lay(first.into(), (first | hosts).into(), place);
                }
                IpAddr::V6(first) => {
                    ipv6 |= place != 0;
                    let first = u128::from(first);
                    let hosts = u128::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    v6.lay(first, first | hosts, place);
                }
            }
        }
        let kind = metadata.database_type.clone();
        if !ipv4 && !ipv6 {
            return Err(DatabaseError::Silent { name: name.into(), kind });
        }
        let build_epoch = metadata.build_epoch;
        let (octets, records) = (bytes.len(), decoded.records.len());
        let about = About { kind, build_epoch, octets, networks, records, ipv4, ipv6 };
        let places = Places { known: decoded.catalogue.places, v4: v4.finish(), v6: v6.finish() };
        Ok(Database { name: name.into(), about, places })
    }

    /// A database that was not read from a file: the embedded one.
    pub(super) fn made(name: &str, about: About, places: Places) -> Database {
        Database { name: name.into(), about, places }
    }

    /// What operators know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The facts about it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What it says of every address.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What it says of `address`, and the widest network around it of which it says the same throughout;
    /// `None` where it knows nothing.
    pub fn lookup(&self, address: IpAddr) -> Option<(Place, Prefix)> {
        let place = *self.places.at(address);
        (place != Place::default()).then(|| (place, self.places.network(address)))
    }
}

/// IPv4 hangs in IPv6 trees at ::/96, and often at ::ffff:0:0/96, 2001::/32 and 2002::/16 once more: these are
/// skipped. They are known by leading to the node that ::/96 leads to. Where no node is there, only one record or
/// none, that comparison would skip every network with the same record, so it must not be made.
fn options(reader: &Reader<&[u8]>) -> WithinOptions {
    let ipv4 = reader.lookup(IpAddr::from([0, 0, 0, 0])).and_then(|found| found.network());
    let has_ipv4_tree = ipv4.is_ok_and(|network| network.is_ipv4());
    let options = WithinOptions::default();
    if has_ipv4_tree { options } else { options.include_aliased_networks() }
}

/// The places of records that were decoded, by their offset in the data section.
///
/// Real databases have half a million records for fifteen million networks: the shelves are an index without hashing.
struct Decoded {
    catalogue: Catalogue,
    /// Of each [`SHELF_OCTETS`] octets of the file: one more than the newest record that begins there, 0 for none.
    shelves: Vec<u32>,
    records: Vec<Shelved>,
}

struct Shelved {
    offset: usize,
    place: u32,
    /// The next record on the same shelf, as in `shelves`.
    next: u32,
}

impl Decoded {
    fn new(octets: usize) -> Decoded {
        let shelves = vec![0; octets / SHELF_OCTETS + 1];
        Decoded { catalogue: Catalogue::default(), shelves, records: Vec::new() }
    }

    fn place(&self, offset: usize) -> Option<u32> {
        let mut at = *self.shelves.get(offset / SHELF_OCTETS)?;
        while let Some(record) = at.checked_sub(1).map(|at| &self.records[at as usize]) {
            if record.offset == offset {
                return Some(record.place);
            }
            at = record.next;
        }
        None
    }

    /// Puts a place on its shelf; gives its id.
    fn insert(&mut self, offset: usize, place: Place) -> u32 {
        let place = self.catalogue.id(place);
        let shelf = &mut self.shelves[offset / SHELF_OCTETS];
        self.records.push(Shelved { offset, place, next: *shelf });
        *shelf = u32::try_from(self.records.len())
            .expect("one record for each offset, which are of 32 bits at most");
        place
    }
}
