//! Worlds that are large in one thing: their files, and what is asked of them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use steerdns::wire::name;

/// What grows from decade to decade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Static names of one zone.
    Names,
    /// Zones of ten names.
    Zones,
    /// Services over as many policies as there are, up to 32, of 100 clusters with 1,000 nodes.
    Services,
    /// IPv4 /24 that a rule sends elsewhere.
    Prefixes,
    /// Rules of one policy.
    Rules,
    /// All of that in one world.
    All,
}

use Axis::{All, Names, Prefixes, Rules, Services, Zones};

/// All of them, with the sizes that are measured, the largest last.
pub(crate) const AXES: [(Axis, &str, &[usize]); 6] = [
    (Names, "static names", &[1_000, 10_000, 100_000, 1_000_000]),
    (Zones, "zones of 10 names", &[10, 100, 1_000, 10_000]),
    (Services, "services", &[10, 100, 1_000, 10_000]),
    (Prefixes, "prefixes of a rule", &[2_000, 20_000, 200_000, 2_000_000]),
    (Rules, "rules of a policy", &[2, 20, 200]),
    (All, "all at once, in thousandths", &[1, 10, 100, 1_000]),
];

const POLICIES: usize = 32;
const CLUSTERS: usize = 100;
const NODES: usize = 10;
const NAMES_OF_A_ZONE: usize = 10;
/// So many questions are put in turn: more than caches hold the answers of.
pub(crate) const QUESTIONS: usize = 1 << 16;

/// Knuth's MMIX generator: the same numbers each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A /24 of the public internet, or nearly.
    fn network(&mut self) -> [u8; 3] {
        let [_, a, b, c] = (self.next() as u32).to_be_bytes();
        [1 + a % 223, b, c]
    }
}

/// How much there is of each thing.
pub(crate) struct Sizes {
    names: usize,
    zones: usize,
    services: usize,
    prefixes: usize,
    rules: usize,
}

impl Sizes {
    pub(crate) fn of(axis: Axis, size: usize) -> Sizes {
        let none = Sizes { names: 0, zones: 0, services: 1, prefixes: 0, rules: 0 };
        match axis {
            Names => Sizes { names: size, ..none },
            Zones => Sizes { zones: size, ..none },
            Services => Sizes { services: size, ..none },
            Prefixes => Sizes { prefixes: size, ..none },
            Rules => Sizes { rules: size, ..none },
            All => Sizes {
                names: 1_000 * size,
                zones: 10 * size,
                services: 10 * size,
                prefixes: 2_000 * size,
                rules: (size / 5).max(1),
            },
        }
    }

