//! Makes `geoip/countries.table`, the country table that is compiled into the program (`src/geo/embedded.rs`).
//!
//! ```text
//! npm pack @ip-location-db/geo-whois-asn-country-mmdb                (and unpack it)
//! cargo run --release --example embed_countries -- geo-whois-asn-country.mmdb geoip/countries.table
//! ```
//!
//! It needs the `zstd` command (Debian: zstd). Any database of countries of both families will do, as long as its
//! licence allows to pass it on: adapt SOURCE, LICENCE and COPYRIGHT, and `geoip/NOTICE`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // A tool for developers: it may read files, and stop.

use std::io::Write;
use std::process::{Command, Stdio};

use steerdns::geo::database::Database;
use steerdns::geo::geofeed::{Entry, Geofeed};
use steerdns::geo::place::{Country, Prefix};
use steerdns::geo::places::{Places, Stretch};

const SOURCE: &str = "WHOIS and delegation data of the regional internet registries, \
                      by way of ip-location-db's geo-whois-asn-country";
const LICENCE: &str = "CC BY 4.0";
const COPYRIGHT: &str = "Number Resource Organization, nro.net";

/// Registries record special-purpose blocks (RFC 6890) in places, too; nobody is there.
const NEVER_ROUTED: [&str; 21] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/16",
    "64:ff9b::/32",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/6",
];

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = paths.as_slice() else { panic!("usage: embed_countries DATABASE TABLE") };
    let database = Database::new(input, std::fs::read(input).unwrap()).unwrap();
    let unrouted = NEVER_ROUTED.map(|prefix| Entry {
        prefix: Prefix::parse(prefix).unwrap(),
        country: None,
        subdivision: None,
    });
    let unrouted = Geofeed { name: "RFC 6890".into(), entries: unrouted.to_vec() };
    let places = Places::new(std::slice::from_ref(&database), &[unrouted]);

    let mut codes: Vec<Country> = places.known.iter().filter_map(|place| place.country).collect();
    codes.sort_unstable();
    codes.dedup();
    let id = |place: u32| match places.known[place as usize].country {
        Some(country) => u8::try_from(codes.binary_search(&country).unwrap() + 1).unwrap(),
        None => 0,
    };
    let mut payload = vec![u8::try_from(codes.len()).unwrap()];
    payload.extend(codes.iter().flat_map(|country| country.code().bytes()));
    encode(&places.v4, id, &mut payload);
    encode(&places.v6, id, &mut payload);

    let build_epoch = database.about().build_epoch;
    let header = format!(
        "steerdns country table 1\nsource: {SOURCE}\ndate: {}\nbuild-epoch: {build_epoch}\n\
         licence: {LICENCE}\ncopyright: {COPYRIGHT}\n\n",
        date(build_epoch)
    );
    let mut table = header.into_bytes();
    table.extend(compressed(&payload));
    println!(
        "{} stretches of IPv4, {} of IPv6: {} octets, {} packed",
        places.v4.len(),
        places.v6.len(),
        payload.len(),
        table.len()
    );
    std::fs::write(output, table).unwrap();
}

/// A family: the count, then lengths, then places, as `src/geo/embedded.rs` tells.
fn encode<A: Copy + Into<u64>>(stretches: &[Stretch<A>], id: impl Fn(u32) -> u8, payload: &mut Vec<u8>) {
    payload.extend(u32::try_from(stretches.len()).unwrap().to_be_bytes());
    let starts = stretches.iter().map(|stretch| stretch.start.into());
    let lengths = starts.clone().zip(starts.skip(1)).map(|(start, next)| next - start).chain([0]);
    for mut length in lengths {
        while length > 0x7f {
            payload.push(length as u8 | 0x80);
            length >>= 7;
        }
        payload.push(length as u8);
    }
    payload.extend(stretches.iter().map(|stretch| id(stretch.place)));
}

fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut zstd = Command::new("zstd")
        .args(["-19", "--no-progress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the zstd command");
    let mut stdin = zstd.stdin.take().unwrap();
    let payload = payload.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&payload).unwrap());
    let output = zstd.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// The day in UTC (days to civil date, proleptic Gregorian).
fn date(epoch: u64) -> String {
    let days = epoch / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
