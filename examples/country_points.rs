//! Makes `src/geo/atlas.rs`: every country's continent and the centroid of its largest polygon.
//!
//! ```text
//! npm pack world-atlas@2 i18n-iso-countries@7 countries-list@3        (and unpack them)
//! cargo run --example country_points -- world-atlas/countries-50m.json i18n-iso-countries/codes.json \
//!     countries-list/countries.min.json > src/geo/atlas.rs
//! ```
//!
//! Shapes: world-atlas (ISC), made of Natural Earth (public domain). Codes: i18n-iso-countries (MIT). Continents:
//! countries-list (MIT). What is taken from them are facts; none of their text is copied.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // A tool for developers: it may read files, and stop.

use std::collections::BTreeMap;

use serde_json::Value;

/// Territories that the shapes lack (too small, or drawn as a part of another country), Antarctica, which goes around the
/// pole, and Kiribati, whose largest island is 3,000 km from its people.
const BY_HAND: [(&str, f64, f64); 16] = [
    ("AQ", -77.85, 166.67),
    ("KI", 1.42, 173.0),
    ("BQ", 12.18, -68.26),
    ("BV", -54.42, 3.36),
    ("CC", -12.17, 96.83),
    ("CX", -10.49, 105.63),
    ("GF", 4.0, -53.0),
    ("GI", 36.14, -5.35),
    ("GP", 16.25, -61.55),
    ("MQ", 14.64, -61.02),
    ("RE", -21.12, 55.53),
    ("SJ", 78.7, 16.0),
    ("TK", -9.17, -171.83),
    ("TV", -8.52, 179.2),
    ("UM", 19.28, 166.65),
    ("YT", -12.83, 45.15),
];

/// Countries most of whose people live far from their middle: about where they do, to a degree. A viewer in Kuala Lumpur
/// is not on Borneo, nor one in Algiers in the Sahara.
const PEOPLE_BY_HAND: [(&str, f64, f64); 34] = [
    ("AO", -9.5, 14.0),
    ("AR", -33.6, -60.5),
    ("BO", -17.0, -66.0),
    ("CD", -4.8, 19.0),
    ("CG", -4.3, 14.5),
    ("CL", -33.8, -71.0),
    ("CM", 4.5, 10.5),
    ("CO", 5.0, -74.5),
    ("DZ", 36.0, 3.0),
    ("EG", 30.3, 31.2),
    ("FI", 61.2, 24.8),
    ("GA", 0.4, 9.8),
    ("GL", 64.2, -51.7),
    ("ID", -6.9, 109.0),
    ("JP", 35.5, 137.5),
    ("LY", 32.4, 15.0),
    ("ML", 12.8, -7.5),
    ("MN", 47.8, 106.0),
    ("MR", 18.1, -15.9),
    ("MY", 3.5, 101.9),
    ("NE", 13.5, 4.0),
    ("NO", 60.3, 9.5),
    ("NZ", -38.5, 175.5),
    ("OM", 23.2, 57.8),
    ("PE", -11.5, -76.8),
    ("PK", 31.0, 72.5),
    ("PY", -25.4, -57.2),
    ("SA", 23.8, 44.5),
    ("SD", 15.0, 32.5),
    ("SE", 58.9, 16.0),
    ("TD", 11.8, 15.8),
    ("UY", -34.5, -56.0),
    ("VE", 9.8, -67.5),
    ("YE", 14.8, 44.8),
];

/// Where GeoIP databases count a country to another continent than the list does.
const CONTINENTS_BY_HAND: [(&str, &str); 1] = [("RU", "EU")];

type Ring = Vec<(f64, f64)>;

fn by_hand() -> impl Iterator<Item = (&'static str, f64, f64)> {
    BY_HAND.into_iter().chain(PEOPLE_BY_HAND)
}

