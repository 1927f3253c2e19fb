//! Random zones and questions: NSD, Knot, BIND and we say the same, or a licence tells why not.
//!
//! Part of the tier `peers`: without the programs it is skipped, loudly; with `STEERDNS_REQUIRE_PEERS=1` it fails.
//! `STEERDNS_DIFFERENTIAL_ROUNDS` and `STEERDNS_DIFFERENTIAL_SEED` make it longer, or another one; `STEERDNS_DIFFERENTIAL_FIRST` begins later.

#![allow(unreachable_pub)]
// Nothing is reachable from a test binary.
// It asks the clock for what the core is told, and what is not there fails it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

#[path = "differential/chain.rs"]
mod chain;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/facts.rs"]
mod facts;
#[path = "differential/faults.rs"]
mod faults;
#[path = "differential/licences.rs"]
mod licences;
#[path = "differential/plot.rs"]
mod plot;
#[path = "differential/sabotage.rs"]
mod sabotage;
#[path = "differential/worlds.rs"]
mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use compare::{Case, compare};
use facts::Facts;
use faults::{FAULTS, Fault};
use licences::LICENCES;
use sabotage::SABOTAGES;
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::geo::places::Places;
use steerdns::plan::Plan;
use steerdns::plan::parts::{Parts, Settings, ZonePart};
use steerdns::publisher::Publisher;
use steerdns::snapshot::Snapshot;
use steerdns::wire::name::Name;
use support::ask::{Question, at};
use support::dice::Dice;
use support::message::Said;
use support::peers::{Peer, Program, ZoneText};
use worlds::World;

/// Worlds that are served at once.
const WORLDS: usize = 16;
/// Questions to each.
const QUESTIONS: usize = 400;
/// How often new worlds are made.
const ROUNDS: u64 = 4;
/// The same where `STEERDNS_LONG` is set: a million questions.
const ROUNDS_LONG: u64 = 160;
/// How many mistakes are shown.
const SHOWN: usize = 12;
/// Who is asked beside us.
const PEERS: [Program; 3] = [Program::Nsd, Program::Knot, Program::Bind];

/// Worlds, and all that answer for them.
struct Arena {
    worlds: Vec<World>,
    facts: Facts,
    ours: Snapshot,
    peers: Vec<Peer>,
}

