//! Laws of whole answers: worlds, clients and lives are made up, and every answer goes through the files, the Publisher and
//! `respond`, as in the running server.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::geo::place::Prefix;
use steerdns::health::rounds::Observation;
use steerdns::health::verdict::{Cause, Outcome, Seen, Verdict};
use steerdns::plan::Plan;
use steerdns::publisher::{Event, Publisher};
use steerdns::snapshot::Snapshot;
use steerdns::steering::client::{Client as By, PlacedNetworks, Whose};
use steerdns::wire::edns::Subnet;
use support::ask::{Answer, Question, at};
use support::scenario::answer;
use support::world::{Files, World};

/// The service's TTL in these worlds.
const TTL_S: u32 = 20;

/// What the files of a world say.
#[derive(Clone, Debug)]
struct Setting {
    /// Clusters: latitude, longitude, weights of the nodes.
    clusters: Vec<(i8, i16, Vec<u8>)>,
    /// Whether the first cluster lacks IPv6, and then what `ipv6` says.
    first_lacks_ipv6: Option<&'static str>,
    fed: BTreeMap<Prefix, &'static str>,
    rules: Vec<(RuleFor, bool, usize)>,
    spread: (u8, u8),
    answers: u8,
    sticky: bool,
    ecs: bool,
    all_down: &'static str,
}

#[derive(Clone, Debug)]
enum RuleFor {
    Prefix(Prefix),
    Country(&'static str),
}

const COUNTRIES: [&str; 8] = ["SG", "DE", "BR", "US", "ZA", "ID", "GB", "AU"];

/// Networks near one another, so that they nest: in 20.0.0.0/8 and 2a00::/16.
fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (any::<u32>(), 9..=28u8).prop_map(|(low, bits)| Prefix::around(IpAddr::V4(v4(low)), bits)),
        (any::<u64>(), 20..=60u8).prop_map(|(low, bits)| Prefix::around(IpAddr::V6(v6(low)), bits)),
    ]
}

fn v4(low: u32) -> Ipv4Addr {
    Ipv4Addr::from(20 << 24 | low & 0x003f_ffff)
}

fn v6(low: u64) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(0x2a00 << 48 | low & 0x0000_ffff_ffff_ffff) << 64)
}

prop_compose! {
    fn setting()(
        clusters in prop::collection::vec((-60..60i8, -180..180i16, prop::collection::vec(1..5u8, 1..5)), 2..5),
        first_lacks_ipv6 in prop::option::of(prop::sample::select(vec!["far", "off"])),
        fed in prop::collection::btree_map(prefix(), prop::sample::select(&COUNTRIES[..]), 0..12),
        rules in prop::collection::vec(
            (
                prop_oneof![
                    prefix().prop_map(RuleFor::Prefix),
                    prop::sample::select(&COUNTRIES[..]).prop_map(RuleFor::Country),
                ],
                any::<bool>(),
                any::<prop::sample::Index>(),
            ),
            0..4,
        ),
        spread in (1..=24u8, 1..=56u8),
        answers in 1..4u8,
        sticky: bool,
        ecs in prop::bool::weighted(0.9),
        all_down in prop::sample::select(vec!["\"serve-all\"", "\"servfail\"", "{ fallback = \"c1\" }"]),
    ) -> Setting {
        let count = clusters.len();
        let rules = rules.into_iter().map(|(from, only, to)| (from, only, to.index(count))).collect();
        Setting { clusters, first_lacks_ipv6, fed, rules, spread, answers, sticky, ecs, all_down }
    }
}

