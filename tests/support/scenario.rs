//! Scenario files: what an operator has, what happens, what is asked, what must be answered.
//!
//! ```text
//! # A comment.
//! with small                        the files of tests/scenarios/worlds/small.txt
//! file zones/clusters.toml          a file, in the lines below it that are indented
//! append zones/clusters.toml        more of it
//! load zones/                       the server runs, and everything is up; without files: those of the repository
//! start                             the same, but nothing was probed yet
//! reload                            the files as they are now, as by SIGHUP
//! down fra/fra-1 gru by edge        so many failures that they are down; `by` a check: by that one alone
//! up …     fail …     succeed …     up again; one failure; one success (`x 3`: three)
//! suspect sin/sin-1 for 3s          a late probe: in doubt, decided within 3 s
//! drain sin/sin-1 for 60s           an operator says so today (`hold-down`, `hold-up`, `clear`, too)
//! canaries fail                     what always answers does not, or does again (`answer`)
//! after 1s                          time passes
//! ask play.live.example.com A ecs 20.2.0.0/16 from 9.9.9.9 tcp do nsid edns 512 chaos turn 1 in order
//!     NOERROR aa scope 16                                  RCODE, flags, for whom
//!     play.live.example.com. 20 A 192.0.2.11               a record; of several addresses the order is not looked at
//!     play.live.example.com. 20 A 1 of 192.0.2.11 192.0.2.12      so many of these, none twice
//!     authority: …    additional: …
//! ```
//!
//! `option 00 01 18 …` in place of `ecs` is the client subnet option octet by octet. Answers are `later` while first
//! outcomes are awaited, `later` with an answer behind it where the cold lane gives one (`_why`), or `nothing`.

#![allow(clippy::disallowed_methods, reason = "shared files are read from the disk")]

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::why::why;

use super::ask::{Answer, Question, at};
use super::world::{Files, World};

/// What is wrong with an answer: all of both sides, in lines.
#[derive(Debug)]
pub struct Differs {
    /// The line of its `ask`, from 1 on.
    pub line: usize,
    /// What was asked.
    pub asked: String,
    /// What the scenario says.
    pub expected: Vec<String>,
    /// What was answered.
    pub actual: Vec<String>,
}

/// What came of a scenario.
#[derive(Debug, Default)]
pub struct Played {
    /// How many questions were asked.
    pub asked: usize,
    /// Answers that differ.
    pub differing: Vec<Differs>,
    /// The scenario as it would stand with the answers that were given.
    pub renewed: String,
}

impl std::fmt::Display for Differs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "line {}: {}", self.line, self.asked)?;
        for (title, lines) in [("expected", &self.expected), ("answered", &self.actual)] {
            writeln!(f, "  {title}")?;
            for line in lines {
                writeln!(f, "      {line}")?;
            }
        }
        Ok(())
    }
}

/// Plays a scenario; `worlds` is where `with` looks. An `Err` says which line of it makes no sense.
pub fn play(text: &str, worlds: &Path) -> Result<Played, String> {
    let mut stage = Stage { files: Files::default(), world: None, worlds };
    let mut played = Played::default();
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let below =
            lines[at + 1..].iter().take_while(|line| line.starts_with(' ') || line.is_empty()).count();
        // Empty lines at the end part it from what follows.
        let below = lines[at + 1..at + 1 + below]
            .iter()
            .rposition(|line| !line.is_empty())
            .map_or(0, |last| last + 1);
        let block = &lines[at + 1..at + 1 + below];
        played.renewed += &format!("{line}\n");
        if line.starts_with("ask ") {
            let differs =
                stage.ask(line, block, at + 1).map_err(|wrong| format!("line {}: {wrong}", at + 1))?;
            played.asked += 1;
            match differs {
                None => played.renewed.extend(block.iter().map(|line| format!("{line}\n"))),
                Some(differs) => {
                    played.renewed.extend(differs.actual.iter().map(|line| format!("    {line}\n")));
                    played.differing.push(differs);
                }
            }
        } else {
            stage.act(line, block).map_err(|wrong| format!("line {}: `{line}`: {wrong}", at + 1))?;
            played.renewed.extend(block.iter().map(|line| format!("{line}\n")));
        }
        at += 1 + below;
    }
    Ok(played)
}

struct Stage<'w> {
    files: Files,
    world: Option<World>,
    worlds: &'w Path,
}

