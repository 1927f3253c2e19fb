//! A world of paths that lose packets and servers that die, in virtual time: what `Rounds` and `Board` make of it.
//!
//! The kernel's part is modelled: a SYN goes again after 1 s, 3 s, 7 s; data after RTT + max(200 ms, 2 RTT), then
//! twice as long each time. Every packet is lost by itself, each way with the same chance; or as was recorded.

#![allow(dead_code, reason = "the example and the tests each use their part")]
#![allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::cluster::{CheckId, ClusterId};
use steerdns::health::board::{Board, Death};
use steerdns::health::check::{Check, HoldDown, Kind};
use steerdns::health::quality::Quality;
use steerdns::health::rounds::{Action, ProbeId, Rounds};
use steerdns::health::target::{Aim, Target, TargetId, TargetKey};
use steerdns::health::verdict::{Cause, Outcome, Verdict};

/// A fixed sequence of chances (splitmix64).
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0.0 ..< 1.0
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn within(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.unit())
    }
}

/// How packets are lost, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Each by itself, with this chance: 0.0 ..= 1.0.
    Even(f64),
    /// As was recorded (tests/data/loss): a bit for each [`RECORDED_EVERY`], set where a packet came. Each server's path begins
    /// somewhere else in it.
    Recorded(&'static [u8]),
}

/// The time that a bit of a recording stands for.
pub(crate) const RECORDED_EVERY: Duration = Duration::from_millis(2);

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Even(chance) => chance.fmt(f),
            Loss::Recorded(_) => f.pad("rec"),
        }
    }
}

/// The path to the servers, and what a probe exchanges over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) loss: Loss,
    pub(crate) rtt: Duration,
    /// Each round trip takes up to so much of itself longer.
    pub(crate) jitter: f64,
    /// The segments of the answer in each exchange after the handshake of TCP: none for a tcp check.
    pub(crate) answers: &'static [u32],
}

pub(crate) const TCP: &[u32] = &[];
pub(crate) const HTTP: &[u32] = &[1];
/// S0, S1 and S2 are three segments; then `connect` and its result.
pub(crate) const RTMP: &[u32] = &[3, 1];

impl Path {
    /// How long a probe takes that starts at `start` on the path's own clock, or `None` where it takes longer than `longest`.
    fn probe(&self, dice: &mut Dice, start: Duration, longest: Duration) -> Option<Duration> {
        let mut took = self.exchange(dice, start, Duration::from_secs(1), 1, longest)?;
        for segments in self.answers {
            let first_wait = self.rtt + (self.rtt * 2).max(Duration::from_millis(200));
            took += self.exchange(dice, start + took, first_wait, *segments, longest)?;
        }
        (took <= longest).then_some(took)
    }

    /// Whether the packet is lost that is sent then.
    fn lost(&self, dice: &mut Dice, at: Duration) -> bool {
        match self.loss {
            Loss::Even(chance) => dice.unit() < chance,
            Loss::Recorded(bits) => {
                let bit = (at.as_micros() / RECORDED_EVERY.as_micros()) as usize % (bits.len() * 8);
                bits[bit / 8] >> (bit % 8) & 1 == 0
            }
        }
    }

    fn exchange(
        &self,
        dice: &mut Dice,
        start: Duration,
        wait: Duration,
        answer: u32,
        longest: Duration,
    ) -> Option<Duration> {
        let (mut sent, mut wait) = (Duration::ZERO, wait);
        while sent <= longest {
            // The question leaves now, the answer's segments half a round trip later: each in a bit of its own.
            let lost = (0..=answer).any(|packet| {
                let way = if packet == 0 { Duration::ZERO } else { self.rtt / 2 };
                self.lost(dice, start + sent + way + RECORDED_EVERY * packet)
            });
            if !lost {
                return Some(sent + self.rtt.mul_f64(1.0 + self.jitter * dice.unit()));
            }
            sent += wait;
            wait *= 2;
        }
        None
    }
}