impl Setting {
    fn files(&self) -> Files {
        let mut files = Files::default();
        files.put("steerdns.toml", "listen = [\"127.0.0.1:5300\"]\n[geoip]\ndatabases = [\"tests/data/maxmind/GeoLite2-ASN-Test.mmdb\"]\ngeofeeds = [\"own.csv\"]\n");
        let fed: String =
            self.fed.iter().map(|(prefix, country)| format!("{prefix},{country},,,\n")).collect();
        files.put("own.csv", &fed);
        let mut clusters = String::from("[check.edge]\nkind = \"tcp\"\nport = 80\nfall = 2\nrise = 2\n");
        for (id, (lat, lon, nodes)) in self.clusters.iter().enumerate() {
            writeln!(
                clusters,
                "[cluster.c{id}]\nplace = [{lat}, {lon}]\ncheck = \"edge\"\n[cluster.c{id}.node]"
            )
            .unwrap();
            for (node, weight) in nodes.iter().enumerate() {
                let v6 = format!(", \"2001:db8:{id}::{}\"", node + 1);
                let v6 = if id == 0 && self.first_lacks_ipv6.is_some() { "" } else { &v6 };
                writeln!(
                    clusters,
                    "n{node} = {{ addresses = [\"192.0.2.{}\"{v6}], weight = {weight} }}",
                    id * 16 + node + 1
                )
                .unwrap();
            }
        }
        let (v4, v6) = self.spread;
        writeln!(clusters, "[policy.p]\nspread = {{ ipv4 = {v4}, ipv6 = {v6} }}\necs = {}", self.ecs)
            .unwrap();
        for (from, only, to) in &self.rules {
            let from = match from {
                RuleFor::Prefix(prefix) => format!("prefix = [\"{prefix}\"]"),
                RuleFor::Country(country) => format!("country = [\"{country}\"]"),
            };
            // `only` must leave every family a cluster: the first may lack IPv6.
            let order = match (only, to) {
                (true, 1..) => format!("only = [\"c{to}\"]"),
                _ => format!("prefer = [\"c{to}\"]"),
            };
            writeln!(clusters, "[[policy.p.rule]]\nfrom = {{ {from} }}\n{order}").unwrap();
        }
        files.put("zones/clusters.toml", &clusters);
        let ipv6 = self.first_lacks_ipv6.map(|word| format!("ipv6 = \"{word}\"\n")).unwrap_or_default();
        let service = |owner: &str| {
            format!(
                "[service.\"{owner}\"]\npolicy = \"p\"\nttl = \"{TTL_S}s\"\nanswers = {}\nsticky = {}\nall_down = {}\n{ipv6}",
                self.answers, self.sticky, self.all_down,
            )
        };
        files.put("zones/x.test.toml", &(service("s") + &service("*.w")));
        files.put(
            "zones/x.test.zone",
            "$TTL 300\n@ SOA ns1 h 1 1h 15m 2w 5m\n@ NS ns1\n@ TXT apex\nns1 A 192.0.2.253\nalias CNAME s\n*.alias CNAME one.w\nsub NS ns.sub\nns.sub A 192.0.2.254\nold DNAME s\n",
        );
        files
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::new(self.files().load().unwrap_or_else(|issues| panic!("{issues}")).plan)
    }
}

/// A client: its network, as a client subnet gives it.
type Client = (IpAddr, u8);

/// Clients within the networks that files speak of, and near them.
fn client() -> impl Strategy<Value = Client> {
    let any = prop_oneof![
        4 => (any::<u32>(), 4..=32u8).prop_map(|(low, bits)| (IpAddr::V4(v4(low)), bits)),
        2 => (any::<u64>(), 12..=64u8).prop_map(|(low, bits)| (IpAddr::V6(v6(low)), bits)),
        1 => (any::<u32>(), 1..=32u8).prop_map(|(low, bits)| (IpAddr::V4((low & 0x1fff_ffff | 1 << 24).into()), bits)),
        1 => (any::<u32>(), 17..=48u8)
            .prop_map(|(low, bits)| (IpAddr::V6((0x2002_u128 << 112 | u128::from(u32::from(v4(low))) << 80).into()), bits)),
        // Where 6to4 lies among the other networks.
        1 => (0..4u128, 3..=40u8).prop_map(|(low, bits)| (IpAddr::V6(((0x2000 | low) << 112 | 0x0800_0000_u128 << 80).into()), bits)),
    ];
    any.prop_filter("on the public internet", |client| decides(*client))
}

/// Whether the address of a client subnet decides itself: it is on the public internet, as far as it is known.
fn decides((address, bits): Client) -> bool {
    let client = By::new(Subnet::new(address, bits).as_ref(), IpAddr::V4(v4(0)), &PlacedNetworks::default());
    matches!(client.whose, Whose::Subnet { .. })
}

