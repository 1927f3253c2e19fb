//! The tls kind, and what is noted of certificates.

use std::time::Duration;

use steerdns::health::check::{Http, Kind, Tls};
use steerdns::health::note::Note;

use crate::web::{Prober, acceptor, certificate, http, ok, probe, roots, tls, web};

const DAY: Duration = Duration::from_secs(86_400);

/// How long the certificate holds that a probe was shown.
fn left(notes: &[Note]) -> Duration {
    match notes {
        [Note::Certificate { left }] => *left,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handshake_with_a_valid_certificate_is_all_that_tls_asks() {
    let valid = certificate(30);
    let to = web(Some(acceptor(&valid, &[])), |_| async { ok("") }).await;
    assert_eq!(probe(Kind::Tls(tls(Some(&roots(&valid))), vec![]), to).await, "succeeded");
    let named = Tls { sni: Some("other.example".into()), ..tls(Some(&roots(&valid))) };
    let other = probe(Kind::Tls(named, vec![]), to).await;
    assert!(other.starts_with("tls: invalid peer certificate"), "{other}");
}

#[tokio::test]
async fn one_of_the_protocols_must_be_chosen() {
    let valid = certificate(30);
    let to = |protocols| web(Some(acceptor(&valid, protocols)), |_| async { ok("") });
    let offer = |word: &str| Kind::Tls(tls(Some(&roots(&valid))), vec![word.into()]);
    assert_eq!(probe(offer("h2"), to(&["http/1.1", "h2"]).await).await, "succeeded");
    assert_eq!(probe(offer("h2"), to(&[]).await).await, "tls: the server chooses none of h2");
    let refused = probe(offer("h2"), to(&["http/1.1"]).await).await;
    assert!(refused.starts_with("tls: received fatal alert"), "{refused}");
}

#[tokio::test]
async fn every_probe_over_tls_notes_how_long_the_certificate_holds() {
    let valid = certificate(30);
    let to = web(Some(acceptor(&valid, &[])), |_| async { ok("alive") }).await;
    let how = tls(Some(&roots(&valid)));
    let refuses = Http { status: vec![(503, 503)], ..http() };
    let kinds = [
        (Kind::Tls(how.clone(), vec![]), "succeeded"),
        (Kind::Https(http(), how.clone()), "succeeded"),
        (Kind::Https(http(), tls(None)), "succeeded"),
        (Kind::Https(refuses, how), "status: status 200"),
    ];
    for (kind, told) in kinds {
        let (outcome, notes) = Prober::new(kind, to).probe().await;
        assert_eq!(outcome, told);
        assert!((DAY * 28..=DAY * 29).contains(&left(&notes)), "{notes:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_a_failure_where_it_is_verified_and_is_noted() {
    let ended = certificate(1);
    let to = web(Some(acceptor(&ended, &[])), |_| async { ok("") }).await;
    let (outcome, notes) = Prober::new(Kind::Tls(tls(Some(&roots(&ended))), vec![]), to).probe().await;
    assert!(outcome.to_lowercase().contains("expired"), "{outcome}");
    assert_eq!(left(&notes), Duration::ZERO);
    let (outcome, notes) = Prober::new(Kind::Tls(tls(None), vec![]), to).probe().await;
    assert_eq!((outcome.as_str(), left(&notes)), ("succeeded", Duration::ZERO));
}