impl Arena {
    fn new(worlds: Vec<World>) -> Option<Arena> {
        let zones = |of: &dyn Fn(&World) -> bool| -> Vec<ZoneText> {
            worlds.iter().filter(|world| of(world)).flat_map(|world| world.zones.iter().cloned()).collect()
        };
        let peers = PEERS.map(|program| match program {
            Program::Bind => Peer::start(program, &zones(&World::is_for_bind)),
            _ => Peer::start(program, &zones(&|_| true)),
        });
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

    /// Whether the peer has all that the answer leads through.
    fn is_asked(&self, peer: &Peer, case: &Case<'_>, ours: &Said) -> bool {
        let lacks = |name: &Name| {
            let holds = |world: &&World| world.parts.iter().any(|part| name.is_within(&part.origin));
            self.worlds.iter().find(holds).is_some_and(|world| !world.is_for_bind())
        };
        let stream = Question { transport: Transport::Tcp, ..case.question.clone() };
        let whole = if ours.is("tc") { (case.ask_ours)(&stream) } else { ours.clone() };
        peer.program != Program::Bind || !chain::names_of(case, &whole, &whole).iter().any(lacks)
    }

    /// Compares our answer to one question with those of the peers.
    fn judge(&self, question: &Question, ask_ours: &dyn Fn(&Question) -> Said) -> Judged {
        let ours = ask_ours(question);
        let name = Name::parse(&question.name, None).unwrap();
        let verdicts = self.peers.iter().map(|peer| {
            let ask_theirs = |question: &Question| {
                let answer = peer.ask(&question.octets(), question.transport);
                Said::read(&answer).unwrap_or_else(|error| panic!("{:?}: {error}", peer.program))
            };
            let name = name.clone();
            let case = Case { question, name, facts: &self.facts, ask_ours, ask_theirs: &ask_theirs };
            // Knot 3.2 falls silent at some question of one arena in some fifty: from then on it is not asked there. Others must not.
            let is_silent = || {
                let silent = peer.silent.load(Ordering::Relaxed);
                assert!(
                    !silent || peer.program == Program::Knot,
                    "{:?} is silent: {question:?}",
                    peer.program
                );
                silent
            };
            if is_silent() || !self.is_asked(peer, &case, &ours) {
                return Verdict::NotAsked;
            }
            let theirs = ask_theirs(question);
            if is_silent() {
                return Verdict::NotAsked;
            }
            match compare(&case, &ours, &theirs) {
                Ok(licences) => Verdict::Agrees(licences),
                Err(_) if is_silent() => Verdict::NotAsked,
                Err(how) => {
                    let is = |fault: &Fault| (fault.is)(&case, &how.ours, &how.theirs);
                    let known = |fault: &&Fault| fault.program == peer.program && is(fault);
                    let told = format!("{:?}: {}\n    {theirs}", peer.program, how.what);
                    Verdict::Differs(FAULTS.iter().find(known).map(|fault| fault.name), told)
                }
            }
        });
        Judged { verdicts: verdicts.collect(), ours }
    }
}

/// What one peer's answer is to ours.
enum Verdict {
    /// The peer does not have the zones.
    NotAsked,
    /// The same, by these licences.
    Agrees(Vec<&'static str>),
    /// Another one: by a known fault of the peer or not, and how.
    Differs(Option<&'static str>, String),
}

/// What was found for one question, peer by peer.
struct Judged {
    verdicts: Vec<Verdict>,
    ours: Said,
}

impl Judged {
    /// Agreeing with one of them is enough: where they differ, not all can be meant. Where all are known to be wrong, nothing
    /// is shown.
    fn is_right(&self) -> bool {
        let agrees = |verdict: &Verdict| matches!(verdict, Verdict::Agrees(_));
        let known = |verdict: &Verdict| matches!(verdict, Verdict::Differs(Some(_), _) | Verdict::NotAsked);
        self.verdicts.iter().any(agrees) || self.verdicts.iter().all(known)
    }

    /// Whether a peer differs, and not by a fault that is known.
    fn is_open(&self) -> bool {
        self.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Differs(None, _)))
    }
}

/// What a run counted.
#[derive(Default)]
struct Tally {
    asked: usize,
    /// Licences and faults, for each peer.
    used: BTreeMap<&'static str, [usize; PEERS.len()]>,
    /// With which peers we agree.
    agreed: BTreeMap<[bool; PEERS.len()], usize>,
    wrong: Vec<String>,
    /// One peer agrees, the other differs by no known fault.
    open: Vec<String>,
}

impl Tally {
    fn count(&mut self, judged: &Judged, question: &Question, round: u64) {
        self.asked += 1;
        let mut right = [false; PEERS.len()];
        for (peer, verdict) in judged.verdicts.iter().enumerate() {
            right[peer] = matches!(verdict, Verdict::Agrees(_));
            let names = match verdict {
                Verdict::NotAsked => &[],
                Verdict::Agrees(licences) => &licences[..],
                Verdict::Differs(fault, _) => fault.as_slice(),
            };
            for name in names {
                self.used.entry(name).or_default()[peer] += 1;
            }
        }
        *self.agreed.entry(right).or_default() += 1;
        if judged.is_right() && !judged.is_open() {
            return;
        }
        let mut told = format!("round {round}: {question:?}\n    ours {}", judged.ours);
        for verdict in &judged.verdicts {
            if let Verdict::Differs(_, how) = verdict {
                told += &format!("\n  {how}");
            }
        }
        if judged.is_right() { self.open.push(told) } else { self.wrong.push(told) }
    }

