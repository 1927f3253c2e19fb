//! One random zone: its names, what stands at them, and the master file.

use std::collections::{BTreeMap, BTreeSet};

use steerdns::wire::name::Name;

use crate::support::ask::type_number;
use crate::support::dice::Dice;

/// What stands at an owner.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Data,
    Large,
    Alias,
    Cut,
    Rename,
}

/// A zone before its records are made.
pub struct Plot {
    /// Its apex.
    pub origin: String,
    owners: BTreeMap<Name, (String, Kind)>,
    /// Owners and the names between.
    pub names: Vec<String>,
}

const LABELS: [&str; 24] = [
    "a",
    "b",
    "c",
    "d",
    "w",
    "x",
    "mail",
    "WwW",
    "A",
    "_tcp",
    "_sip",
    "ns",
    "0",
    "42",
    "xn--bcher-kva",
    "a-b",
    r"a\.b",
    r"sp\032ace",
    r"\000",
    r"\255\254",
    r"q\;q",
    r"\@",
    "a-label-of-thirty-one-octets-xyz",
    "sixty-three-octets-are-the-most-that-a-label-of-the-dns-may-have",
];
const TTLS: [u32; 8] = [0, 1, 20, 60, 300, 3600, 86_400, 0x7fff_ffff];
const FOREIGN: [&str; 4] = ["host.elsewhere.org.", "NS.Elsewhere.ORG.", "w0.test.example.net.", "test."];

