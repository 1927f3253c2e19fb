//! What was compiled is kept, and where addresses are: a start after a start, and a change of rules, read no database before they answer, and
//! trust none for long.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maxminddb_writer::Database;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::json;
use steerdns::load::kept::KeptMaps;
use steerdns::load::{Loaded, load_kept};

use super::support::served::{Served, until};
use super::world::{GERMANY, SERVER, SINGAPORE, World, played};

const NODES_OF_SINGAPORE: [&str; 2] = ["192.0.2.11", "192.0.2.12"];

/// A database of 11.0.0.0/12 and 11.16.0.0/12 in these countries, and of much else. Two of them differ only in the search tree.
pub(crate) fn database(singapore: &str, germany: &str) -> Vec<u8> {
    let mut database = Database::default();
    database.metadata.binary_format_major_version = 2;
    database.metadata.database_type = "Test".into();
    database.metadata.build_epoch = 1_750_000_000;
    let mut country = |code: &str, name: &str| {
        database.insert_value(json!({ "country": { "iso_code": code }, "name": name })).unwrap()
    };
    let (sg, de) = (country("SG", ""), country("DE", ""));
    let others: Vec<_> =
        (0..400).map(|number| country("FR", &format!("no. {number:3} of what fills the file"))).collect();
    let of = |code: &str| if code == "SG" { sg } else { de };
    let mut lay = |address: Ipv4Addr, mask, value| {
        database.insert_node(IpAddrWithMask::new(IpAddr::V4(address), mask), value);
    };
    lay(Ipv4Addr::new(11, 0, 0, 0), 12, of(singapore));
    lay(Ipv4Addr::new(11, 16, 0, 0), 12, of(germany));
    for (number, value) in others.into_iter().enumerate() {
        let [high, low] = (number as u16).to_be_bytes();
        lay(Ipv4Addr::new(20, high, low, 0), 24, value);
    }
    database.write_to(Vec::new()).unwrap()
}

/// A world with a database in place of its geofeed.
pub(crate) fn world_with_a_database() -> World {
    let world = World::new();
    world.write("steerdns.toml", &SERVER.replace("geofeeds = [\"own.csv\"]", "databases = [\"own.mmdb\"]"));
    fs::write(world.path("own.mmdb"), database("SG", "DE")).unwrap();
    world
}

/// When the database was changed.
fn changed(world: &World) -> SystemTime {
    fs::metadata(world.path("own.mmdb")).unwrap().modified().unwrap()
}

/// The files that are kept, of this ending.
fn kept(world: &World, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(world.path("state/maps")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == ending)).collect()
}

/// The files of maps that are kept.
fn maps(world: &World) -> Vec<PathBuf> {
    kept(world, "map")
}

/// The files of places that are kept.
fn places(world: &World) -> Vec<PathBuf> {
    kept(world, "places")
}

fn is_kept(world: &World) -> bool {
    !maps(world).is_empty() && world.path("state/maps/databases.json").exists()
}

/// Puts a database in the place of the other one that cannot be told from it by its file's size, time and end.
fn swap(world: &World, changed: SystemTime) {
    let swapped = database("DE", "SG");
    assert_eq!(swapped.len() as u64, fs::metadata(world.path("own.mmdb")).unwrap().len());
    fs::write(world.path("own.mmdb"), swapped).unwrap();
    File::options().write(true).open(world.path("own.mmdb")).unwrap().set_modified(changed).unwrap();
}

/// clusters.toml, with a rule by which viewers of this country get Singapore's nodes.
fn ruled(world: &World, country: &str) -> String {
    let rule =
        format!("[[policy.everywhere.rule]]\nfrom = {{ country = [\"{country}\"] }}\nprefer = [\"sin\"]\n");
    world.clusters(&["sin-1", "sin-2"], &rule)
}

#[test]
fn a_database_that_is_not_what_it_looks_like_is_found_out_and_read() {
    let world = world_with_a_database();
    let changed = changed(&world);
    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), NODES_OF_SINGAPORE);
    until("the maps are kept", || is_kept(&world));
    assert_eq!(served.stop().code(), Some(0));
    let kept = maps(&world);

    let served = world.serve_warm();
    assert_eq!(played(&served, SINGAPORE), NODES_OF_SINGAPORE);
    assert_eq!(played(&served, GERMANY), ["203.0.113.11"]);
    assert_eq!(served.stop().code(), Some(0));
    assert_eq!(maps(&world), kept, "nothing new");

    swap(&world, changed);
    let served = world.serve_warm();
    served.until_logged(0, &format!("`{}` is not what it was", world.path("own.mmdb").display()));
    let is_swapped = |served: &Served| {
        played(served, GERMANY) == NODES_OF_SINGAPORE && played(served, SINGAPORE) == ["203.0.113.11"]
    };
    until("it is read, and in force", || is_swapped(&served));
    until("what is no more in force goes", || maps(&world).len() == 1 && maps(&world) != kept);
}

