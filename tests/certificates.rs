//! Certificates that come to their end: told once, shown as long as they do, and told once more when they are renewed.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use steerdns::health::note::Note;
use steerdns::publisher::{CertificateNews, Event};
use steerdns::record::Record;
use support::world::{Files, World};

const DAY: Duration = Duration::from_secs(86_400);

const CLUSTERS: &str = r#"
[check.edge]
kind = "https"
expires_within = "10d"
[cluster.fra]
place = [50.11, 8.68]
check = "edge"
[cluster.fra.node]
fra-1 = ["198.51.100.21"]
[policy.everywhere]
"#;

fn world() -> World {
    let mut files = Files::default();
    files.put("steerdns.toml", "listen = [\"127.0.0.1:5300\"]\n");
    files.put("zones/clusters.toml", CLUSTERS);
    files.put(
        "zones/live.example.com.zone",
        "$TTL 1h\n@ SOA ns1 h 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n",
    );
    files.put(
        "zones/live.example.com.toml",
        "[service.play]\npolicy = \"everywhere\"\ncheck = \"edge\"\nttl = \"20s\"\n",
    );
    World::start(&files).unwrap()
}

/// A probe is shown a certificate of which so much is left; what is told of it.
fn shown(world: &mut World, left: Duration) -> Vec<CertificateNews> {
    world.news.clear();
    let aim = world.targets("fra", None)[0].aim.clone();
    world.handle(Event::Noted(aim, Note::Certificate { left }));
    world.news.iter().flat_map(|news| news.certificates.clone()).collect()
}

/// What status and metrics show of it.
fn seen(world: &World) -> (Value, Value, Option<String>) {
    let record = Record::new(world.now);
    let status = record.status(&world.snapshot, world.now);
    let target = &status["clusters"][0]["targets"][0];
    let text = record.exposition(&world.snapshot, world.now).into_text();
    let metric = text.lines().find_map(|line| line.strip_prefix("steerdns_certificate_expiry_seconds{"));
    (
        target["certificate_days_left"].clone(),
        target["certificate_ends_soon"].clone(),
        metric.map(ToOwned::to_owned),
    )
}

fn metric(seconds: u64) -> Option<String> {
    Some(format!(r#"cluster="fra",node="fra-1",address="198.51.100.21",check="edge"}} {seconds}"#))
}

#[test]
fn its_end_is_told_when_it_comes_near_and_its_renewal_when_it_is_there() {
    let mut world = world();
    assert_eq!(seen(&world), (Value::Null, Value::Null, None), "nothing was shown yet");

    assert_eq!(shown(&mut world, DAY * 11), []);
    assert_eq!(seen(&world), (json!(11), json!(false), metric(11 * 86_400)));

    world.after(DAY + DAY / 2);
    let aim = world.targets("fra", None)[0].aim.clone();
    let near = CertificateNews { aim: Arc::clone(&aim), left: DAY * 9 + DAY / 2, renewed: false };
    assert_eq!(shown(&mut world, DAY * 9 + DAY / 2), [near]);
    assert_eq!(seen(&world), (json!(9), json!(true), metric(9 * 86_400 + 43_200)));
    assert_eq!(shown(&mut world, DAY * 9 + DAY / 2), [], "once");

    world.after(DAY);
    assert_eq!(shown(&mut world, DAY * 8 + DAY / 2), [], "once");
    assert_eq!(seen(&world).0, json!(8), "what is left goes on shrinking");

    let renewed = CertificateNews { aim, left: DAY * 90, renewed: true };
    assert_eq!(shown(&mut world, DAY * 90), [renewed]);
    assert_eq!(seen(&world), (json!(90), json!(false), metric(90 * 86_400)));
}

#[test]
fn what_is_shown_again_makes_no_new_answers() {
    let mut world = world();
    shown(&mut world, DAY * 30);
    let before = world.snapshot.pools[0].clone();
    world.after(Duration::from_secs(1));
    shown(&mut world, DAY * 30 - Duration::from_secs(1));
    assert!(Arc::ptr_eq(&before, &world.snapshot.pools[0]));
}

#[test]
fn a_verdict_is_none_of_its_business() {
    let mut world = world();
    let target = world.targets("fra", None)[0].clone();
    world.up(&target);
    world.news.clear();
    shown(&mut world, Duration::ZERO);
    assert!(world.news.iter().all(|news| news.turned.is_empty()));
    assert_eq!(seen(&world).1, json!(true));
}
