//! Random zones and random questions to them: the same for the same seed.

use std::collections::{BTreeMap, BTreeSet};

use steerdns::answer::worker::Transport;
use steerdns::plan::parts::ZonePart;
use steerdns::wire::name::Name;
use steerdns::zone::record::rtype;

use super::plot::{Plot, near, odd_case};
use crate::support::ask::{Question, type_number};
use crate::support::dice::Dice;
use crate::support::peers::ZoneText;
use crate::support::zone;

/// Zones that are served together, and the names that matter in them.
pub struct World {
    /// As files.
    pub zones: Vec<ZoneText>,
    /// As we read the files.
    pub parts: Vec<ZonePart>,
    /// Owners, names between them and their apexes, targets: absolute, as written.
    pub names: Vec<String>,
    /// Owners and types of RRsets whose records have different TTLs in the file.
    pub uneven: BTreeSet<(Name, u16)>,
    /// The types at each owner.
    types: BTreeMap<Name, BTreeSet<u16>>,
}

/// What is asked for, apart from what is there.
const ASKED: [&str; 24] = [
    "A",
    "A",
    "A",
    "AAAA",
    "NS",
    "SOA",
    "MX",
    "TXT",
    "CNAME",
    "DNAME",
    "DS",
    "SRV",
    "ANY",
    "PTR",
    "HTTPS",
    "CAA",
    "DNSKEY",
    "NSEC",
    "RRSIG",
    "NSEC3PARAM",
    "HINFO",
    "TYPE65534",
    "TYPE1000",
    "ANY",
];
/// Types that ask for an act: asked for now and then.
const ACTS: [&str; 6] = ["TYPE128", "TYPE251", "TYPE252", "TYPE253", "TYPE254", "TYPE41"];

impl World {
    /// A world below `w<number>.test.`; its aliases may lead to `others`.
    pub fn new(seed: u64, number: usize, others: &[String]) -> World {
        let dice = &mut Dice::new(seed ^ (number as u64) << 40);
        let mut plots = vec![Plot::new(dice, format!("w{number}.test."))];
        for _ in 0..dice.below(4) {
            let above = dice.below(plots.len());
            let Some(apex) = plots[above].apex_below(dice) else { continue };
            if plots.iter().all(|plot| !plot.origin.eq_ignore_ascii_case(&apex)) {
                plots.push(Plot::new(dice, apex));
            }
        }
        let apexes: Vec<_> = plots.iter().map(|plot| Name::parse(&plot.origin, None).unwrap()).collect();
        let mut renames = Vec::new();
        for plot in &mut plots {
            plot.keep_clear(&apexes);
            renames.extend(plot.renames());
        }
        let mut names: Vec<String> = plots.iter().flat_map(|plot| plot.names.iter().cloned()).collect();
        let targets: Vec<&str> = names.iter().chain(others.iter().take(20)).map(String::as_str).collect();
        let mut uneven = BTreeSet::new();
        let mut zones = Vec::new();
        for plot in &plots {
            let lines = plot.lines(dice, &targets, &renames);
            uneven.extend(lines.uneven);
            zones.push(ZoneText { origin: plot.origin.clone(), text: lines.text });
        }
        names.extend((0..5).map(|at| format!("ns{at}.{}", plots[0].origin)));
        World { uneven, ..World::of(zones, names) }
    }

    /// The world of these files.
    pub fn of(zones: Vec<ZoneText>, mut names: Vec<String>) -> World {
        let parts: Vec<_> = zones.iter().map(|text| zone(&text.origin, &text.text)).collect();
        let mut types: BTreeMap<Name, BTreeSet<u16>> = BTreeMap::new();
        for record in parts.iter().flat_map(|part| &part.records) {
            types.entry(record.owner.clone()).or_default().insert(record.rtype);
        }
        if names.is_empty() {
            names = types.keys().map(Name::to_string).collect();
        }
        World { zones, parts, names, types, uneven: BTreeSet::new() }
    }

    /// BIND loads no zone with NS at a wildcard.
    pub fn is_for_bind(&self) -> bool {
        !self.types.iter().any(|(owner, types)| owner.is_wildcard() && types.contains(&rtype::NS))
    }

    /// A question to this world.
    pub fn question(&self, dice: &mut Dice) -> Question {
        let base = &self.names[dice.below(self.names.len())];
        let name = near(dice, base);
        let name = if Name::parse(&name, None).is_ok() { name } else { base.clone() };
        let mut question = Question::new(&odd_case(dice, &name), dice.pick(&ASKED));
        let there: Option<Vec<u16>> =
            self.types.get(&Name::parse(base, None).unwrap()).map(|types| types.iter().copied().collect());
        match there {
            Some(types) if dice.chance(45) => question.qtype = types[dice.below(types.len())],
            _ if dice.chance(3) => question.qtype = type_number(dice.pick(&ACTS)),
            _ => {}
        }
        question.edns = match dice.below(10) {
            0..4 => None,
            4 => Some(512),
            5 => Some(dice.below(1500) as u16),
            6 => Some(4096),
            _ => Some(1232),
        };
        question.dnssec_ok = dice.chance(30);
        question.recursion_desired = dice.chance(40);
        question.checking_disabled = dice.chance(15);
        question.authentic_data = dice.chance(15);
        if dice.chance(10) {
            question.transport = Transport::Tcp;
        }
        question
    }
}
