//! explain, dig, `_why`, the status and the news that are logged tell one story: whatever makes the choice differ changes
//! them together.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::asked::Asked;
use steerdns::explain::Explanation;
use steerdns::health::note::Note;
use steerdns::publisher::Turned;
use steerdns::record::Record;
use steerdns::why::why;
use support::ask::{Answer, Question, at};
use support::world::{Files, World};

const SERVICE: &str = "play.live.example.com.";
/// A viewer in Germany.
const CLIENT: &str = "20.2.1.0/24";

const CLUSTERS: &str = r#"
[check.edge]
kind = "tcp"
port = 80
fall = 3
rise = 2
[cluster.fra]
place = [50.11, 8.68]
check = "edge"
[cluster.fra.node]
fra-1 = ["198.51.100.21"]
fra-2 = ["198.51.100.22"]
[cluster.lhr]
place = [51.51, -0.13]
check = "edge"
[cluster.lhr.node]
lhr-1 = ["198.51.100.31"]
[cluster.sin]
place = [1.35, 103.82]
check = "edge"
[cluster.sin.node]
sin-1 = ["192.0.2.11"]
[policy.near]
"#;

fn files() -> Files {
    let mut files = Files::default();
    files.put(
        "steerdns.toml",
        "listen = [\"127.0.0.1:5300\"]\n[geoip]\ndatabases = [\"tests/data/maxmind/GeoLite2-ASN-Test.mmdb\"]\ngeofeeds = [\"own.csv\"]\n",
    );
    files.put("own.csv", "20.2.0.0/16,DE,,,\n");
    files.put("zones/clusters.toml", CLUSTERS);
    files.put("zones/live.example.com.toml", "[service.play]\npolicy = \"near\"\n");
    files.put(
        "zones/live.example.com.zone",
        "$TTL 1h\n@ SOA ns1 h 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n",
    );
    files
}

/// What all of them say of one instant.
struct Story {
    dig: Answer,
    explained: Explanation,
    /// The same with what databases say, as `steerdns explain` shows it.
    shown: String,
    why: Vec<String>,
    status: Value,
    news: Vec<Turned>,
}

fn story(world: &mut World) -> Story {
    let question = Question::new(SERVICE, "A").subnet(CLIENT);
    let dig = question.ask(&world.snapshot, &mut Worker::default(), world.now);

    let query = "name=play.live.example.com&type=A&client=20.2.1.0/24&resolver=192.0.2.53";
    let asked = Asked::parse(query).unwrap();
    let explained = asked.explain(&world.snapshot, Some(&world.geography), &[], world.now).unwrap();

    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    let question = Question { peer, ..Question::new(&format!("_why.{SERVICE}"), "TXT").subnet(CLIENT) };
    let query = question.octets();
    let mut buf = vec![0; 4096];
    let mut worker = Worker::default();
    let mut ask = |worker: &mut Worker| {
        buf[..query.len()].copy_from_slice(&query);
        let (now, len) = (at(world.now), query.len());
        (respond(&world.snapshot, worker, now, &mut buf, len, peer, Transport::Udp), buf.clone())
    };
    let (Reply::Later(later), _) = ask(&mut worker) else { panic!("it waits") };
    worker.why = why(&world.snapshot, &later.query, peer, world.now, &[], |_| None).map(Box::new);
    let (Reply::Done(len, _), told) = ask(&mut worker) else { panic!("it is answered") };
    let why = Answer::read(&told[..len], None);
    assert_eq!(why.scope, dig.scope, "the reason is told with the scope of what it explains");
    let why = why.message.answers.iter().map(|record| record.data.to_string()).collect();

    let record = Record::new(world.now);
    let news = std::mem::take(&mut world.news).into_iter().flat_map(|news| news.turned).collect();
    let shown = asked.shown(&explained);
    Story { dig, shown, explained, why, status: record.status(&world.snapshot, world.now), news }
}

