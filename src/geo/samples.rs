//! Databases made for tests.

use std::net::IpAddr;

use maxminddb_writer::Database;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde::Serialize;

/// A database with one record for each network; where networks overlap, the later one counts.
pub(super) fn made<T: Serialize>(version: IpVersion, networks: &[(&str, T)]) -> Vec<u8> {
    let mut database = Database::default();
    database.metadata.binary_format_major_version = 2;
    database.metadata.ip_version = version;
    database.metadata.database_type = "Test".into();
    for (network, record) in networks {
        let record = database.insert_value(record).unwrap();
        let IpAddrWithMask { addr, mask } = network.parse().unwrap();
        // In a tree of IPv6, IPv4 hangs at ::/96.
        let path = match (addr, version) {
            (IpAddr::V4(v4), IpVersion::V6) => {
                IpAddrWithMask::new(IpAddr::V6(u128::from(u32::from(v4)).into()), mask + 96)
            }
            _ => IpAddrWithMask::new(addr, mask),
        };
        database.insert_node(path, record);
    }
    database.write_to(Vec::new()).unwrap()
}
