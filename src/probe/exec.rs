//! A command that keeps to the contract of Nagios' plugins: its exit status judges, its first line tells why.
#![allow(clippy::disallowed_methods, reason = "starting programs is this shell's work")]

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};
use tokio::sync::Semaphore;

use super::ended::{Ended, Limit};
use super::perfdata;
use crate::health::check::Exec;
use crate::health::note::Note;
use crate::health::target::Aim;
use crate::processes::Group;

const LAYER: &str = "command";
/// Commands of one check that run at once; the others wait, for half of their time at most.
pub(super) const AT_ONCE: usize = 32;
/// So much of what it writes is kept, in octets; the rest is read and forgotten.
const OUTPUT_MAX: usize = 4096;
/// How long what it wrote before its end is waited for, where a process that left its group holds the pipe open.
const REST_WITHIN: Duration = Duration::from_millis(100);
/// A command whose turn came when less than this part of its time was left is not blamed for taking the rest of it.
const WAITED: f64 = 0.9;
/// All that it has of our environment, beside what tells it of the target.
const ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")];

/// Runs the command, and takes its word for it.
pub(super) async fn run(
    aim: &Aim,
    exec: &Exec,
    at_once: &Semaphore,
    notes: &mut Vec<Note>,
    limit: &Limit,
) -> Result<(), Ended> {
    // That no turn came, or late, says nothing of the target.
    let (allowed, busy) = (limit.left(), || ours(&format!("{AT_ONCE} commands of this check run already")));
    let turn = tokio::time::timeout(allowed / 2, at_once.acquire()).await;
    let _turn = turn.map_err(|_| busy())?;
    let has_waited = limit.left() < allowed.mul_f64(WAITED);
    let (status, output) = match limit.step(LAYER, ran(aim, exec)).await {
        Err(Ended::Failed(_)) if has_waited => return Err(busy()),
        ended => ended?,
    };
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().next().unwrap_or_default();
    let (words, perfdata) = line.split_once('|').unwrap_or((line, ""));
    let ended = judge(status, words.trim(), exec.unknown_fails);
    if ended.is_ok() {
        let warns = status.code() == Some(1);
        notes.push(Note::Warning(warns.then(|| super::ended::one_line(words))));
    }
    if let Some(used) = perfdata::share(perfdata, &exec.load) {
        notes.push(Note::Load { used });
    }
    ended
}

/// What an exit status means (Monitoring Plugins Development Guidelines, "Plugin Return Codes").
fn judge(status: ExitStatus, words: &str, unknown_fails: bool) -> Result<(), Ended> {
    let said = |otherwise: String| if words.is_empty() { otherwise } else { words.to_owned() };
    match (status.code(), status.signal()) {
        (Some(0 | 1), _) => Ok(()),
        (Some(2), _) => Err(Ended::at(LAYER, said("critical".into()))),
        (Some(3), _) if unknown_fails => Err(Ended::at(LAYER, said("unknown".into()))),
        // It could not look: what it is for says nothing of the target.
        (Some(3), _) => Err(ours(&said("unknown".into()))),
        // No word of the contract: not found, not executable, a script with a mistake, a crash.
        (Some(code), _) => Err(ours(&format!("the command exits with {code}: {words}"))),
        (None, Some(signal)) => Err(ours(&format!("the command is ended by signal {signal}"))),
        (None, None) => Err(ours("the command has not ended")),
    }
}

fn ours(what: &str) -> Ended {
    Ended::Local(super::ended::one_line(what.trim_end_matches([' ', ':'])))
}

/// Its exit status, and the beginning of what it wrote. Dropped before its end, it takes all its processes with it.
async fn ran(aim: &Aim, exec: &Exec) -> Result<(ExitStatus, Vec<u8>), Ended> {
    let mut child = command(aim, exec).spawn().map_err(|error| {
        let program = exec.command.first().map_or("", String::as_str);
        ours(&format!("`{program}` does not start: {error}"))
    })?;
    let group = Group::led_by(child.id());
    let mut stdout = child.stdout.take().expect("it is piped");
    let (mut output, mut open) = (Vec::new(), true);
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status,
            more = read(&mut stdout, &mut output), if open => open = more.is_ok_and(|more| more),
        }
    };
    let status = status.map_err(|error| ours(&format!("the command cannot be waited for: {error}")))?;
    // What it left running would hold the pipe open.
    drop(group);
    let rest = async { while open && read(&mut stdout, &mut output).await.is_ok_and(|more| more) {} };
    let _ = tokio::time::timeout(REST_WITHIN, rest).await;
    Ok((status, output))
}

fn command(aim: &Aim, exec: &Exec) -> Command {
    let told = told(aim);
    let with = |word: &String| {
        told.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("${{{name}}}"), value))
    };
    let mut words = exec.command.iter();
    // No word of a file's is replaced in the program itself: what runs stands in the file.
    let mut command = std::process::Command::new(words.next().map_or("", String::as_str));
    command.args(words.map(with)).env_clear().envs(ENVIRONMENT);
    command.envs(told.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value)));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own: whatever it starts can be ended with it.
    command.process_group(0);
    Command::from(command)
}

/// What a command is told of the target, in the order of [`VARIABLES`](crate::health::check::VARIABLES); no port: empty.
fn told(aim: &Aim) -> [(&'static str, String); 5] {
    let port = aim.probe.port();
    let values = [
        aim.probe.ip().to_string(),
        if port == 0 { String::new() } else { port.to_string() },
        aim.key.node.to_string(),
        aim.key.cluster.to_string(),
        aim.key.address.to_string(),
    ];
    let mut names = crate::health::check::VARIABLES.into_iter();
    values.map(|value| (names.next().expect("as many names as values"), value))
}

/// Reads once, and keeps what there is room for; `false`: nothing more comes.
async fn read(stdout: &mut ChildStdout, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut octets = [0; OUTPUT_MAX];
    let more = stdout.read(&mut octets).await?;
    let room = OUTPUT_MAX - output.len();
    output.extend_from_slice(&octets[..more.min(room)]);
    Ok(more > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(raw: i32, words: &str) -> String {
        told_of(judge(ExitStatus::from_raw(raw), words, false))
    }

    fn told_of(judged: Result<(), Ended>) -> String {
        match judged {
            Ok(()) => "succeeded".into(),
            Err(Ended::Failed(cause)) => cause.to_string(),
            Err(Ended::Local(what)) => format!("local: {what}"),
        }
    }

    #[test]
    fn exit_statuses_are_those_of_nagios() {
        let exit = |code: i32| code << 8;
        assert_eq!(told(exit(0), "OK"), "succeeded");
        assert_eq!(told(exit(1), "WARNING"), "succeeded");
        assert_eq!(told(exit(2), "disk full"), "command: disk full");
        assert_eq!(told(exit(2), ""), "command: critical");
        assert_eq!(told(exit(3), "no such host"), "local: no such host");
        let fails = judge(ExitStatus::from_raw(exit(3)), "Connection refused", true);
        assert_eq!(told_of(fails), "command: Connection refused");
        assert_eq!(told(exit(127), ""), "local: the command exits with 127");
        assert_eq!(told(11, ""), "local: the command is ended by signal 11");
    }
}