/// RDATA that depends on nothing; all types that master files know by name and both peers read.
const PLAIN: [(&str, &str); 36] = [
    ("A", "192.0.2.1"),
    ("A", "198.51.100.255"),
    ("AAAA", "2001:db8::1"),
    ("AAAA", "2001:DB8:0:0:1::ffff"),
    ("TXT", "\"v=spf1 -all\""),
    ("TXT", r#""quote \" backslash \\ semicolon ; \000\127\255" "" "two""#),
    ("TXT", "plain words"),
    ("SPF", "\"v=spf1 -all\""),
    ("CAA", "0 issue \"letsencrypt.org; validationmethods=dns-01\""),
    ("CAA", "128 iodef \"mailto:security@example.com\""),
    ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b9 7983a1d16e8a410e4561cb106618e971"),
    ("SSHFP", "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"),
    ("SMIMEA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
    ("LOC", "42 21 54 N 71 06 18 W -24m 30m"),
    ("LOC", "42 21 43.952 N 71 5 6.344 W -24m 1m 200m"),
    ("HINFO", "\"PC-Intel-700mhz\" \"Redhat Linux 7.1\""),
    ("URI", "10 1 \"ftp://ftp1.example.com/public\""),
    ("SVCB", "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1"),
    ("SVCB", "2 Elsewhere.example. key667=hello"),
    (
        "HTTPS",
        "1 . alpn=\"h2,h3\" ech=AEn+DQBFKwAgACABWIHUGj4u+PIggYXcR5JF0gYk3dCRioBW8uJq9H4mKAAIAAEAAQABAANAEnB1YmxpYy50bHMtZWNoLmRldgAA",
    ),
    ("HTTPS", "1 Svc.Elsewhere.example. no-default-alpn alpn=h3"),
    ("DNSKEY", "256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8no"),
    ("CDS", "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
    ("CDNSKEY", "256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8no"),
    ("OPENPGPKEY", "AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8no"),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a"),
    ("NID", "10 0014:4fff:ff20:ee64"),
    ("L32", "10 10.1.2.0"),
    ("L64", "10 2001:0DB8:1140:1000"),
    ("TYPE65534", r"\# 4 deadbeef"),
    ("TYPE65280", r"\# 0"),
    ("type731", r"\# 6 abcd ef012345"),
    ("A", r"\# 4 0A000001"),
    ("TXT", r"\# 4 03 616263"),
    ("NAPTR", "100 20 \"U\" \"E2U+sip\" \"!^.*$!sip:info@example.com!\" ."),
];
/// RDATA with a name at its end.
const NAMED: [(&str, &str); 13] = [
    ("MX", "10 "),
    ("MX", "20 "),
    ("SRV", "0 5 5060 "),
    ("SRV", "1 0 443 "),
    ("PTR", ""),
    ("NAPTR", "100 10 \"S\" \"SIP+D2U\" \"\" "),
    ("AFSDB", "1 "),
    ("KX", "10 "),
    ("LP", "10 "),
    ("SVCB", "0 "),
    ("HTTPS", "3 "),
    ("RP", "hostmaster.example.com. "),
    ("MINFO", "errors.example.com. "),
];
/// A name beside, below or above another one, or itself.
pub fn near(dice: &mut Dice, base: &str) -> String {
    let parent = base.split_once('.').map_or(".", |(_, parent)| if parent.is_empty() { "." } else { parent });
    // Escaped dots do not split.
    let parent = if base.contains('\\') { base } else { parent };
    let label = dice.pick(&LABELS);
    match dice.below(100) {
        0..40 => base.into(),
        40..60 => format!("{label}.{base}"),
        60..68 => format!("{}.{label}.{base}", dice.pick(&LABELS)),
        68..78 if parent != "." => format!("{label}.{parent}"),
        78..85 => parent.into(),
        85..89 if parent != "." => format!("*.{parent}"),
        89..92 => format!("*.{base}"),
        92..96 => padded(dice, base),
        96..98 => dice.pick(&FOREIGN).into(),
        _ => format!("{label}.*.{base}"),
    }
}

/// A name below `base` of nearly or just 255 octets.
fn padded(dice: &mut Dice, base: &str) -> String {
    let mut name = base.to_owned();
    let room = |name: &str| 255 - Name::parse(name, None).map_or(255, |name| name.octets().len());
    let spare = dice.below(3) * dice.below(20);
    while room(&name) > spare + 1 {
        let len = (room(&name) - spare - 1).min(1 + dice.below(63));
        name = format!("{}.{name}", "p".repeat(len));
    }
    name
}

/// The name with some of its letters in the other case, or as it is.
pub fn odd_case(dice: &mut Dice, name: &str) -> String {
    if dice.chance(60) {
        return name.into();
    }
    name.chars()
        .map(|c| if dice.chance(50) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect()
}

impl Plot {
    /// Names and kinds for a zone.
    pub fn new(dice: &mut Dice, origin: String) -> Plot {
        let mut names = vec![origin.clone()];
        let mut owners = BTreeMap::new();
        if dice.chance(5) {
            // A DNAME at the apex leaves no room for names below it (RFC 6672 §2.4).
            owners.insert(Name::parse(&origin, None).unwrap(), (origin.clone(), Kind::Rename));
            return Plot { origin, owners, names };
        }
        for _ in 0..20 + dice.below(40) {
            let mut name = names[dice.below(names.len())].clone();
            for _ in 0..if dice.chance(20) { 2 + dice.below(2) } else { 1 } {
                let label = if dice.chance(14) { "*" } else { dice.pick(&LABELS) };
                name = format!("{label}.{name}");
                if Name::parse(&name, None).is_ok_and(|name| name.octets().len() < 200) {
                    names.push(name.clone());
                }
            }
            let Ok(owner) = Name::parse(&name, None) else { continue };
            if owner.octets().len() >= 200 {
                continue;
            }
            let kind = match dice.below(100) {
                0..55 => Kind::Data,
                55..62 => Kind::Large,
                62..80 => Kind::Alias,
                80..94 if !owner.is_wildcard() || dice.chance(6) => Kind::Cut,
                94.. if !owner.is_wildcard() || dice.chance(20) => Kind::Rename,
                _ => Kind::Data,
            };
            owners.entry(owner).or_insert((name, kind));
        }
        Plot { origin, owners, names }
    }

    /// Where another zone may begin; mostly it is delegated.
    pub fn apex_below(&mut self, dice: &mut Dice) -> Option<String> {
        let plain = |name: &&String| **name != self.origin && !name.contains(['\\', '*']);
        let candidates: Vec<&String> = self.names.iter().filter(plain).collect();
        let name = (*candidates.get(dice.below(candidates.len().max(1)))?).clone();
        if dice.chance(80) {
            self.owners.insert(Name::parse(&name, None).unwrap(), (name.clone(), Kind::Cut));
        }
        Some(name)
    }

    /// Without DNAMEs above an apex: NSD loads no zone below a DNAME, be it that of another zone.
    pub fn keep_clear(&mut self, apexes: &[Name]) {
        let origin = Name::parse(&self.origin, None).unwrap();
        let another = |apex: &Name, owner: &Name| apex != owner || *owner != origin;
        for (owner, (_, kind)) in &mut self.owners {
            let above = |apex: &Name| apex.is_within(owner) && another(apex, owner);
            if *kind == Kind::Rename && apexes.iter().any(above) {
                *kind = Kind::Data;
            }
        }
    }

    /// The master file; nothing in it stands below one of `renames`.
    pub fn lines(&self, dice: &mut Dice, targets: &[&str], renames: &[Name]) -> Lines {
        let mut lines = Lines {
            text: String::new(),
            made: BTreeSet::new(),
            uneven: BTreeSet::new(),
            renames: renames.to_vec(),
            dice: Dice::new(dice.next()),
        };
        let origin = &self.origin;
        let minimum = TTLS[dice.below(TTLS.len())];
        let soa = format!("ns0.{origin} Host.Master.{origin} 2026 3600 600 86400 {minimum}");
        lines.set(origin, "SOA", &[soa]);
        let ns: Vec<String> =
            (0..1 + dice.below(3)).map(|at| nameserver(dice, at, origin, targets)).collect();
        lines.set(origin, "NS", &ns);
        lines.addresses(dice, &format!("ns0.{origin}"));
        let rename = self.owners.get(&Name::parse(origin, None).unwrap()).map(|(_, kind)| *kind);
        for _ in 0..dice.below(3) {
            lines.data(dice, origin, targets);
        }
        if rename == Some(Kind::Rename) {
            lines.set(origin, "DNAME", &[target(dice, targets)]);
            return lines;
        }
        for (name, kind) in self.owners.values() {
            match kind {
                Kind::Data => {
                    for _ in 0..1 + dice.below(3) {
                        lines.data(dice, name, targets);
                    }
                }
                Kind::Large => lines.large(dice, name, targets),
                Kind::Alias => lines.set(name, "CNAME", &[target(dice, targets)]),
                Kind::Rename => {
                    lines.set(name, "DNAME", &[target(dice, targets)]);
                    if dice.chance(30) {
                        lines.data(dice, name, targets);
                    }
                }
                Kind::Cut => lines.cut(dice, name, targets),
            }
        }
        lines
    }

    /// The owners of DNAMEs.
    pub fn renames(&self) -> Vec<Name> {
        self.owners
            .iter()
            .filter(|(_, (_, kind))| *kind == Kind::Rename)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// A master file as it grows.
pub struct Lines {
    /// What stands in it so far.
    pub text: String,
    /// The RRsets that it holds.
    made: BTreeSet<(Name, String)>,
    /// Those whose TTLs differ.
    pub uneven: BTreeSet<(Name, u16)>,
    /// Below these nothing may stand (RFC 6672 §2.4).
    renames: Vec<Name>,
    /// For TTLs and case.
    dice: Dice,
}

impl Lines {
    /// One RRset, if it is the first of its type there; few have TTLs that differ.
    fn set(&mut self, owner: &str, rtype: &str, rdatas: &[String]) {
        let Ok(name) = Name::parse(owner, None) else { return };
        if self.renames.iter().any(|rename| name != *rename && name.is_within(rename)) {
            return;
        }
        // RFC 2181 §10.1: what is made first stands alone, if one of them is a CNAME.
        let here =
            || self.made.range((name.clone(), String::new())..).take_while(|(owner, _)| *owner == name);
        let is_alias = rtype == "CNAME";
        if here().any(|(_, other)| is_alias || other == "CNAME") {
            return;
        }
        if !self.made.insert((name.clone(), rtype.to_uppercase())) {
            return;
        }
        let ttl_s = TTLS[self.dice.below(TTLS.len())];
        let uneven = ["A", "AAAA", "MX", "NS", "TXT"].contains(&rtype) && self.dice.chance(3);
        if uneven {
            self.uneven.insert((name, type_number(rtype)));
        }
        for rdata in rdatas {
            let ttl_s = if uneven { TTLS[self.dice.below(TTLS.len())] } else { ttl_s };
            self.text += &format!("{} {ttl_s} IN {rtype} {rdata}\n", odd_case(&mut self.dice, owner));
        }
    }

    fn data(&mut self, dice: &mut Dice, owner: &str, targets: &[&str]) {
        if dice.chance(35) {
            let (rtype, before) = NAMED[dice.below(NAMED.len())];
            let rdatas: Vec<_> =
                (0..1 + dice.below(3)).map(|_| format!("{before}{}", target(dice, targets))).collect();
            return self.set(owner, rtype, &rdatas);
        }
        if dice.chance(35) {
            return self.addresses(dice, owner);
        }
        let (rtype, _) = PLAIN[dice.below(PLAIN.len())];
        let known: Vec<_> = PLAIN.iter().filter(|(other, _)| *other == rtype).collect();
        let count = 1 + dice.below(known.len());
        let rdatas: Vec<_> = known[..count].iter().map(|(_, rdata)| (*rdata).to_owned()).collect();
        self.set(owner, rtype, &rdatas);
    }

    fn addresses(&mut self, dice: &mut Dice, owner: &str) {
        if dice.chance(85) {
            let count = 1 + dice.below(3);
            let rdatas: Vec<_> =
                (0..count).map(|at| format!("203.0.113.{}", at * 80 + dice.below(80))).collect();
            self.set(owner, "A", &rdatas);
        }
        if dice.chance(40) {
            self.set(owner, "AAAA", &[format!("2001:db8::{:x}", dice.below(65_536))]);
        }
    }

    /// Sets that do not fit 512 octets, or 1232, or where a pointer reaches.
    fn large(&mut self, dice: &mut Dice, owner: &str, targets: &[&str]) {
        match dice.below(4) {
            0 => {
                let count = 10 + dice.below(120);
                let rdatas: Vec<_> = (0..count).map(|at| format!("10.7.{}.{at}", dice.below(250))).collect();
                self.set(owner, "A", &rdatas);
            }
            1 => {
                let count = 2 + dice.below(20);
                let rdatas: Vec<_> =
                    (0..count).map(|at| format!("\"{at}\" {}", "t".repeat(20 + dice.below(200)))).collect();
                self.set(owner, "TXT", &rdatas);
            }
            2 => {
                let count = 5 + dice.below(40);
                let rdatas: Vec<_> = (0..count).map(|at| format!("{at} {}", target(dice, targets))).collect();
                self.set(owner, "MX", &rdatas);
            }
            _ => {
                let count = 300 + dice.below(200);
                let long = "m".repeat(50);
                let rdatas: Vec<_> =
                    (0..count).map(|at| format!("{at} x{at}.{long}.{at}.example.")).collect();
                self.set(owner, "MX", &rdatas);
            }
        }
        self.addresses(dice, owner);
    }

    fn cut(&mut self, dice: &mut Dice, name: &str, targets: &[&str]) {
        let most = if dice.chance(10) { 13 } else { 3 };
        let count = 1 + dice.below(most);
        let ns: Vec<String> = (0..count).map(|at| nameserver(dice, at, name, targets)).collect();
        self.set(name, "NS", &ns);
        for host in &ns {
            let glue = host.starts_with("ns") && host.ends_with(&format!(".{name}"));
            if glue && dice.chance(85) {
                self.addresses(dice, host);
            }
        }
        if dice.chance(40) {
            self.set(name, "DS", &["60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118".to_owned()]);
        }
    }
}

/// A nameserver: in the zone, elsewhere among ours, or foreign.
fn nameserver(dice: &mut Dice, at: usize, zone: &str, targets: &[&str]) -> String {
    match dice.below(10) {
        0..6 => format!("ns{at}.{zone}"),
        6..9 => target(dice, targets),
        _ => dice.pick(&FOREIGN).into(),
    }
}

/// Where a record points: mostly to something that is there.
fn target(dice: &mut Dice, targets: &[&str]) -> String {
    let base = dice.pick(targets);
    let name = match dice.below(100) {
        0..60 => base.to_owned(),
        60..85 => near(dice, base),
        85..92 => dice.pick(&FOREIGN).into(),
        _ => odd_case(dice, base),
    };
    if Name::parse(&name, None).is_ok() { name } else { base.into() }
}