/// A client that is like another one up to a bit: their networks may overlap.
fn beside((address, _): Client, bit: u8, bits: u8) -> Client {
    match address {
        IpAddr::V4(v4) => (IpAddr::V4((u32::from(v4) ^ 1 << (31 - bit % 32)).into()), bits % 32 + 1),
        IpAddr::V6(v6) => (IpAddr::V6((u128::from(v6) ^ 1 << (127 - bit % 64)).into()), bits % 64 + 1),
    }
}

fn question(name: &str, qtype: &str, client: Client) -> Question {
    let (address, bits) = client;
    let prefix = Prefix::around(address, bits);
    Question::new(name, qtype).subnet(&format!("{}/{bits}", prefix.address()))
}

/// What happens to a target: of all that there are the n-th (and round again).
#[derive(Clone, Debug)]
struct Happens {
    target: prop::sample::Index,
    what: What,
    /// Milliseconds since what happened before.
    after_ms: u16,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Succeeds,
    Fails,
    IsLate,
    CannotBeProbed,
    Reloaded,
}

fn happens() -> impl Strategy<Value = Happens> {
    let what = prop_oneof![
        3 => Just(What::Succeeds),
        4 => Just(What::Fails),
        2 => Just(What::IsLate),
        1 => Just(What::CannotBeProbed),
        1 => Just(What::Reloaded),
    ];
    (any::<prop::sample::Index>(), what, 0..1500u16).prop_map(|(target, what, after_ms)| Happens {
        target,
        what,
        after_ms,
    })
}

fn life() -> impl Strategy<Value = Vec<Happens>> {
    prop::collection::vec(happens(), 0..60)
}

/// The event that it is, now.
fn event(world: &World, happens: &Happens) -> Event {
    let plan = &world.snapshot.plan;
    let target = happens.target.get(&plan.targets);
    let outcome = match happens.what {
        What::Succeeds => Outcome::Succeeded(Duration::from_millis(8)),
        What::Fails => Outcome::Failed(Cause { layer: "connect", what: "refused".into() }),
        What::IsLate => Outcome::Late,
        What::CannotBeProbed => Outcome::Local("no descriptor".into()),
        What::Reloaded => return Event::Loaded(Arc::clone(plan)),
    };
    let started = world.now.checked_sub(Duration::from_millis(20)).unwrap();
    let decided_by = world.now + Duration::from_millis(u64::from(happens.after_ms) * 3);
    Event::Observed(Observation {
        aim: target.aim.clone(),
        seen: Seen { outcome, started, at: world.now, decided_by },
    })
}

/// Lives a life from the time on when everything was up.
fn live(world: &mut World, life: &[Happens]) {
    for happens in life {
        world.after(Duration::from_millis(happens.after_ms.into()));
        world.handle(event(world, happens));
    }
}

fn up(plan: Arc<Plan>) -> World {
    let mut world = World::of(plan);
    world.all_up();
    world
}

fn ask(snapshot: &World, question: &Question) -> Answer {
    question.ask(&snapshot.snapshot, &mut Worker::default(), snapshot.now)
}

fn set(answer: &Answer) -> BTreeSet<IpAddr> {
    answer.addresses().into_iter().collect()
}

/// The network that an answer holds for: ADDRESS, padded with zeros, up to the scope.
fn holds_for(client: Client, answer: &Answer) -> Prefix {
    let (address, bits) = client;
    Prefix::around(Prefix::around(address, bits).address(), answer.scope.unwrap())
}

fn overlap(a: Prefix, b: Prefix) -> bool {
    a.contains(b.address()) || b.contains(a.address())
}