/// How a server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dying {
    /// It answers nothing.
    Silent,
    /// Its port answers with a reset.
    Refusing,
}

/// The servers, and what steerdns holds of them.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) board: Board,
    pub(crate) deaths: Vec<(TargetId, Death)>,
    /// Starts of probes.
    pub(crate) started: u64,
    /// Doubts begun.
    pub(crate) doubts: u64,
    /// The longest that a doubt outlived its date.
    pub(crate) overdue: Duration,
    /// What is made of it, where somebody asks.
    pub(crate) quality: Option<Quality>,
    check: Arc<Check>,
    began: Instant,
    path: Path,
    died: Vec<Option<(Instant, Dying)>>,
    /// When each was last raised from down.
    raised: Vec<Option<Instant>>,
    rounds: Rounds,
    dice: Dice,
    ends: BinaryHeap<Reverse<End>>,
}

/// How a probe ends, unless its server dies before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: Instant,
    probe: ProbeId,
    ended: Ended,
    server: u32,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Well(Duration),
    Refused,
    Unanswered,
}

pub(crate) fn check(interval_ms: u64, timeout_ms: u64, fall: u32, rise: u32) -> Check {
    let (interval, timeout) = (Duration::from_millis(interval_ms), Duration::from_millis(timeout_ms));
    Check {
        key: "edge".into(),
        kind: Kind::Tcp,
        port: 80,
        interval,
        timeout,
        fall,
        rise,
        hold_down: HoldDown::default(),
    }
}

impl World {
    /// So many servers, all alive, first probed from `now` on.
    pub(crate) fn new(servers: u32, check: Check, path: Path, seed: u64) -> World {
        let now = Instant::now();
        let check = Arc::new(check);
        let targets = (0..servers).map(|n| {
            let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
            let node = format!("node-{n}").into();
            let key = TargetKey { cluster: "sin".into(), node, address, check: check.key.clone() };
            let aim = Arc::new(Aim { key, probe: SocketAddr::new(address, 80), check: check.clone() });
            let cluster = ClusterId(u16::try_from(n / 100).expect("few servers"));
            Target { cluster, node: 0, member: (n % 100) as u8, check: CheckId(0), aim }
        });
        let mut board = Board::default();
        board.load(targets.collect(), now);
        let mut world = World {
            now,
            board,
            deaths: Vec::new(),
            started: 0,
            doubts: 0,
            overdue: Duration::ZERO,
            quality: None,
            check,
            began: now,
            path,
            died: vec![None; servers as usize],
            raised: vec![None; servers as usize],
            rounds: Rounds::new(now),
            dice: Dice(seed),
            ends: BinaryHeap::new(),
        };
        let mut actions = Vec::new();
        world.rounds.load(world.board.aims(), now, &mut actions);
        world.act(actions);
        world
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let end = self.ends.peek().map(|Reverse(end)| end.at);
            let next = [end, self.rounds.wake()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = next.max(self.now);
            let mut actions = Vec::new();
            if end == Some(next) {
                let Reverse(end) = self.ends.pop().expect("peeked");
                self.rounds.ended(end.probe, self.outcome(end.ended), self.now, &mut actions);
            } else {
                self.rounds.tick(self.now, &mut actions);
            }
            self.act(actions);
        }
        self.now = until;
        for id in self.board.ids() {
            if let Verdict::Suspect { until } = self.board.held(id).verdict {
                self.overdue = self.overdue.max(self.now.saturating_duration_since(until));
            }
        }
    }

    /// Packets go another way from now on.
    pub(crate) fn reroute(&mut self, path: Path) {
        self.path = path;
    }

    /// One server dies now.
    pub(crate) fn kill(&mut self, server: u32, dying: Dying) {
        self.kill_at(server, self.now, dying);
    }

    /// One server dies within the next interval.
    pub(crate) fn kill_at_random(&mut self, server: u32, dying: Dying) {
        let at = self.now + self.dice.within(self.check.interval);
        self.kill_at(server, at, dying);
    }

