//! A zone as operators have them, and a question of each kind to it: what benches and allocations are measured with.
#![allow(clippy::disallowed_methods, reason = "time begins somewhere")]

use std::fmt::Write;
use std::sync::Arc;

use steerdns::geo::places::Places;
use steerdns::plan::Plan;
use steerdns::plan::parts::{Parts, Settings};
use steerdns::publisher::Publisher;
use steerdns::snapshot::Snapshot;

use super::zone;

/// What it is, the name, the type, and whether EDNS is spoken.
pub const QUESTIONS: &[(&str, &str, &str, bool)] = &[
    ("static", "web.live.example.com.", "A", false),
    ("static, EDNS", "web.live.example.com.", "A", true),
    ("static, MX with an additional", "live.example.com.", "MX", true),
    ("wildcard", "some.user.play.live.example.com.", "AAAA", true),
    ("alias", "www.live.example.com.", "A", true),
    ("NODATA", "web.live.example.com.", "TXT", true),
    ("NXDOMAIN", "nowhere.live.example.com.", "A", true),
    ("NXDOMAIN, ten labels", "a.b.c.d.e.f.g.live.example.com.", "A", true),
    ("referral", "host.studio.live.example.com.", "A", true),
    ("DNAME", "a.b.old.live.example.com.", "A", true),
    ("ANY", "web.live.example.com.", "ANY", true),
    ("REFUSED", "www.example.org.", "A", true),
];

/// One zone of some thousand names, and nothing steered in it.
pub fn snapshot() -> Snapshot {
    let mut text = String::from(
        "$TTL 300\n\
         @ SOA ns1 hostmaster 7 3600 600 86400 60\n@ NS ns1\n@ NS ns2\n@ MX 10 mail\n\
         ns1 A 192.0.2.1\nns2 A 192.0.2.2\nmail A 192.0.2.25\n\
         web A 192.0.2.80\nweb A 192.0.2.81\nwww CNAME web\n*.play AAAA 2001:db8::1\n\
         studio NS ns1.studio\nstudio NS ns2.studio\nns1.studio A 192.0.2.53\nns2.studio A 192.0.2.54\n\
         old DNAME new\n",
    );
    for host in 0..2000 {
        writeln!(text, "host-{host} A 10.0.{}.{}", host / 250, host % 250).unwrap();
    }
    let settings = Settings { payload_max: 1232, ..Settings::default() };
    let zones = vec![zone("live.example.com.", &text)];
    let plan = Plan::new(Parts { zones, settings, ..Parts::default() }, &Places::nothing()).unwrap();
    let now = std::time::Instant::now();
    Publisher::new(Arc::new(plan), &[], now).publish(now).0.unwrap()
}