#[test]
fn rules_that_change_take_no_database() {
    let world = world_with_a_database();
    let changed = changed(&world);
    let served = world.serve_warm();
    until("all is kept", || is_kept(&world));
    let (maps_before, places_before) = (maps(&world), places(&world));
    world.write("zones/clusters.toml", &ruled(&world, "DE"));
    served.run(&["reload"]);
    assert_eq!(played(&served, GERMANY), NODES_OF_SINGAPORE);
    until("another map is kept", || maps(&world).len() == 1 && maps(&world) != maps_before);
    assert_eq!(places(&world), places_before, "of the same places");

    // Had the database been read, nothing would be to be found out.
    swap(&world, changed);
    world.write("zones/clusters.toml", &ruled(&world, "SG"));
    let from = served.logged();
    served.run(&["reload"]);
    served.until_logged(from, &format!("`{}` is not what it was", world.path("own.mmdb").display()));
    let is_swapped =
        || played(&served, GERMANY) == NODES_OF_SINGAPORE && played(&served, SINGAPORE) == ["203.0.113.11"];
    until("it is read, and in force", is_swapped);
    until("places that are no more in force go", || {
        places(&world).len() == 1 && places(&world) != places_before
    });
}

fn loaded(config: &Path, kept: &Arc<KeptMaps>) -> Loaded {
    load_kept(config, None, kept).loaded.unwrap()
}

/// Whether a load read the databases.
fn read(loaded: &Loaded) -> bool {
    !loaded.geography.databases.is_empty()
}

#[test]
fn a_database_is_read_once_and_again_where_something_is_amiss() {
    let world = world_with_a_database();
    let changed = changed(&world);
    let life = Arc::default();
    let first = loaded(&world.config(), &life);
    assert!(read(&first));
    first.upkeep.unwrap().run().unwrap();
    assert!(!read(&loaded(&world.config(), &life)), "a reload");
    assert!(!read(&loaded(&world.config(), &Arc::default())), "another life");

    // Another policy wants another map, and places are enough for it.
    let clusters = world.clusters(&["sin-1", "sin-2"], "");
    world.write("zones/clusters.toml", &clusters.replace("[50.11, 8.68]", "[48.11, 8.68]"));
    let moved = loaded(&world.config(), &life);
    assert!(!read(&moved));
    moved.upkeep.unwrap().run().unwrap();
    assert!(!read(&loaded(&world.config(), &Arc::default())));

    // Where one of the two is damaged, the other one does.
    let [places] = &places(&world)[..] else { panic!("one file of places") };
    let mut octets = fs::read(places).unwrap();
    octets[100] ^= 1;
    fs::write(places, &octets).unwrap();
    assert!(!read(&loaded(&world.config(), &Arc::default())), "there is the map");
    world.write("zones/clusters.toml", &ruled(&world, "FR"));
    let damaged = loaded(&world.config(), &life);
    assert!(read(&damaged));
    damaged.upkeep.unwrap().run().unwrap();
    assert_ne!(fs::read(places).unwrap(), octets, "it is whole again");
    world.write("zones/clusters.toml", &ruled(&world, "DE"));
    let foreign = fs::read(&maps(&world)[0]).unwrap();
    fs::write(places, foreign).unwrap();
    let foreign = loaded(&world.config(), &life);
    assert!(read(&foreign), "a map is no places");
    foreign.upkeep.unwrap().run().unwrap();

    let [map] = &maps(&world)[..] else { panic!("one map") };
    let mut octets = fs::read(map).unwrap();
    octets[1000] ^= 1;
    fs::write(map, &octets).unwrap();
    assert!(!read(&loaded(&world.config(), &life)), "from memory");
    let damaged = loaded(&world.config(), &Arc::default());
    assert!(!read(&damaged), "compiled of places");
    damaged.upkeep.unwrap().run().unwrap();
    assert_ne!(fs::read(map).unwrap(), octets, "it is whole again");
    fs::write(map, &octets).unwrap();
    fs::remove_file(places).unwrap();
    let damaged = loaded(&world.config(), &Arc::default());
    assert!(read(&damaged));
    damaged.upkeep.unwrap().run().unwrap();
    assert!(places.exists() && fs::read(map).unwrap() != octets, "both are there again");

    // Touched: it is read, though it is what it was.
    let file = File::options().write(true).open(world.path("own.mmdb")).unwrap();
    file.set_modified(changed + Duration::from_secs(1)).unwrap();
    assert!(read(&loaded(&world.config(), &life)));

    fs::write(world.path("state/maps/databases.json"), "{").unwrap();
    assert!(read(&loaded(&world.config(), &Arc::default())), "nobody knows what it holds");
    fs::remove_file(world.path("own.mmdb")).unwrap();
    let issues = load_kept(&world.config(), None, &life).loaded.unwrap_err();
    assert!(issues.iter().any(|issue| issue.what.contains("own.mmdb")), "{issues:?}");
}