    /// Probes that are under way die with it: what it has not answered by then, it never will.
    fn kill_at(&mut self, server: u32, at: Instant, dying: Dying) {
        self.died[server as usize] = Some((at, dying));
        let ends = std::mem::take(&mut self.ends);
        self.ends = ends.into_iter().map(|Reverse(end)| Reverse(self.fate(end))).collect();
    }

    pub(crate) fn revive(&mut self, server: u32) {
        self.died[server as usize] = None;
    }

    /// From a server's death to the verdict, the last one where an answer still under way raised it once more.
    /// `None` where it was held to be down before.
    pub(crate) fn unseen(&self, server: u32) -> Option<Duration> {
        let (died, _) = self.died[server as usize]?;
        let seen = self.deaths.iter().rfind(|(id, death)| id.0 == server && death.decided >= died);
        seen.map(|(_, death)| death.decided - died)
    }

    /// Whether an answer that was still under way when a server died has raised it from down.
    pub(crate) fn raised_dead(&self, server: u32) -> bool {
        let server = server as usize;
        self.died[server].is_some_and(|(died, _)| self.raised[server] >= Some(died))
    }

    /// Whether a server is held to be down.
    pub(crate) fn down(&self, server: u32) -> bool {
        self.board.held(TargetId(server)).verdict == Verdict::Down
    }

    fn outcome(&self, ended: Ended) -> Outcome {
        match ended {
            Ended::Well(took) => Outcome::Succeeded(took),
            Ended::Refused => Outcome::Failed(Cause { layer: "connect", what: "refused".into() }),
            Ended::Unanswered => Outcome::Failed(Cause { layer: "connect", what: "no answer".into() }),
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { probe, aim, allowed } => {
                    self.started += 1;
                    let server = self.board.find(&aim).expect("on the board").0;
                    let end = self.end(probe, server, allowed);
                    self.ends.push(Reverse(self.fate(end)));
                }
                Action::Withdraw(_) => {}
                Action::Report(observation) => {
                    if let Some(quality) = &mut self.quality {
                        quality.observe(&observation);
                    }
                    let id = self.board.find(&observation.aim).expect("on the board");
                    let before = self.board.held(id).verdict;
                    if let Verdict::Suspect { until } = before {
                        self.overdue = self.overdue.max(self.now.saturating_duration_since(until));
                    }
                    let Some(change) = self.board.observe(id, &observation.seen) else { continue };
                    self.doubts +=
                        u64::from(matches!((change.from, change.to), (Verdict::Up, Verdict::Suspect { .. })));
                    if change.from == Verdict::Down {
                        self.raised[id.0 as usize] = Some(self.now);
                    }
                    self.deaths.extend(change.death.map(|death| (id, death)));
                }
            }
        }
    }

    /// When a probe that starts now ends, and how, if its server lives.
    fn end(&mut self, probe: ProbeId, server: u32, longest: Duration) -> End {
        let deadline = self.now + longest;
        // Far apart: no two paths lose the same packets at once.
        let start = self.now - self.began + Duration::from_millis(7919) * server;
        let (at, ended) = match self.path.probe(&mut self.dice, start, longest) {
            Some(took) => (self.now + took, Ended::Well(took)),
            None => (deadline, Ended::Unanswered),
        };
        End { at, probe, ended, server, deadline }
    }

    /// The same, as the server's death lets it end: an answer that left before it still arrives.
    fn fate(&self, end: End) -> End {
        let left = end.at - self.path.rtt / 2;
        match (end.ended, self.died[end.server as usize]) {
            (Ended::Well(_), Some((died, Dying::Silent))) if left >= died => {
                End { at: end.deadline, ended: Ended::Unanswered, ..end }
            }
            (Ended::Well(_), Some((died, Dying::Refusing))) if left >= died => {
                End { ended: Ended::Refused, ..end }
            }
            _ => end,
        }
    }
}
