//! `steerdns drill --real`: begins a drill on the running server, and measures what follows from outside.
#![allow(clippy::disallowed_methods)] // It measures.

use std::io::{self, BufRead, IsTerminal, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::drill::Format;
use super::drill_ask::{Question, Resolver};
use super::{Config, failed, orders, said};
use crate::admin::control;
use crate::files::show;
use crate::health::overrides::Selector;
use crate::load;
use crate::server::drilling::{Asked, LOOK_EVERY, Request};
use crate::steering::slots::SLOTS;

/// How long nodes are waited for once the drill is over, and no longer.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// A drill on the running server.
#[derive(Debug, clap::Args)]
pub(super) struct Real {
    /// On the running server: the nodes of --kill fail at the probe, and the time until they leave the answers is measured
    #[arg(long, requires = "kill", conflicts_with_all = ["worst", "down", "live", "fail_if_unanswered", "fail_if_moved", "fail_if_over_capacity"])]
    real: bool,
    /// For how long, at most 10m
    #[arg(long = "for", value_name = "TIME", default_value = "60s", requires = "real")]
    length: String,
    /// Do not ask whether it is meant
    #[arg(long, requires = "real")]
    yes: bool,
    /// Even if services would be left without an answer
    #[arg(long, requires = "real")]
    force: bool,
}

/// What was measured: seconds since the drill began.
#[derive(Debug, Serialize)]
struct Report {
    /// What failed.
    kill: Vec<String>,
    /// What of it was in no answer when it began: of that nothing is measured.
    not_in_answers: Vec<String>,
    /// Whether all went as it should: out of the answers within the TTL, and nobody without an answer.
    passed: bool,
    /// What did not, in words.
    faults: Vec<String>,
    /// The least TTL of the services concerned.
    ttl_s: Option<u64>,
    /// When the last target was suspect.
    suspect_s: Option<f64>,
    /// When the last verdict fell.
    down_s: Option<f64>,
    /// When the last address had left the answers, by the server's own view.
    removed_s: Option<f64>,
    /// When an answer last held one of the addresses, as seen over DNS.
    last_answer_s: Option<f64>,
    /// When no cache holds it any more that heeds the TTL.
    last_cached_s: Option<f64>,
    /// When the drill ended, and why.
    ended_s: Option<f64>,
    ended: Option<String>,
    /// How long after the end the last node was back in the answers.
    recovery_s: Option<f64>,
    /// Questions that were asked over DNS, and those of them without an answer.
    asked: u64,
    unanswered: u64,
    /// Question by question.
    questions: Vec<Asking>,
}

/// A question, and what was seen of its answers.
#[derive(Debug, Serialize)]
struct Asking {
    name: String,
    r#type: &'static str,
    client: Option<String>,
    /// Whether its answer held one of the addresses before the drill began.
    seen: bool,
    asked: u64,
    unanswered: u64,
    last_answer_s: Option<f64>,
    last_cached_s: Option<f64>,
    #[serde(skip)]
    question: Question,
}

impl Real {
    pub(super) fn is_wanted(&self) -> bool {
        self.real
    }

    pub(super) fn run(&self, config: &Config, kill: &[Selector], format: Format) -> ExitCode {
        let server = match load::server(&config.config) {
            Ok(server) => server,
            Err(issues) => return failed(show::issues(&issues, show::Format::Full)),
        };
        let socket = control::socket(&server.state);
        let kill = kill.iter().map(ToString::to_string).collect();
        let request = Request {
            kill,
            length: self.length.clone(),
            who: orders::logged_in(),
            force: self.force,
            dry: true,
        };
        match super::wait(self.drill(&socket, request)) {
            Ok(Ok(report)) => {
                said(match format {
                    Format::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
                    Format::Text | Format::Markdown => report.text(),
                });
                if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Ok(Err(what)) | Err(what) => failed(what),
        }
    }

    async fn drill(&self, socket: &Path, request: Request) -> Result<Report, String> {
        let socket = Socket(socket.to_owned());
        let dry = socket.ask(&Asked::Begin(request.clone())).await?;
        if !self.yes && !is_meant(&dry, &self.length)? {
            return Err("nothing is done".into());
        }
        // Not before the question: while that waits, Ctrl-C ends the program.
        let mut end = Signals::new()?;
        let mut watching = Watching::new(&dry)?;
        tokio::select! {
            () = watching.see() => {}
            () = end.received() => return Err("nothing is done".into()),
        }
        let told = socket.ask(&Asked::Begin(Request { dry: false, ..request })).await?;
        watching.began = Instant::now();
        let id = told["id"].as_u64().ok_or("the server does not say which drill it is")?;
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut look, mut interrupted) = (Value::Null, false);
        loop {
            let turn = async {
                tick.tick().await;
                watching.ask(look["state"] == "over").await;
                socket.ask(&Asked::Look(id)).await
            };
            // A server that is slow to answer delays no end.
            let seen = tokio::select! {
                told = turn => told?,
                () = end.received() => {
                    interrupted = true;
                    socket.ask(&Asked::End(id)).await?
                }
            };
            look = seen;
            let seconds = |key: &str| look[key].as_f64();
            let waited = seconds("elapsed_s").zip(seconds("ended_s")).map(|(now, ended)| now - ended);
            let is_late = waited.is_some_and(|waited| waited > RECOVERY_MAX.as_secs_f64());
            if interrupted || look["state"] == "over" && (is_back(&look) || is_late) {
                return Ok(watching.report(&told, &look, interrupted));
            }
        }
    }
}

/// The control socket.
struct Socket(PathBuf);

impl Socket {
    async fn ask(&self, asked: &Asked) -> Result<Value, String> {
        let body = serde_json::to_string(asked).unwrap_or_default();
        let told = control::ask(&self.0, "POST", "/drill", body).await;
        let told = told.map_err(|error| {
            format!("no server answers on `{}` ({error}): does it run, with this --config?", self.0.display())
        })?;
        serde_json::from_str(&told?).map_err(|_| "the server's answer is no JSON".into())
    }
}

/// Ctrl-C, and SIGTERM: both end the drill.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, String> {
        let unheard = |error: io::Error| format!("signals cannot be received: {error}");
        let of = |kind| signal(kind).map_err(unheard);
        Ok(Signals { interrupt: of(SignalKind::interrupt())?, term: of(SignalKind::terminate())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// The words that the server tells under a key.
fn words(told: &Value, key: &str) -> Vec<String> {
    told[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Asks on the terminal whether it is meant.
fn is_meant(dry: &Value, length: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("nobody is there to ask whether it is meant: use --yes".into());
    }
    let services = dry["services"].as_array().map_or(0, Vec::len);
    eprintln!(
        "{} will fail at the probe for {length}; {services} services use them",
        words(dry, "nodes").join(", ")
    );
    for other in words(dry, "not_in_answers") {
        eprintln!("{other} is not in answers: nothing is measured of it");
    }
    if !words(dry, "left").is_empty() {
        eprintln!("clients of {} will be left WITHOUT AN ANSWER", words(dry, "left").join(", "));
    }
    eprint!("go on? [yes/no] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim() == "yes")
}

/// Whether all addresses that left the answers are back, and all targets that fell.
fn is_back(look: &Value) -> bool {
    let all = |key: &str, gone: &str, back: &str| {
        let of = look[key].as_array();
        of.is_some_and(|of| of.iter().all(|one| one[gone].is_null() || !one[back].is_null()))
    };
    all("addresses", "removed_s", "back_s") && all("targets", "down_s", "up_s")
}

/// What is asked over DNS while the drill runs.
struct Watching {
    began: Instant,
    felled: Vec<IpAddr>,
    resolver: Resolver,
    asking: Vec<Asking>,
}

impl Watching {
    fn new(told: &Value) -> Result<Watching, String> {
        let each = |key: &str| told[key].as_array().cloned().unwrap_or_default();
        let parsed = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
        let at = told["asked_at"].as_str().and_then(|at| at.parse::<SocketAddr>().ok());
        let at = at.ok_or("the server does not say where it answers")?;
        let asking = |told: &Value| {
            let question = Question::of(told)?;
            Some(Asking {
                name: question.name.to_string(),
                r#type: if told["type"] == "A" { "A" } else { "AAAA" },
                client: question.client.clone(),
                seen: false,
                asked: 0,
                unanswered: 0,
                last_answer_s: None,
                last_cached_s: None,
                question,
            })
        };
        Ok(Watching {
            began: Instant::now(),
            felled: each("addresses").iter().filter_map(parsed).collect(),
            resolver: Resolver::new(at),
            asking: each("questions").iter().filter_map(asking).collect(),
        })
    }

    /// Asks each question until its answer holds what will fail. For resolvers sets move on from answer to answer: each has its turn.
    async fn see(&mut self) {
        for asking in &mut self.asking {
            for _ in 0..SLOTS {
                let Some(answer) = self.resolver.ask(&asking.question).await else { break };
                asking.seen = answer.addresses.iter().any(|address| self.felled.contains(address));
                if asking.seen {
                    break;
                }
            }
        }
    }

    /// Asks all questions once. Once the drill is over, only whether they are answered counts.
    async fn ask(&mut self, is_over: bool) {
        for asking in &mut self.asking {
            let answer = self.resolver.ask(&asking.question).await;
            asking.asked += 1;
            let Some(answer) = answer else {
                asking.unanswered += 1;
                continue;
            };
            if !is_over && answer.addresses.iter().any(|address| self.felled.contains(address)) {
                let now_s = self.began.elapsed().as_secs_f64();
                asking.last_answer_s = Some(now_s);
                let cached_s = now_s + f64::from(answer.ttl_s);
                asking.last_cached_s = Some(asking.last_cached_s.map_or(cached_s, |last| last.max(cached_s)));
            }
        }
    }

    fn report(self, told: &Value, look: &Value, interrupted: bool) -> Report {
        let all = |list: &str, key: &str| {
            let of = look[list].as_array().cloned().unwrap_or_default();
            let values: Option<Vec<f64>> = of.iter().map(|one| one[key].as_f64()).collect();
            values.and_then(|values| values.into_iter().max_by(f64::total_cmp))
        };
        let most = |of: fn(&Asking) -> Option<f64>| self.asking.iter().filter_map(of).max_by(f64::total_cmp);
        let (removed_s, last_answer_s) = (all("addresses", "removed_s"), most(|asking| asking.last_answer_s));
        let ended_s = look["ended_s"].as_f64();
        let ttls = told["services"].as_array().cloned().unwrap_or_default();
        let ttl_s = ttls.iter().filter_map(|service| service["ttl_s"].as_u64()).min();
        let unanswered = self.asking.iter().map(|asking| asking.unanswered).sum();
        let mut report = Report {
            kill: words(told, "kill"),
            not_in_answers: words(told, "not_in_answers"),
            passed: false,
            faults: Vec::new(),
            ttl_s,
            suspect_s: all("targets", "suspect_s"),
            down_s: all("targets", "down_s"),
            removed_s,
            last_answer_s,
            last_cached_s: most(|asking| asking.last_cached_s),
            ended_s,
            ended: look["why"].as_str().map(str::to_owned),
            recovery_s: all("addresses", "back_s").zip(ended_s).map(|(back, ended)| back - ended),
            asked: self.asking.iter().map(|asking| asking.asked).sum(),
            unanswered,
            questions: self.asking,
        };
        report.judge(interrupted);
        report
    }
}

impl Report {
    fn judge(&mut self, interrupted: bool) {
        let mut faults = Vec::new();
        let ttl_s = self.ttl_s.unwrap_or(0) as f64;
        match self.removed_s {
            None => faults.push("not every address left the answers".to_owned()),
            Some(removed) if removed > ttl_s => {
                faults.push(format!(
                    "the last address left the answers after {removed:.1} s: the TTL is {ttl_s} s"
                ));
            }
            Some(_) => {}
        }
        if let Some(last) = self.last_answer_s.filter(|last| *last > ttl_s) {
            faults.push(format!("an answer held a dead node after {last:.1} s: the TTL is {ttl_s} s"));
        }
        if self.unanswered > 0 {
            faults.push(format!("{} of {} questions had no answer", self.unanswered, self.asked));
        }
        if self.asked == 0 {
            faults.push("no client was found who gets these nodes: nothing was seen over DNS".into());
        } else if self.last_answer_s.is_none() && !self.questions.iter().any(|asking| asking.seen) {
            faults.push("no answer ever held one of these addresses: nothing was seen over DNS".into());
        }
        if interrupted {
            faults.push("it was ended before its time".into());
        } else if self.recovery_s.is_none() {
            faults.push(format!("not every node came back within {} s", RECOVERY_MAX.as_secs()));
        }
        self.passed = faults.is_empty();
        self.faults = faults;
    }

    fn text(&self) -> String {
        let seconds = |of: Option<f64>| of.map_or("-".into(), |of| format!("{of:.2} s"));
        let ttl = self.ttl_s.map_or("-".into(), |ttl| format!("{ttl} s"));
        let mut out = format!("drill of {}\n", self.kill.join(", "));
        for (what, value) in [
            ("in doubt", seconds(self.suspect_s)),
            ("held to be down", seconds(self.down_s)),
            ("out of the answers, as the server says", seconds(self.removed_s)),
            ("last answer with it, as DNS says", seconds(self.last_answer_s)),
            ("out of every cache that heeds the TTL", seconds(self.last_cached_s)),
            ("the least TTL of its services", ttl),
            ("back in the answers after the end", seconds(self.recovery_s)),
            ("questions, and those without an answer", format!("{}, {}", self.asked, self.unanswered)),
        ] {
            out += &format!("  {what:<42} {value}\n");
        }
        for other in &self.not_in_answers {
            out += &format!("not in answers: {other}\n");
        }
        for fault in &self.faults {
            out += &format!("FAILED: {fault}\n");
        }
        out + if self.passed { "passed\n" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_drill_whose_nodes_no_answer_ever_held_has_failed() {
        let questions = json!([{ "name": "play.example.", "type": "A" }]);
        let told = json!({ "asked_at": "127.0.0.1:53", "questions": questions });
        let look = json!({
            "addresses": [{ "removed_s": 1.0, "back_s": 12.0 }], "targets": [], "ended_s": 10.0,
        });
        let faults = |seen: bool, last_answer_s: Option<f64>| {
            let mut watching = Watching::new(&told).unwrap();
            let asking = &mut watching.asking[0];
            (asking.asked, asking.seen, asking.last_answer_s) = (9, seen, last_answer_s);
            watching.report(&json!({ "services": [{ "ttl_s": 5 }] }), &look, false).faults
        };
        assert!(faults(true, None).is_empty() && faults(false, Some(0.5)).is_empty());
        let never = "no answer ever held one of these addresses: nothing was seen over DNS";
        assert_eq!(faults(false, None), [never]);
    }
}
