//! The laws of pacing, in a simulated world: virtual time, seeded chance.

#[path = "../examples/probe_simulation/world.rs"]
mod world;

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use steerdns::health::check::Check;
use steerdns::health::promise::{Detection, PUBLICATION_MAX};
use world::{Dying, HTTP, Loss, Path, RTMP, TCP, World, check};

fn path(loss: f64, rtt_ms: u64, answers: &'static [u32]) -> Path {
    Path { loss: Loss::Even(loss), rtt: Duration::from_millis(rtt_ms), jitter: 0.3, answers }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    // A doubt is decided no later than it says, and no death is unseen for longer than is promised; where the last
    // answer raises the dead, its way here stands for the interval if it is longer.
    #[test]
    fn no_doubt_outlives_its_date_and_no_death_its_promise(
        interval_ms in 100u64..4000,
        timeout_ms in 50u64..4000,
        fall in 1u32..8,
        rise in 1u32..4,
        loss in 0.0f64..0.2,
        rtt_ms in 1u64..1000,
        answers in 0usize..3,
        refusing in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let how = check(interval_ms, timeout_ms, fall, rise);
        let path = path(loss, rtt_ms, [TCP, HTTP, RTMP][answers]);
        let dying = if refusing { Dying::Refusing } else { Dying::Silent };
        prop_assert_eq!(promise_holds(how, path, dying, seed), Ok(()));
    }
}

/// Six servers die three times each.
fn promise_holds(how: Check, path: Path, dying: Dying, seed: u64) -> Result<(), String> {
    let promised = Detection::worst(&how).total() - PUBLICATION_MAX;
    let last_answer = (path.rtt / 2).saturating_sub(how.interval);
    let mut world = World::new(6, how, path, seed);
    for _ in 0..3 {
        world.run(Duration::from_secs(15));
        (0..6).for_each(|server| world.kill_at_random(server, dying));
        world.run(Duration::from_secs(40));
        for server in 0..6 {
            if !world.down(server) {
                return Err(format!("{server} is dead, and not seen at all"));
            }
            let more = if world.raised_dead(server) { last_answer } else { Duration::ZERO };
            if let Some(unseen) = world.unseen(server).filter(|unseen| *unseen > promised + more) {
                return Err(format!("{server} unseen for {unseen:?}, promised {promised:?} + {more:?}"));
            }
            world.revive(server);
        }
    }
    match world.overdue {
        Duration::ZERO => Ok(()),
        overdue => Err(format!("a doubt outlived its date by {overdue:?}")),
    }
}

#[test]
fn a_probe_under_way_at_the_death_does_not_succeed_long_after_it() {
    let path = path(0.160_680_309_096_405_07, 663, HTTP);
    assert_eq!(
        promise_holds(check(957, 1635, 1, 1), path, Dying::Silent, 13_207_483_553_911_932_696),
        Ok(())
    );
}

#[test]
fn the_last_answer_of_the_dead_raises_it_for_no_longer_than_its_way_and_the_timeout() {
    let path = path(0.0, 944, HTTP);
    assert_eq!(
        promise_holds(check(177, 2204, 1, 3), path, Dying::Refusing, 10_738_997_118_200_854_787),
        Ok(())
    );
}

#[test]
fn a_death_right_after_a_rise_is_not_unseen_for_a_start_that_was_missed_while_down() {
    let path = path(0.169_163_395_163_473_26, 953, HTTP);
    assert_eq!(promise_holds(check(687, 2913, 1, 1), path, Dying::Silent, 5_096_148_992_627_678_231), Ok(()));
}

#[test]
fn near_deaths_are_seen_within_three_seconds_and_refused_ports_within_two() {
    for (dying, limit) in [(Dying::Silent, 3.0), (Dying::Refusing, 2.0)] {
        for rtt_ms in [1, 20, 60, 100] {
            let mut world = World::new(60, check(1000, 2500, 5, 5), path(0.0, rtt_ms, TCP), rtt_ms);
            world.run(Duration::from_secs(20));
            (0..60).for_each(|server| world.kill_at_random(server, dying));
            world.run(Duration::from_secs(10));
            for server in 0..60 {
                let unseen = world.unseen(server).expect("seen") + PUBLICATION_MAX;
                assert!(unseen.as_secs_f64() <= limit, "{dying:?} at {rtt_ms} ms: {unseen:?}");
            }
        }
    }
}

#[test]
fn packets_lost_now_and_then_kill_nobody() {
    for answers in [TCP, HTTP, RTMP] {
        let mut world = World::new(20, check(1000, 2500, 5, 5), path(0.05, 20, answers), 3);
        world.run(Duration::from_secs(60));
        let first = world.deaths.len();
        world.run(Duration::from_secs(600));
        assert_eq!(world.deaths.len(), first);
        assert!(world.doubts > 0 && world.started > 12_000);
        assert_eq!(world.overdue, Duration::ZERO);
    }
}

/// Recorded at a firewall that lost these packets (tests/faults/record.rs): a share of all, each by itself; and those that found a
/// narrow link full, for up to 400 ms at a time.
const RECORDED: [(&str, &[u8]); 4] = [
    ("even, 1 %", include_bytes!("data/loss/even-1.bits")),
    ("even, 5 %", include_bytes!("data/loss/even-5.bits")),
    ("even, 10 %", include_bytes!("data/loss/even-10.bits")),
    ("bursts", include_bytes!("data/loss/bursts.bits")),
];

#[test]
fn packets_lost_as_recorded_hold_fewer_than_one_living_address_dead_in_an_hour() {
    for (word, recorded) in RECORDED {
        for (check_word, answers) in [("tcp", TCP), ("http", HTTP), ("rtmp", RTMP)] {
            let path = Path { loss: Loss::Recorded(recorded), ..path(0.0, 20, answers) };
            let mut world = World::new(20, check(1000, 2500, 5, 5), path, 3);
            world.run(Duration::from_secs(60));
            let first = world.deaths.len();
            world.run(Duration::from_secs(360));
            let deaths = world.deaths.len() - first;
            println!(
                "{word}, {check_word}: {} doubts, {deaths} false deaths in 2 address-hours",
                world.doubts
            );
            assert!(deaths < 2, "{word}, {check_word}: {deaths}");
            assert!(world.doubts > 0 && world.started > 7200);
            assert_eq!(world.overdue, Duration::ZERO);
        }
    }
}

#[test]
fn a_region_that_dies_is_no_storm_and_no_doubt_outlives_its_date() {
    let how = check(1000, 2500, 5, 5);
    let in_a_storm = Detection::in_a_storm(&how);
    let mut world = World::new(1500, how, path(0.0, 20, TCP), 5);
    world.run(Duration::from_secs(5));
    (0..1500).for_each(|server| world.kill(server, Dying::Silent));
    let before = world.started;
    for tenth in 1..=80 {
        world.run(Duration::from_millis(100));
        let (saved, a_second) = (2000, 2000 + 1500);
        assert!(world.started - before <= saved + a_second * tenth / 10 + 150);
    }
    assert!((0..1500).all(|server| world.unseen(server).is_some_and(|unseen| unseen <= in_a_storm)));
    assert_eq!(world.overdue, Duration::ZERO);
}