impl Story {
    /// They agree with one another, and all of them say this: which cluster, why, with which addresses, kept how long.
    fn tells(&self, cluster: &str, reason: &str, addresses: &[&str], ttl_s: u32) {
        let given = |mut given: Vec<IpAddr>| {
            given.sort();
            given.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(given(self.dig.addresses()), addresses, "dig");
        assert!(self.dig.message.answers.iter().all(|record| record.ttl == ttl_s), "dig: TTL {ttl_s}");
        let steered = self.dig.fact.unwrap().steered.unwrap();
        assert_eq!(steered.reason.word(), reason, "what is counted");

        let explained = &self.explained;
        assert_eq!((explained.cluster.as_deref(), explained.reason), (Some(cluster), reason), "explain");
        assert_eq!((given(explained.answer.clone()), explained.ttl_s), (given(self.dig.addresses()), ttl_s));
        assert_eq!(Some(explained.scope), self.dig.scope, "explain: scope");
        assert!(self.shown.contains(&format!("answer   {cluster} ({reason})")), "{}", self.shown);

        let answer = format!("answer {cluster} ({reason}) ttl {ttl_s}: ");
        let why = self
            .why
            .iter()
            .find_map(|line| line.strip_prefix(&answer))
            .unwrap_or_else(|| panic!("{:?}", self.why));
        let why = given(why.split(' ').map(|address| address.parse().unwrap()).collect());
        assert_eq!(why, addresses, "_why");
    }

    /// Explain, the reasons by dig, the status and the news say this of a node.
    fn tells_of(&self, node: &str, verdict: &str, cause: Option<&str>) {
        let nodes: Vec<_> = self.explained.list.iter().flat_map(|listed| &listed.nodes).collect();
        let explained = nodes.iter().find(|listed| listed.node == node).unwrap();
        assert_eq!((explained.verdict, &*explained.cause), (verdict, cause.unwrap_or_default()), "explain");

        let line = self.why.iter().find(|line| line.starts_with(&format!("{node} ")));
        match cause {
            Some(cause) => {
                let line = line.unwrap_or_else(|| panic!("{:?}", self.why));
                assert!(line.contains(verdict) && line.ends_with(cause), "_why: {line}");
            }
            None => assert_eq!(line, None, "_why names what fails alone"),
        }

        let clusters = self.status["clusters"].as_array().unwrap();
        let mut targets = clusters.iter().flat_map(|cluster| cluster["targets"].as_array().unwrap());
        let target = targets.find(|target| target["node"] == node).unwrap();
        assert_eq!(target["verdict"], verdict, "status");
        if let Some(cause) = cause {
            assert_eq!(target["cause"], cause, "status");
        }

        if let Some(turned) = self.news.iter().rev().find(|turned| *turned.aim.key.node == *node) {
            assert_eq!(turned.to.word(), verdict, "what is logged");
            let logged = turned.cause.as_ref().map(|logged| logged.to_string());
            assert!(cause.is_none() || logged.as_deref() == cause, "what is logged: {logged:?}");
        }
    }
}

fn running() -> World {
    let mut world = World::start(&files()).unwrap();
    world.all_up();
    world
}

#[test]
fn what_a_node_says_of_itself_is_shown_until_it_says_another_thing() {
    let mut world = running();
    let one = world.targets("fra/fra-1", None)[0].clone();
    let shown = |world: &mut World| {
        // What no answer rests on is shown within a second.
        world.after(Duration::from_secs(1));
        let status = story(world).status;
        let targets = status["clusters"].as_array().unwrap().iter();
        let mut targets = targets.flat_map(|cluster| cluster["targets"].as_array().unwrap().clone());
        let target = targets.find(|target| target["node"] == "fra-1").unwrap();
        ["load", "drain", "warning"].map(|key| target[key].to_string())
    };
    assert_eq!(shown(&mut world), ["null", "false", "null"]);
    world.noted(&one, Note::Load { used: 0.4249 });
    world.noted(&one, Note::Drain(true));
    world.noted(&one, Note::Warning(Some("disk is filling".into())));
    assert_eq!(shown(&mut world), ["0.42", "true", "\"disk is filling\""]);
    world.noted(&one, Note::Drain(false));
    world.noted(&one, Note::Warning(None));
    assert_eq!(shown(&mut world), ["0.42", "false", "null"]);
}

#[test]
fn who_asks_for_no_newcomers_gets_none_while_others_are_there() {
    let mut world = running();
    let [one, two] = ["fra/fra-1", "fra/fra-2"].map(|node| world.targets(node, None)[0].clone());
    let answers = |world: &mut World, cluster: &str, reason: &str, addresses: &[&str]| {
        story(world).tells(cluster, reason, addresses, 20);
    };
    world.noted(&one, Note::Drain(true));
    answers(&mut world, "fra", "first", &["198.51.100.22"]);
    world.noted(&two, Note::Drain(true));
    answers(&mut world, "lhr", "next", &["198.51.100.31"]);
    // Where nobody else is left, they serve yet: they are up.
    for other in ["lhr", "sin"].map(|cluster| world.targets(cluster, None)).concat() {
        world.down(&other);
    }
    answers(&mut world, "fra", "short", &["198.51.100.21", "198.51.100.22"]);
    world.noted(&two, Note::Drain(false));
    answers(&mut world, "fra", "first", &["198.51.100.22"]);
    // An operator's word goes over it.
    world.order("hold-up", "fra/fra-1", None).unwrap();
    answers(&mut world, "fra", "first", &["198.51.100.21", "198.51.100.22"]);
}

#[test]
fn a_death_a_doubt_and_a_recovery_are_told_alike_everywhere() {
    let mut world = running();
    let all_up = story(&mut world);
    all_up.tells("fra", "first", &["198.51.100.21", "198.51.100.22"], 20);
    all_up.tells_of("fra-1", "up", None);
    assert!(all_up.news.iter().all(|turned| turned.to.word() == "up") && all_up.news.len() == 4);

    let [one, two] = ["fra/fra-1", "fra/fra-2"].map(|node| world.targets(node, None)[0].clone());
    world.suspect(&one, Duration::from_secs(7));
    world.after(Duration::from_secs(2));
    let doubt = story(&mut world);
    doubt.tells("fra", "first", &["198.51.100.21", "198.51.100.22"], 5);
    doubt.tells_of("fra-1", "suspect", Some("late: no answer after 10 ms"));
    assert_eq!(doubt.news.len(), 1);
    assert_eq!(doubt.status["clusters"][0]["targets"][0]["decided_within_s"], 5.0);

    world.down(&one);
    let one_dead = story(&mut world);
    one_dead.tells("fra", "first", &["198.51.100.22"], 20);
    one_dead.tells_of("fra-1", "down", Some("connect: refused"));
    assert!(one_dead.news.last().unwrap().death.is_some());

    world.down(&two);
    let both_dead = story(&mut world);
    both_dead.tells("lhr", "next", &["198.51.100.31"], 20);
    both_dead.tells_of("fra-2", "down", Some("connect: refused"));
    both_dead.tells_of("lhr-1", "up", None);

    let quiet = story(&mut world);
    assert!(quiet.news.is_empty(), "nothing happened, nothing is logged");

    world.up(&two);
    let one_back = story(&mut world);
    one_back.tells("fra", "first", &["198.51.100.22"], 20);
    one_back.tells_of("fra-2", "up", None);
    assert_eq!(one_back.news.len(), 1);
}

#[test]
fn a_resort_is_told_alike_everywhere() {
    let mut world = running();
    for target in world.targets("all", None) {
        world.down(&target);
    }
    let all_down = story(&mut world);
    all_down.tells("fra", "serve-all", &["198.51.100.21", "198.51.100.22"], 20);
    assert!(all_down.explained.list.iter().all(|listed| listed.standing == "dead"));
    assert!(all_down.why.iter().any(|line| line.contains("fra") && line.contains("dead 0/2")));
}

#[test]
fn another_policy_is_told_alike_everywhere() {
    let mut world = running();
    let nearest = story(&mut world);
    assert_eq!(nearest.explained.rule, "none: by nearness");

    let mut ruled = files();
    ruled.append(
        "zones/clusters.toml",
        "[[policy.near.rule]]\nfrom = { country = [\"DE\"] }\nprefer = [\"sin\"]\n",
    );
    world.reload(&ruled).unwrap();
    let by_rule = story(&mut world);
    by_rule.tells("sin", "first", &["192.0.2.11"], 20);
    assert_eq!(by_rule.explained.rule, "rule 1 of `near`: prefer sin");
    assert!(by_rule.shown.contains("rule     rule 1 of `near`: prefer sin"), "{}", by_rule.shown);
    assert!(by_rule.why.iter().any(|line| line.starts_with("policy near: sin ")));

    let mut drained = files();
    let with = CLUSTERS.replace(
        "fra-1 = [\"198.51.100.21\"]",
        "fra-1 = { addresses = [\"198.51.100.21\"], override = { verdict = \"drain\", why = \"moving racks\" } }",
    );
    drained.put("zones/clusters.toml", &with);
    world.reload(&drained).unwrap();
    let by_operator = story(&mut world);
    by_operator.tells("fra", "first", &["198.51.100.22"], 20);
    by_operator.tells_of("fra-1", "up", None);
    assert!(by_operator.shown.contains("override drain: moving racks"), "{}", by_operator.shown);
    assert_eq!(by_operator.status["clusters"][0]["targets"][0]["override"]["why"], "moving racks");

    let mut longer = files();
    longer.put(
        "zones/live.example.com.toml",
        "[service.play]\npolicy = \"near\"\nttl = \"45s\"\nanswers = 1\n",
    );
    world.reload(&longer).unwrap();
    let by_service = story(&mut world);
    let one = by_service.dig.addresses()[0].to_string();
    by_service.tells("fra", "first", &[&one], 45);
}
