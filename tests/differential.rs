//! Random zones and questions: NSD, Knot and we say the same, or a licence tells why not.
//!
//! Part of the tier `peers`: without the programs it is skipped, loudly; with `STEERDNS_REQUIRE_PEERS=1` it fails.
//! `STEERDNS_DIFFERENTIAL_ROUNDS` and `STEERDNS_DIFFERENTIAL_SEED` make it longer, or another one.

#![allow(unreachable_pub)] // Nothing is reachable from a test binary.

mod support;

#[path = "differential/facts.rs"]
mod facts;
#[path = "differential/licences.rs"]
mod licences;
#[path = "differential/worlds.rs"]
mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use facts::Facts;
use licences::{Case, LICENCES, compare};
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Worker};
use steerdns::geo::places::Places;
use steerdns::plan::{Parts, Plan, Settings, ZonePart};
use steerdns::publisher::Publisher;
use steerdns::snapshot::Snapshot;
use steerdns::wire::name::Name;
use support::ask::Question;
use support::message::Said;
use support::peers::{Peer, Program, ZoneText};
use worlds::{Dice, World};

/// Worlds that are served at once.
const WORLDS: usize = 16;
/// Questions to each.
const QUESTIONS: usize = 400;
/// How often new worlds are made.
const ROUNDS: u64 = 4;
/// How many mistakes are shown.
const SHOWN: usize = 12;

/// Worlds, and all that answer for them.
struct Arena {
    worlds: Vec<World>,
    facts: Facts,
    ours: Snapshot,
    peers: Vec<Peer>,
}

impl Arena {
    fn new(worlds: Vec<World>) -> Option<Arena> {
        let zones: Vec<ZoneText> = worlds.iter().flat_map(|world| world.zones.iter().cloned()).collect();
        let peers = [Program::Nsd, Program::Knot].map(|program| Peer::start(program, &zones));
        let peers: Option<Vec<Peer>> = peers.into_iter().collect();
        let parts = worlds.iter().flat_map(|world| world.parts.iter().cloned()).collect();
        Some(Arena { facts: Facts::new(&worlds), ours: snapshot(parts), peers: peers?, worlds })
    }

    fn random(seed: u64) -> Option<Arena> {
        let mut worlds: Vec<World> = Vec::new();
        for number in 0..WORLDS {
            let others = worlds.last().map_or(&[][..], |world| &world.names);
            let world = World::new(seed, number, others);
            worlds.push(world);
        }
        Arena::new(worlds)
    }

    /// Compares our answer to one question with those of the peers.
    fn judge(&self, question: &Question, ask_ours: &dyn Fn(&Question) -> Said) -> Judged {
        let ours = ask_ours(question);
        let verdicts = self.peers.iter().map(|peer| {
            let ask_theirs = |question: &Question| {
                let answer = peer.ask(&question.octets(), question.transport);
                Said::read(&answer).unwrap_or_else(|error| panic!("{:?}: {error}", peer.program))
            };
            let name = Name::parse(&question.name, None).unwrap();
            let case = Case { question, name, facts: &self.facts, ask_ours, ask_theirs: &ask_theirs };
            let theirs = ask_theirs(question);
            let verdict = compare(&case, &ours, &theirs);
            verdict.map_err(|error| format!("{:?}: {error}\n    {:?} {theirs}", peer.program, peer.program))
        });
        Judged { verdicts: verdicts.collect(), ours }
    }
}

/// What was found for one question, peer by peer.
struct Judged {
    verdicts: Vec<Result<Vec<&'static str>, String>>,
    ours: Said,
}

impl Judged {
    /// Agreeing with one of them is enough: where they differ, both cannot be meant.
    fn is_right(&self) -> bool {
        self.verdicts.iter().any(Result::is_ok)
    }
}

fn snapshot(zones: Vec<ZonePart>) -> Snapshot {
    let settings = Settings { payload_max: 1232, ..Settings::default() };
    let plan = Plan::new(Parts { zones, settings, ..Parts::default() }, &Places::nothing()).unwrap();
    let now = Instant::now();
    Publisher::new(Arc::new(plan), &[], now).publish(now).0.unwrap()
}

fn ask(snapshot: &Snapshot, question: &Question) -> Said {
    let query = question.octets();
    let mut buf = vec![0xaa; 65_535];
    buf[..query.len()].copy_from_slice(&query);
    let worker = &mut Worker::default();
    let now = Instant::now();
    match respond(snapshot, worker, now, &mut buf, query.len(), question.peer, question.transport) {
        Reply::Done(len, _) => {
            Said::read(&buf[..len]).unwrap_or_else(|error| panic!("{question:?}: {error}"))
        }
        reply => panic!("no answer but {reply:?}"),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

#[test]
fn answers_are_those_of_nsd_and_knot() {
    let seed = setting("STEERDNS_DIFFERENTIAL_SEED", 1);
    let mut used: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut agreed: BTreeMap<[bool; 2], usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut split: Vec<String> = Vec::new();
    for round in 0..setting("STEERDNS_DIFFERENTIAL_ROUNDS", ROUNDS) {
        let Some(arena) = Arena::random(seed * 1000 + round) else { return };
        let dice = &mut Dice::new(seed ^ round << 32);
        for world in &arena.worlds {
            for _ in 0..QUESTIONS {
                let question = world.question(dice);
                let judged = arena.judge(&question, &|question| ask(&arena.ours, question));
                let right = [judged.verdicts[0].is_ok(), judged.verdicts[1].is_ok()];
                *agreed.entry(right).or_default() += 1;
                for (peer, verdict) in judged.verdicts.iter().enumerate() {
                    for name in verdict.iter().flatten() {
                        used.entry(name).or_default()[peer] += 1;
                    }
                }
                let told = || {
                    let errors: Vec<_> =
                        judged.verdicts.iter().filter_map(|verdict| verdict.as_ref().err()).collect();
                    let errors: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
                    format!(
                        "seed {seed} round {round}: {question:?}\n{}\n    ours {}",
                        errors.join("\n"),
                        judged.ours
                    )
                };
                if !judged.is_right() {
                    wrong.push(told());
                } else if right != [true, true] && split.len() < 400 {
                    split.push(told());
                }
            }
        }
    }
    for licence in LICENCES {
        let [nsd, knot] = used.remove(licence.name).unwrap_or_default();
        eprintln!("{nsd:6} NSD {knot:6} Knot  {}: {}", licence.name, licence.why);
    }
    for (right, count) in agreed {
        eprintln!("{count:6} answers agree with NSD: {}, Knot: {}", right[0], right[1]);
    }
    if std::env::var("STEERDNS_DIFFERENTIAL_SPLIT").is_ok() {
        eprintln!("{}", split.join("\n\n"));
    }
    let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} answers agree with neither:\n{shown}", wrong.len());
}