impl Stage<'_> {
    fn act(&mut self, line: &str, block: &[&str]) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let text = || block.iter().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)));
        match words[..] {
            [] => {}
            [comment, ..] if comment.starts_with('#') => {}
            ["with", world] => {
                let path = self.worlds.join(format!("{world}.txt"));
                let text =
                    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                self.shared(&text)?;
            }
            ["file", path] => self.files.put(path, &text().collect::<String>()),
            ["append", path] => self.files.append(path, &text().collect::<String>()),
            ["load", "zones/"] => {
                let mut world = World::start(&self.files)?;
                world.all_up();
                self.world = Some(world);
            }
            ["start"] => self.world = Some(World::start(&self.files)?),
            ["reload"] => self.world.as_mut().ok_or("nothing runs yet")?.reload(&self.files)?,
            ["after", time] => {
                let time = duration(time)?;
                self.world.as_mut().ok_or("nothing runs yet")?.after(time);
            }
            [word @ ("drain" | "hold-down" | "hold-up" | "clear"), target, ref behind @ ..] => {
                let length = match *behind {
                    ["for", length] => Some(duration(length)?),
                    [] => None,
                    _ => return Err("for how long?".into()),
                };
                self.world.as_mut().ok_or("nothing runs yet")?.order(word, target, length)?;
            }
            ["canaries", word @ ("fail" | "answer")] => {
                self.world.as_mut().ok_or("nothing runs yet")?.canaries(word == "answer");
            }
            [what @ ("up" | "down" | "fail" | "succeed" | "suspect"), ref whose @ ..] => {
                self.health(what, whose)?
            }
            _ => return Err("no such thing can be said here".into()),
        }
        Ok(())
    }

    /// The files that several scenarios share.
    fn shared(&mut self, text: &str) -> Result<(), String> {
        let lines: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while at < lines.len() {
            let below =
                lines[at + 1..].iter().take_while(|line| line.starts_with(' ') || line.is_empty()).count();
            self.act(lines[at], &lines[at + 1..at + 1 + below])?;
            at += 1 + below;
        }
        Ok(())
    }

    fn health(&mut self, what: &str, words: &[&str]) -> Result<(), String> {
        let world = self.world.as_mut().ok_or("nothing runs yet")?;
        let behind =
            |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1)).copied();
        let (check, time) = (behind("by"), behind("for"));
        let times: usize = behind("x").map_or(Ok(1), str::parse).map_err(|error| format!("{error}"))?;
        let whose = words.iter().take_while(|word| !["by", "for", "x"].contains(word));
        for whose in whose {
            let targets = world.targets(whose, check);
            if targets.is_empty() {
                return Err(format!("`{whose}` is no target"));
            }
            for target in targets {
                for _ in 0..times {
                    match what {
                        "up" => world.up(&target),
                        "down" => world.down(&target),
                        "fail" => world.fail(&target),
                        "succeed" => world.succeed(&target),
                        _ => world.suspect(&target, duration(time.ok_or("for how long?")?)?),
                    }
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, line: &str, block: &[&str], at: usize) -> Result<Option<Differs>, String> {
        let world = self.world.as_ref().ok_or("nothing runs yet")?;
        let Asked { question, turn, in_order } = asked(line)?;
        let actual = answer(world, &question, turn);
        let expected: Vec<String> =
            block.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let agrees = if in_order { expected == actual } else { agree(&expected, &actual) };
        let differs = Differs { line: at, asked: line.into(), expected, actual };
        Ok((!agrees).then_some(differs))
    }
}

struct Asked {
    question: Question,
    turn: u32,
    in_order: bool,
}

fn asked(line: &str) -> Result<Asked, String> {
    let mut words = line.split_whitespace().skip(1);
    let name = words.next().ok_or("ask what?")?;
    let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
    let mut question = Question::new(&name, words.next().ok_or("of which type?")?);
    let (mut turn, mut in_order) = (0, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` what?"));
        match word {
            "ecs" => question = question.subnet(value()?),
            "from" => question.peer = value()?.parse::<IpAddr>().map_err(|error| error.to_string())?,
            "tcp" => question.transport = Transport::Tcp,
            "do" => {
                question.dnssec_ok = true;
                question.edns = question.edns.or(Some(1232));
            }
            "nsid" => {
                question.nsid = true;
                question.edns = question.edns.or(Some(1232));
            }
            "edns" => question.edns = Some(value()?.parse().map_err(|error| format!("{error}"))?),
            "chaos" => question.qclass = 3,
            "turn" => turn = value()?.parse().map_err(|error| format!("{error}"))?,
            "in" => in_order = value()? == "order",
            "option" => {
                let octets = words.by_ref().map(|octet| u8::from_str_radix(octet, 16));
                question.subnet = Some(octets.collect::<Result<_, _>>().map_err(|error| error.to_string())?);
                question.edns = question.edns.or(Some(1232));
            }
            _ => return Err(format!("`{word}` is nothing that can stand beside a question")),
        }
    }
    Ok(Asked { question, turn, in_order })
}

/// What a server of this world answers, in lines.
pub fn answer(world: &World, question: &Question, turn: u32) -> Vec<String> {
    let query = question.octets();
    let mut buf = vec![0xaa; 70_000];
    buf[..query.len()].copy_from_slice(&query);
    let mut worker = Worker { turns: [turn; 3], ..Worker::default() };
    let transport = question.transport;
    match respond(
        &world.snapshot,
        &mut worker,
        at(world.now),
        &mut buf,
        query.len(),
        question.peer,
        transport,
    ) {
        Reply::Drop | Reply::Limited | Reply::Stream(_) => vec!["nothing".into()],
        Reply::Done(len, fact) => shown(question, &Answer::read(&buf[..len], Some(fact))),
        Reply::Later(_) if world.snapshot.warming => vec!["later".into()],
        Reply::Later(ask) => {
            let why = why(&world.snapshot, &ask.query, question.peer, world.now, &[], |_| None);
            worker.why = why.map(Box::new);
            buf[..query.len()].copy_from_slice(&query);
            let reply = respond(
                &world.snapshot,
                &mut worker,
                at(world.now),
                &mut buf,
                query.len(),
                question.peer,
                transport,
            );
            let mut lines = vec!["later".to_owned()];
            if let Reply::Done(len, _) = reply {
                lines.extend(shown(question, &Answer::read(&buf[..len], None)));
            }
            lines
        }
    }
}

/// An answer in lines. What holds for all of them is looked at here: RFC 7871 §7.2.1, the client subnet comes back as it
/// came, and none where none came.
fn shown(question: &Question, answer: &Answer) -> Vec<String> {
    let mut first = answer.status();
    if let Some(scope) = answer.scope {
        first += &format!(" scope {scope}");
    }
    if let Some(edns) = &answer.message.edns {
        first += if edns.flags().dnssec_ok { " do" } else { "" };
        if let Some(EdnsOption::NSID(nsid)) = edns.option(EdnsCode::NSID) {
            first += &format!(" nsid {}", String::from_utf8_lossy(nsid.as_ref()));
        }
    }
    let understood = !["FORMERR", "BADVERS"].contains(&answer.status().as_str());
    if understood {
        let as_it_came = |option: Vec<u8>| {
            [option[0], option[1], option[2]].into_iter().chain(option[4..].to_vec()).collect::<Vec<u8>>()
        };
        assert_eq!(
            answer.subnet().map(as_it_came),
            question.subnet.clone().map(as_it_came),
            "the client subnet"
        );
        assert_eq!(
            answer.message.edns.is_some(),
            question.edns.is_some(),
            "EDNS in the answer as in the query"
        );
    } else {
        assert_eq!(answer.subnet(), None, "no client subnet back where none was understood");
    }
    let mut lines = vec![first];
    lines.extend(answer.answers());
    lines.extend(answer.authorities().into_iter().map(|line| format!("authority: {line}")));
    lines.extend(answer.additionals().into_iter().map(|line| format!("additional: {line}")));
    lines.into_iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether an answer is as expected; of addresses under one owner the order may differ.
fn agree(expected: &[String], actual: &[String]) -> bool {
    let mut rest: Vec<&String> = actual.iter().collect();
    for line in expected {
        let (fixed, count, members) = match some_of(line) {
            Some(some) => some,
            None => (line.as_str(), 1, vec![]),
        };
        for _ in 0..count {
            let fits = |candidate: &&String| match &members[..] {
                [] => candidate.as_str() == fixed,
                members => candidate.strip_prefix(fixed).is_some_and(|one| members.contains(&one)),
            };
            let Some(at) = rest.iter().position(fits) else { return false };
            // Only addresses may change places.
            if at != 0 && !is_address(rest[at]) {
                return false;
            }
            let taken = rest.remove(at);
            if rest.contains(&taken) {
                return false;
            }
        }
    }
    rest.is_empty()
}

/// `name 20 A 2 of x y z`: what stands before, how many, of which.
fn some_of(line: &str) -> Option<(&str, usize, Vec<&str>)> {
    let (before, members) = line.split_once(" of ")?;
    let (fixed, count) = before.rsplit_once(' ')?;
    Some((&line[..fixed.len() + 1], count.parse().ok()?, members.split(' ').collect()))
}

fn is_address(line: &str) -> bool {
    line.contains(" A ") || line.contains(" AAAA ")
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: `3s`, `500ms`");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        _ => Err(wrong()),
    }
}