    /// Writes the files of such a world; steerdns.toml is one of them.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let zones = directory.join("zones");
        fs::create_dir_all(&zones)?;
        fs::write(directory.join("steerdns.toml"), "listen = ['127.0.0.1:5300']\nzones = 'zones'\n")?;
        fs::write(zones.join("clusters.toml"), self.clusters())?;
        if self.prefixes > 0 {
            let mut random = Random(2);
            let networks = (0..self.prefixes).map(|_| random.network());
            let lines: String = networks.map(|[a, b, c]| format!("{a}.{b}.{c}.0/24\n")).collect();
            fs::write(directory.join("prefixes.txt"), lines)?;
        }
        let mut zone = String::from(HEAD);
        (0..self.names).for_each(|n| put(&mut zone, format_args!("n{n} A 192.0.2.{}", n % 256)));
        fs::write(zones.join("live.example.com.zone"), zone)?;
        let mut steered = String::new();
        for n in 0..self.services {
            let policy = n % POLICIES.min(self.services);
            put(
                &mut steered,
                format_args!("[service.s{n}]\npolicy = 'p{policy}'\ncheck = 'edge'\nanswers = 4"),
            );
        }
        fs::write(zones.join("live.example.com.toml"), steered)?;
        for zone in 0..self.zones {
            let mut text = String::from(HEAD);
            (0..NAMES_OF_A_ZONE).for_each(|n| put(&mut text, format_args!("n{n} A 192.0.2.{n}")));
            fs::write(zones.join(format!("z{zone}.example.net.zone")), text)?;
        }
        Ok(())
    }

    /// The clusters lie on a spiral around the globe, and each policy has rules of its own.
    fn clusters(&self) -> String {
        let mut text = String::from("[check.edge]\nkind = 'http'\npath = '/healthz'\n");
        for c in 0..CLUSTERS {
            let lat = 120.0 * (c as f64 / CLUSTERS as f64) - 60.0;
            let lon = (c as f64 * 137.507_764) % 360.0 - 180.0;
            put(&mut text, format_args!("[cluster.c{c}]\nplace = [{lat:.2}, {lon:.2}]\n[cluster.c{c}.node]"));
            (0..NODES).for_each(|n| {
                put(&mut text, format_args!("n{c}-{n} = ['10.1.{c}.{n}', '2001:db8:{c}::{n}']"))
            });
        }
        for p in 0..POLICIES.min(self.services) {
            put(&mut text, format_args!("[policy.p{p}]"));
            if self.prefixes > 0 && p == 0 {
                let from = "from = { prefix_file = '../prefixes.txt' }";
                put(&mut text, format_args!("[[policy.p{p}.rule]]\n{from}\nprefer = ['c7']"));
            }
            // Autonomous systems are not in the embedded table; a rule of both must be looked at for each place.
            for r in 0..self.rules {
                let (country, asn) = (COUNTRIES[r % COUNTRIES.len()], 64_496 + r / COUNTRIES.len());
                let from = match r < COUNTRIES.len() {
                    true => format!("from = {{ country = ['{country}'] }}"),
                    false => format!("from = {{ country = ['{country}'], asn = [{asn}] }}"),
                };
                put(
                    &mut text,
                    format_args!("[[policy.p{p}.rule]]\n{from}\nprefer = ['c{}']", (r + p) % CLUSTERS),
                );
            }
            put(
                &mut text,
                format_args!("[[policy.p{p}.rule]]\nfrom = {{ country = ['SG'] }}\nprefer = ['c{p}']"),
            );
        }
        text
    }

    /// Questions whose answers lie all over it, one behind the other, all of them as long as the longest.
    pub(crate) fn questions(&self, axis: Axis) -> Vec<Vec<u8>> {
        let mut random = Random(3);
        let mut listed = Random(2);
        let mut network = |random: &mut Random| match axis {
            // Every second one has a rule of its own.
            Prefixes | All if random.below(2) == 0 => {
                (0..random.below(1 + self.prefixes / QUESTIONS)).for_each(|_| _ = listed.network());
                listed.network()
            }
            _ => random.network(),
        };
        let mut question = || {
            let kind = match axis {
                All => [Names, Zones, Services][random.below(3)],
                _ => axis,
            };
            match kind {
                Names => query(&format!("n{}.live.example.com.", random.below(self.names)), None),
                Zones => {
                    let (name, zone) = (random.below(NAMES_OF_A_ZONE), random.below(self.zones));
                    query(&format!("n{name}.z{zone}.example.net."), None)
                }
                _ => {
                    let service = random.below(self.services);
                    query(&format!("s{service}.live.example.com."), Some(network(&mut random)))
                }
            }
        };
        (0..QUESTIONS).map(|_| question()).collect()
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// Of A, with EDNS, and a client subnet where one is given.
fn query(name: &str, subnet: Option<[u8; 3]>) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    name::encode(name.as_bytes(), None, &mut query).expect("a name");
    query.extend([0, 1, 0, 1]);
    query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    match subnet {
        Some(subnet) => {
            query.extend([0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
            query.extend(subnet);
        }
        None => query.extend([0, 0]),
    }
    query
}

const HEAD: &str = "$TTL 1h\n@ SOA ns1 hostmaster.example.com. ( 1 1h 15m 2w 5m )\n@ NS ns1\n@ NS ns2\n\
                    ns1 A 192.0.2.53\nns2 A 203.0.113.53\n";

/// What rules are for.
const COUNTRIES: [&str; 100] = [
    "AE", "AF", "AL", "AM", "AO", "AR", "AT", "AU", "AZ", "BA", "BD", "BE", "BG", "BH", "BO", "BR", "BY",
    "CA", "CD", "CH", "CI", "CL", "CM", "CN", "CO", "CR", "CU", "CY", "CZ", "DE", "DK", "DO", "DZ", "EC",
    "EE", "EG", "ES", "ET", "FI", "FR", "GB", "GE", "GH", "GR", "GT", "HK", "HN", "HR", "HU", "ID", "IE",
    "IL", "IN", "IQ", "IR", "IS", "IT", "JM", "JO", "JP", "KE", "KG", "KH", "KR", "KW", "KZ", "LA", "LB",
    "LK", "LT", "LU", "LV", "LY", "MA", "MD", "ME", "MG", "MK", "MM", "MN", "MT", "MU", "MX", "MY", "MZ",
    "NA", "NG", "NI", "NL", "NO", "NP", "NZ", "OM", "PA", "PE", "PH", "PK", "PL", "PT", "VN",
];