const QTYPES: [&str; 2] = ["A", "AAAA"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    // The scopes of all clients' answers partition the space (but for blocks that are not on the public internet, where the
    // resolver's address decides), and never change with health.
    #[test]
    fn scopes_tile_the_space_and_never_change_with_health(
        setting in setting(), life in life(), qtype in prop::sample::select(&QTYPES[..]),
        clients in prop::collection::vec((client(), any::<u8>(), any::<u8>()), 1..24),
    ) {
        let mut world = up(setting.plan());
        let whole = |(address, bits): Client| (Prefix::around(address, bits).address(), if address.is_ipv4() { 32 } else { 64 });
        let clients = clients.into_iter().flat_map(|(one, bit, bits)| [one, beside(one, bit, bits)]);
        let clients: Vec<Client> = clients.map(whole).filter(|client| decides(*client)).collect();
        let scopes = |world: &World| -> Vec<Prefix> {
            clients.iter().map(|client| {
                holds_for(*client, &ask(world, &question("s.x.test.", qtype, *client)))
            }).collect()
        };
        let before = scopes(&world);
        for (one, other) in before.iter().flat_map(|one| before.iter().map(move |other| (*one, *other))) {
            prop_assert!(one == other || !overlap(one, other), "{} and {}", one, other);
        }
        live(&mut world, &life);
        prop_assert_eq!(before, scopes(&world));
    }

    // RFC 7871 §7.2.1: a steered answer's scope is at least the spread and never 0; a shorter SOURCE does not shorten it.
    #[test]
    fn a_steered_answer_never_holds_for_everybody(setting in setting(), client in client()) {
        let world = up(setting.plan());
        let scope = ask(&world, &question("s.x.test.", "A", client)).scope.unwrap();
        let (v4, v6) = setting.spread;
        let is_6to4 = client.1 >= 15 && matches!(client.0, IpAddr::V6(v6) if v6.segments()[0] == 0x2002);
        let least = if client.0.is_ipv4() { v4 } else if is_6to4 { 16 + v4 } else { v6 };
        prop_assert!(if setting.ecs { scope >= least } else { scope == 0 }, "{} < {}", scope, least);
    }

    // Of answers chosen by the ECS address, from one Snapshot, two with overlapping scopes never differ in their set.
    #[test]
    fn answers_with_overlapping_scopes_have_the_same_set(
        setting in setting(), life in life(), qtype in prop::sample::select(&QTYPES[..]),
        one in client(), near in prop::collection::vec((any::<u8>(), any::<u8>()), 1..12),
    ) {
        let mut world = up(setting.plan());
        live(&mut world, &life);
        let first = ask(&world, &question("s.x.test.", qtype, one));
        for (bit, bits) in near {
            let other = beside(one, bit, bits);
            let second = ask(&world, &question("s.x.test.", qtype, other));
            let decide = setting.ecs && decides(other);
            if decide && overlap(holds_for(one, &first), holds_for(other, &second)) {
                prop_assert_eq!(set(&first), set(&second), "{:?} and {:?}", one, other);
            }
        }
    }

    // The same on private networks of which an operator placed some: where the client's address decides, and where the
    // resolver's does, no answer holds for clients of the other kind that would get another set.
    #[test]
    fn answers_on_private_networks_hold_for_those_alone_who_get_them(
        setting in setting(), own in prop::collection::vec((any::<u32>(), 9..=30u8), 0..4),
        clients in prop::collection::vec((any::<u32>(), 8..=32u8), 2..24),
    ) {
        let network = |low: u32, bits: u8| Prefix::around(IpAddr::V4((10 << 24 | low & 0x00c3_83ff).into()), bits);
        let mut setting = Setting { ecs: true, ..setting };
        for (nth, (low, bits)) in own.into_iter().enumerate() {
            setting.rules.insert(0, (RuleFor::Prefix(network(low, bits)), false, nth % setting.clusters.len()));
        }
        let world = up(setting.plan());
        let answers: Vec<(Prefix, BTreeSet<IpAddr>)> = clients
            .into_iter()
            .map(|(low, bits)| {
                let client = (network(low, bits).address(), bits);
                let answer = ask(&world, &question("s.x.test.", "A", client));
                (holds_for(client, &answer), set(&answer))
            })
            .collect();
        for (one, other) in answers.iter().flat_map(|one| answers.iter().map(move |other| (one, other))) {
            prop_assert!(!overlap(one.0, other.0) || one.1 == other.1, "{:?} and {:?}", one, other);
        }
    }

    // RFC 7871 §7.4: whether a name exists, and has data of a type, never depends on the client.
    #[test]
    fn existence_never_depends_on_the_client(
        setting in setting(), life in life(), clients in prop::collection::vec(client(), 2..8),
    ) {
        let mut world = up(setting.plan());
        live(&mut world, &life);
        for name in NAMES {
            for qtype in ["A", "AAAA", "TXT", "MX", "ANY"] {
                let existence = |question: &Question| {
                    let answer = ask(&world, question);
                    // SERVFAIL stands for data that cannot be given now.
                    let word = answer.status().replace("SERVFAIL", "NOERROR aa");
                    let soa = answer.authorities().iter().any(|line| line.contains(" SOA "));
                    (word, soa)
                };
                let mut all: Vec<_> =
                    clients.iter().map(|client| existence(&question(name, qtype, *client))).collect();
                all.extend(clients.iter().map(|(address, _)| {
                    existence(&Question { peer: *address, ..Question::new(name, qtype) })
                }));
                prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{} {}: {:?}", name, qtype, all);
            }
        }
    }

    // One node less moves only its own clients: who had it keeps the others he had; who had it not keeps his set.
    #[test]
    fn one_node_less_moves_only_its_own_clients(
        setting in setting(), gone in any::<prop::sample::Index>(), clients in prop::collection::vec(client(), 1..32),
    ) {
        let mut world = up(setting.plan());
        let target = gone.get(&world.snapshot.plan.targets).clone();
        let gone = target.aim.key.address;
        let qtype = if gone.is_ipv4() { "A" } else { "AAAA" };
        let sets = |world: &World| -> Vec<BTreeSet<IpAddr>> {
            clients.iter().map(|client| set(&ask(world, &question("s.x.test.", qtype, *client)))).collect()
        };
        let before = sets(&world);
        world.down(&target);
        for (before, after) in before.into_iter().zip(sets(&world)) {
            match before.contains(&gone) {
                true => prop_assert!(before.iter().all(|kept| *kept == gone || after.contains(kept))),
                false => prop_assert_eq!(before, after),
            }
        }
    }

    // With all up no node is more than one slot from its share of its cluster's first places.
    #[test]
    fn with_all_up_no_node_is_more_than_one_slot_from_its_share(setting in setting(), resolver in any::<u32>()) {
        let setting = Setting { answers: 1, sticky: false, ..setting };
        let world = up(setting.plan());
        let mut worker = Worker::default();
        let asked = Question { peer: IpAddr::V4(v4(resolver)), ..Question::new("s.x.test.", "A") };
        let mut slots: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for _ in 0..64 {
            let answer = asked.ask(&world.snapshot, &mut worker, world.now);
            *slots.entry(answer.addresses()[0]).or_default() += 1;
        }
        let one = *slots.keys().next().unwrap();
        let IpAddr::V4(one) = one else { unreachable!() };
        let cluster = usize::from((one.octets()[3] - 1) / 16);
        let weights = &setting.clusters[cluster].2;
        let total: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
        for (node, weight) in weights.iter().enumerate() {
            let address = IpAddr::from([192, 0, 2, (cluster * 16 + node + 1) as u8]);
            let share = 64.0 * f64::from(*weight) / f64::from(total);
            let has = f64::from(slots.get(&address).copied().unwrap_or(0));
            prop_assert!((has - share).abs() < 1.0, "{}: {} slots, share {}", address, has, share);
        }
    }

    // A client that asks for A and AAAA in turn sees each node first as often as one that asks for A alone.
    #[test]
    fn the_order_rotates_for_clients_of_both_families(setting in setting(), client in client()) {
        let world = up(setting.plan());
        let mut worker = Worker::default();
        let mut firsts = |qtypes: &[&str]| -> Vec<IpAddr> {
            (0..24).flat_map(|_| qtypes.iter().map(|qtype| question("s.x.test.", qtype, client)).collect::<Vec<_>>())
                .map(|asked| asked.ask(&world.snapshot, &mut worker, world.now).addresses())
                .filter_map(|addresses| addresses.first().copied().filter(IpAddr::is_ipv4))
                .collect()
        };
        let alone: BTreeSet<IpAddr> = firsts(&["A"]).into_iter().collect();
        let both: BTreeSet<IpAddr> = firsts(&["A", "AAAA"]).into_iter().collect();
        prop_assert_eq!(alone, both);
    }

    // Without a client subnet answers go round all nodes that are up; with one, or sticky, the set stays.
    #[test]
    fn without_a_client_subnet_the_sets_go_round_and_with_one_they_stay(
        setting in setting(), gone in any::<prop::sample::Index>(), client in client(),
    ) {
        let mut world = up(setting.plan());
        let target = gone.get(&world.snapshot.plan.targets).clone();
        world.down(&target);
        let mut worker = Worker::default();
        let mut sets = |question: &Question| -> Vec<BTreeSet<IpAddr>> {
            (0..64).map(|_| set(&question.ask(&world.snapshot, &mut worker, world.now))).collect()
        };
        let by_subnet = sets(&question("s.x.test.", "A", client));
        let same = by_subnet.windows(2).all(|pair| pair[0] == pair[1]);
        prop_assert!(same || !setting.ecs && !setting.sticky);
        let by_resolver = sets(&Question { peer: client.0, ..Question::new("s.x.test.", "A") });
        if setting.sticky {
            prop_assert!(by_resolver.windows(2).all(|pair| pair[0] == pair[1]));
            return Ok(());
        }
        let of = |address: &IpAddr| world.snapshot.plan.targets.iter().find(|target| target.aim.key.address == *address).unwrap().cluster;
        let given: BTreeSet<IpAddr> = by_resolver.into_iter().flatten().collect();
        let Some(first) = given.first() else {
            // An `only` of one node, which is gone.
            prop_assert_eq!(setting.all_down, "\"servfail\"");
            return Ok(());
        };
        let cluster = of(first);
        prop_assert!(given.iter().all(|address| of(address) == cluster), "one cluster, and no other region mixed in");
        let all = world.snapshot.plan.targets.iter().filter(|target| target.cluster == cluster && target.aim.key.address.is_ipv4());
        let alone = setting.clusters[usize::from(cluster.0)].2.len() == 1;
        let living = all.map(|target| target.aim.key.address).filter(|address| alone || *address != target.aim.key.address);
        prop_assert_eq!(given, living.collect::<BTreeSet<_>>());
    }

    // Any list of events replays to the same Snapshot, in whatever batches they come.
    #[test]
    fn a_life_replays_to_the_same_answers(setting in setting(), life in life(), batch in 1..9usize, clients in prop::collection::vec(client(), 1..6)) {
        let plan = setting.plan();
        let mut world = World::of(Arc::clone(&plan));
        let began = world.now;
        let mut publisher = Publisher::new(plan, &[], began);
        let mut snapshot: Option<Snapshot> = None;
        for (nth, happens) in life.iter().enumerate() {
            world.after(Duration::from_millis(happens.after_ms.into()));
            publisher.handle(Event::Tick, world.now);
            let (first, second) = (event(&world, happens), event(&world, happens));
            world.handle(first);
            publisher.handle(second, world.now);
            if nth % batch == 0 {
                snapshot = publisher.publish(world.now).0.or(snapshot);
            }
        }
        world.after(Duration::from_secs(2));
        publisher.handle(Event::Tick, world.now);
        let snapshot = publisher.publish(world.now).0.or(snapshot).unwrap();
        for client in clients {
            for qtype in QTYPES {
                let asked = question("s.x.test.", qtype, client);
                let (one, other) = (ask(&world, &asked), asked.ask(&snapshot, &mut Worker::default(), world.now));
                prop_assert_eq!(one.octets, other.octets);
            }
        }
    }

    // In place equals out of place: no octet of an answer comes from what lies behind the query in the buffer.
    #[test]
    fn what_lies_behind_the_query_in_the_buffer_does_not_matter(
        setting in setting(), client in client(), subnet: bool, behind in any::<[u8; 2]>(), tcp: bool,
    ) {
        let world = up(setting.plan());
        for name in NAMES {
            for qtype in ["A", "AAAA", "TXT", "SOA", "ANY", "AXFR"] {
                let plain = Question { peer: client.0, ..Question::new(name, qtype) };
                let asked = if subnet { question(name, qtype, client) } else { plain };
                let query = asked.octets();
                let transport = if tcp { Transport::Tcp } else { Transport::Udp };
                let answers = behind.map(|octet| {
                    let mut buf = vec![octet; 65_535];
                    buf[..query.len()].copy_from_slice(&query);
                    let worker = &mut Worker::default();
                    match respond(&world.snapshot, worker, at(world.now), &mut buf, query.len(), asked.peer, transport) {
                        Reply::Done(len, _) => buf[..len].to_vec(),
                        reply => panic!("{reply:?}"),
                    }
                });
                prop_assert_eq!(&answers[0], &answers[1]);
                prop_assert_eq!(&answers[0][12..12 + name.len() + 1], &query[12..12 + name.len() + 1]);
            }
        }
    }

    // A doubt is decided no later than it says: no answer that rests on one outlives its date (but for the last second);
    // answers that rest on none have the service's TTL.
    #[test]
    fn no_answer_outlives_the_doubts_it_rests_on(setting in setting(), life in life(), clients in prop::collection::vec(client(), 1..8)) {
        let mut world = up(setting.plan());
        live(&mut world, &life);
        for client in clients {
            for qtype in QTYPES {
                let answer = ask(&world, &question("s.x.test.", qtype, client));
                let served = answer.fact.unwrap().steered;
                let held = world.snapshot.pools.iter().flat_map(|pools| &pools.held);
                let given = set(&answer);
                let dates = held.filter(|held| given.contains(&held.target.aim.key.address)).filter_map(|held| match held.held.verdict {
                    Verdict::Suspect { until } => Some(until),
                    _ => None,
                });
                let expected = dates.min().map_or(TTL_S, |until| (until.saturating_duration_since(world.now).as_secs() as u32).clamp(1, TTL_S));
                for record in &answer.message.answers {
                    prop_assert_eq!(record.ttl, expected, "{:?}", served);
                }
            }
        }
    }
}