fn main() {
    let mut files = std::env::args()
        .skip(1)
        .map(|path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() });
    let (atlas, codes, list) = (files.next().unwrap(), files.next().unwrap(), files.next().unwrap());
    let mut countries: BTreeMap<String, (f64, f64)> =
        by_hand().map(|(code, lat, lon)| (code.into(), (lat, lon))).collect();
    let numbers: BTreeMap<&str, &str> = codes
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[2].as_str().unwrap(), row[0].as_str().unwrap()))
        .collect();

    let arcs: Vec<Ring> =
        atlas["arcs"].as_array().unwrap().iter().map(|arc| decoded(arc, &atlas["transform"])).collect();
    let mut areas = BTreeMap::new();
    for shape in atlas["objects"]["countries"]["geometries"].as_array().unwrap() {
        let kosovo = (shape["properties"]["name"] == "Kosovo").then_some("XK"); // It has no number.
        let Some(code) = kosovo.or_else(|| numbers.get(shape["id"].as_str()?).copied()) else { continue };
        let polygons = match shape["type"].as_str().unwrap() {
            "Polygon" => vec![&shape["arcs"]],
            _ => shape["arcs"].as_array().unwrap().iter().collect(),
        };
        for polygon in polygons {
            let (area, lat, lon) = centroid(&ring(&polygon[0], &arcs));
            let by_hand = by_hand().any(|(country, ..)| country == code);
            if !by_hand && area > *areas.get(code).unwrap_or(&0.0) {
                areas.insert(code, area);
                countries.insert(code.into(), (lat, lon));
            }
        }
    }

    println!(
        "//! Countries (ISO 3166-1, and XK): continent, and a point in degrees: the centroid of the largest polygon, or about where most people live."
    );
    println!("//!");
    println!(
        "//! Made by `examples/country_points.rs` from world-atlas 2 (ISC; Natural Earth, public domain); do not edit."
    );
    println!(
        "\nuse super::place::Continent::{{self, Africa, Antarctica, Asia, Europe, NorthAmerica, Oceania, SouthAmerica}};"
    );
    println!("\n/// Code, continent, latitude, longitude; sorted by code.");
    println!(
        "#[rustfmt::skip]\npub(super) const COUNTRIES: [(&str, Continent, f64, f64); {}] = [",
        numbers.len()
    );
    let mut sorted: Vec<&str> = numbers.values().copied().collect();
    sorted.sort_unstable();
    for code in sorted {
        let (lat, lon) = countries[code];
        let by_hand =
            CONTINENTS_BY_HAND.iter().find(|(country, _)| *country == code).map(|(_, continent)| *continent);
        let continent = match by_hand.unwrap_or_else(|| list[code]["continent"].as_str().unwrap()) {
            "AF" => "Africa",
            "AN" => "Antarctica",
            "AS" => "Asia",
            "EU" => "Europe",
            "NA" => "NorthAmerica",
            "OC" => "Oceania",
            "SA" => "SouthAmerica",
            other => panic!("no continent `{other}`"),
        };
        println!("    (\"{code}\", {continent}, {lat:.2}, {lon:.2}),");
    }
    println!("];");
}

/// An arc's points in degrees: whole numbers, each the step from the one before (TopoJSON §2.1.3).
fn decoded(arc: &Value, transform: &Value) -> Ring {
    let (mut x, mut y) = (0.0, 0.0);
    let number = |value: &Value| value.as_f64().unwrap();
    let (scale, translate) = (&transform["scale"], &transform["translate"]);
    let point = |step: &Value| {
        (x, y) = (x + number(&step[0]), y + number(&step[1]));
        (x * number(&scale[0]) + number(&translate[0]), y * number(&scale[1]) + number(&translate[1]))
    };
    arc.as_array().unwrap().iter().map(point).collect()
}

/// The outer ring of arcs, by number; `!n` is arc n backwards.
fn ring(numbers: &Value, arcs: &[Ring]) -> Ring {
    let arc = |number: &Value| match number.as_i64().unwrap() {
        forward @ 0.. => arcs[forward as usize].clone(),
        backward => arcs[!backward as usize].iter().rev().copied().collect(),
    };
    numbers.as_array().unwrap().iter().flat_map(arc).collect()
}

/// Area and centroid in a cylindrical equal-area projection: (lon, sin lat).
fn centroid(ring: &Ring) -> (f64, f64, f64) {
    // Over the antimeridian longitudes go on beyond 180.
    let mut before = ring[0].0;
    let unwrapped = ring.iter().map(|(lon, lat)| {
        before = lon + 360.0 * ((before - lon) / 360.0).round();
        (before, lat.to_radians().sin())
    });
    let flat: Ring = unwrapped.collect();
    let (mut area, mut x, mut y) = (0.0, 0.0, 0.0);
    for (from, to) in flat.iter().zip(flat.iter().cycle().skip(1)) {
        let cross = from.0 * to.1 - to.0 * from.1;
        area += cross;
        x += (from.0 + to.0) * cross;
        y += (from.1 + to.1) * cross;
    }
    let lon = x / (3.0 * area);
    (area.abs(), (y / (3.0 * area)).asin().to_degrees(), lon - 360.0 * (lon / 360.0).round())
}
