//! Echoes, in network namespaces of their own: with and without the right to send them, and with a firewall that loses some.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

use steerdns::health::check::{Icmp, Kind, Loss};
use steerdns::probe::Memory;
use steerdns::probe::prepared::Prepared;

use super::peer::installed;
use super::{LONG, SHORT, aim, learned, remembering};

/// Set within: what has been arranged.
const WITHIN: &str = "STEERDNS_WITHIN";
const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

fn icmp() -> Kind {
    Kind::Icmp(Icmp { loss: None })
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Whether we are within what a test arranges; if not, the test is run there: in a network namespace with a loopback, where
/// `groups` may send echoes over unprivileged sockets, with or without CAP_NET_RAW.
fn within(test: &str, groups: &str, raw: bool) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        return true;
    }
    let tried = Command::new("unshare").args(["-n", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) || !installed("/usr/sbin/nft", "nftables") {
        assert_ne!(std::env::var("STEERDNS_REQUIRE_PEERS").as_deref(), Ok("1"), "no network namespaces");
        let _ = writeln!(std::io::stderr(), "SKIPPED: needs network namespaces");
        return false;
    }
    let arrange = format!(
        "ip link set lo up && echo '{groups}' >/proc/sys/net/ipv4/ping_group_range && \
         exec {} \"$0\" --exact {test} --nocapture",
        if raw { "" } else { "setpriv --bounding-set=-net_raw --inh-caps=-net_raw" }
    );
    let this = std::env::current_exe().unwrap();
    let ran = Command::new("unshare").args(["-n", "sh", "-c", &arrange]).arg(this).env(WITHIN, "1").output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Loses echo requests for which this rule holds.
fn lose(rule: &str) {
    let rules = format!(
        "add table inet lossy; flush table inet lossy; add chain inet lossy in {{ type filter hook input priority 0; }}; \
         add rule inet lossy in {rule} drop"
    );
    assert!(Command::new("nft").arg(rules).status().unwrap().success());
}

#[tokio::test]
async fn an_echo_comes_back_over_a_raw_socket() {
    if within("icmp::an_echo_comes_back_over_a_raw_socket", "1 0", true) {
        assert_eq!(learned(icmp(), at(V4), LONG).await.0, "succeeded");
        assert_eq!(learned(icmp(), at(V6), LONG).await.0, "succeeded");
    }
}

#[tokio::test]
async fn an_echo_comes_back_over_an_unprivileged_socket() {
    if within("icmp::an_echo_comes_back_over_an_unprivileged_socket", "0 2147483647", false) {
        assert_eq!(learned(icmp(), at(V4), LONG).await.0, "succeeded");
        assert_eq!(learned(icmp(), at(V6), LONG).await.0, "succeeded");
    }
}

#[tokio::test]
async fn without_the_right_to_send_echoes_nothing_is_said_of_the_target() {
    if within("icmp::without_the_right_to_send_echoes_nothing_is_said_of_the_target", "1 0", false) {
        for to in [V4, V6] {
            let told = learned(icmp(), at(to), LONG).await.0;
            assert!(told.starts_with("Local(\"no right to send echoes: "), "{told}");
        }
    }
}

#[tokio::test]
async fn many_echoes_share_a_socket_and_a_lost_one_is_a_failure_of_its_own_target() {
    let name = "icmp::many_echoes_share_a_socket_and_a_lost_one_is_a_failure_of_its_own_target";
    if !within(name, "1 0", true) {
        return;
    }
    lose("ip daddr 127.0.0.13 icmp type echo-request");
    let first = aim(icmp(), at(V4));
    let prepared = std::sync::Arc::new(Prepared::new(&first.check));
    let mut probes = tokio::task::JoinSet::new();
    for host in 1..=60 {
        let prepared = prepared.clone();
        probes.spawn(async move {
            let aim = aim(icmp(), SocketAddr::from(([127, 0, 0, host], 0)));
            let allowed = if host == 13 { SHORT } else { LONG };
            (host, remembering(&aim, &prepared, &Memory::default(), allowed).await.0)
        });
    }
    for (host, told) in probes.join_all().await {
        let expected = if host == 13 { "echo: no answer within 400 ms" } else { "succeeded" };
        assert_eq!(told, expected, "{host}");
    }
}

#[tokio::test]
async fn while_too_many_are_lost_an_echo_that_comes_back_fails_too() {
    if !within("icmp::while_too_many_are_lost_an_echo_that_comes_back_fails_too", "1 0", true) {
        return;
    }
    let aim = aim(Kind::Icmp(Icmp { loss: Some(Loss { max: 0.2, window: 10 }) }), at(V4));
    let (prepared, memory) = (Prepared::new(&aim.check), Memory::default());
    let probe = |allowed| remembering(&aim, &prepared, &memory, allowed);
    for _ in 0..7 {
        assert_eq!(probe(LONG).await.0, "succeeded");
    }
    lose("icmp type echo-request");
    for _ in 0..3 {
        assert_eq!(probe(SHORT).await.0, "echo: no answer within 400 ms");
    }
    lose("ip daddr 127.0.0.2");
    for _ in 0..7 {
        assert_eq!(probe(LONG).await.0, "echo: loss 30 % of the last 10");
    }
    assert_eq!(probe(LONG).await.0, "succeeded", "the first of the lost ones is forgotten");
}

#[tokio::test]
async fn a_withdrawn_echo_is_a_lost_one() {
    if !within("icmp::a_withdrawn_echo_is_a_lost_one", "1 0", true) {
        return;
    }
    let aim = aim(Kind::Icmp(Icmp { loss: Some(Loss { max: 0.2, window: 5 }) }), at(V4));
    let (prepared, memory) = (Prepared::new(&aim.check), Memory::default());
    lose("icmp type echo-request");
    for _ in 0..4 {
        let withdrawn = remembering(&aim, &prepared, &memory, LONG);
        assert!(tokio::time::timeout(SHORT / 4, withdrawn).await.is_err());
    }
    lose("ip daddr 127.0.0.2");
    assert_eq!(remembering(&aim, &prepared, &memory, LONG).await.0, "echo: loss 80 % of the last 5");
}