/// Names of every kind in these worlds.
const NAMES: [&str; 11] = [
    "s.x.test.",
    "x.test.",
    "one.w.x.test.",
    "two.labels.w.x.test.",
    "alias.x.test.",
    "q.alias.x.test.",
    "nothing.x.test.",
    "host.sub.x.test.",
    "a.old.x.test.",
    "other.test.",
    "w.x.test.",
];

/// The worlds above are what they are meant to be: answers differ by client, and by health.
#[test]
fn a_world_made_up_of_texts_steers() {
    let far = |id: u8| (0, i16::from(id) * 90, vec![1, 1]);
    let fed = [("20.0.0.0/10", "SG"), ("20.32.0.0/16", "BR")];
    let setting = Setting {
        clusters: vec![(1, 103, vec![1, 1]), (-23, -46, vec![1, 1]), far(0)],
        first_lacks_ipv6: None,
        fed: fed.into_iter().map(|(prefix, country)| (Prefix::parse(prefix).unwrap(), country)).collect(),
        rules: Vec::new(),
        spread: (16, 40),
        answers: 2,
        sticky: false,
        ecs: true,
        all_down: "\"serve-all\"",
    };
    let mut world = up(setting.plan());
    let asked = |client: &str| question("s.x.test.", "A", (client.parse().unwrap(), 24));
    let lines = |world: &World, client: &str| answer(world, &asked(client), 0);
    assert_eq!(lines(&world, "20.1.0.0")[1..], ["s.x.test. 20 A 192.0.2.1", "s.x.test. 20 A 192.0.2.2"]);
    assert_eq!(lines(&world, "20.32.0.0")[1..], ["s.x.test. 20 A 192.0.2.17", "s.x.test. 20 A 192.0.2.18"]);
    let target = world.targets("c0/n0", None)[0].clone();
    world.down(&target);
    assert_eq!(lines(&world, "20.1.0.0")[1..], ["s.x.test. 20 A 192.0.2.2"]);
}