    fn print(&self) {
        let reasons = LICENCES.iter().map(|licence| (licence.name, licence.why));
        let faults = FAULTS.iter().map(|fault| (fault.name, fault.why));
        let of = |counts: [usize; PEERS.len()]| counts.map(|count| format!("{count:7}")).concat();
        eprintln!("{}", PEERS.map(|program| format!("{:>7}", format!("{program:?}"))).concat());
        for (name, why) in reasons.chain(faults) {
            eprintln!("{}  {name}: {why}", of(self.used.get(name).copied().unwrap_or_default()));
        }
        for (right, count) in &self.agreed {
            let with = PEERS.iter().zip(right).filter_map(|(program, right)| right.then_some(program));
            eprintln!("{count:7} answers of {} agree with {:?}", self.asked, with.collect::<Vec<_>>());
        }
        eprintln!("{:7} times one of them differs by no known fault", self.open.len());
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
    match respond(snapshot, worker, at(now), &mut buf, query.len(), question.peer, question.transport) {
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
fn answers_are_those_of_nsd_knot_and_bind() {
    let seed = setting("STEERDNS_DIFFERENTIAL_SEED", 1);
    let mut tally = Tally::default();
    let rounds = if std::env::var_os("STEERDNS_LONG").is_some() { ROUNDS_LONG } else { ROUNDS };
    let first = setting("STEERDNS_DIFFERENTIAL_FIRST", 0);
    for round in first..first + setting("STEERDNS_DIFFERENTIAL_ROUNDS", rounds) {
        let Some(arena) = Arena::random(seed * 1000 + round) else { return };
        let dice = &mut Dice::new(seed ^ round << 32);
        for world in &arena.worlds {
            for _ in 0..QUESTIONS {
                let question = world.question(dice);
                let judged = arena.judge(&question, &|question| ask(&arena.ours, question));
                tally.count(&judged, &question, round);
            }
        }
    }
    tally.print();
    let shown = |told: &[String]| told.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    let Tally { wrong, open, .. } = &tally;
    assert!(wrong.is_empty(), "{} answers agree with none:\n{}", wrong.len(), shown(wrong));
    assert!(open.is_empty(), "{} times a peer differs for no known reason:\n{}", open.len(), shown(open));
}

/// Where no rule is broken that would not be found: the generator and the comparison, tested.
#[test]
fn every_broken_rule_is_found() {
    let Some(arena) = Arena::random(0) else { return };
    let questions: Vec<Question> = {
        let dice = &mut Dice::new(0);
        let of = |world: &World| (0..QUESTIONS).map(|_| world.question(dice)).collect::<Vec<_>>();
        arena.worlds.iter().flat_map(of).collect()
    };
    let parts = || arena.worlds.iter().flat_map(|world| world.parts.iter().cloned()).collect::<Vec<_>>();
    let honest = |question: &Question| ask(&arena.ours, question);
    let mistaken = questions.iter().find(|question| !arena.judge(question, &honest).is_right());
    assert!(mistaken.is_none(), "something is found where no rule is broken: {mistaken:?}");
    let mut missed = Vec::new();
    for sabotage in SABOTAGES {
        let mut parts = parts();
        (sabotage.records)(&arena.facts, &mut parts);
        let spoiled = snapshot(parts);
        let ask_spoiled = |question: &Question| {
            let mut said = ask(&spoiled, question);
            (sabotage.view)(&arena.facts, question, &mut said);
            said
        };
        match questions.iter().position(|question| !arena.judge(question, &ask_spoiled).is_right()) {
            Some(at) => eprintln!("found by question {:5}: {}", at + 1, sabotage.name),
            None => missed.push(sabotage.name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}

/// Each type of the master files is read as the peers read it: the same octets come out.
#[test]
fn all_types_are_read_as_nsd_knot_and_bind_read_them() {
    let zones =
        vec![ZoneText { origin: "types.test.".into(), text: include_str!("data/zones/types.zone").into() }];
    let world = World::of(zones, Vec::new());
    let Some(arena) = Arena::new(vec![world]) else { return };
    let mut tally = Tally::default();
    let world = &arena.worlds[0];
    for record in &world.parts[0].records {
        let mut question = Question::new(&record.owner.to_string(), "A");
        question.qtype = record.rtype;
        question.edns = Some(1232);
        tally.count(&arena.judge(&question, &|question| ask(&arena.ours, question)), &question, 0);
    }
    assert!(tally.asked > 75, "{}", tally.asked);
    assert!(
        tally.wrong.is_empty() && tally.open.is_empty(),
        "{}\n{}",
        tally.wrong.join("\n\n"),
        tally.open.join("\n\n")
    );
}
