//! Commands: Debian's monitoring plugins, and scripts that fork, hang, flood and crash.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use steerdns::health::check::{Exec, Kind};
use steerdns::health::note::Note;
use steerdns::probe::prepared::Prepared;
use steerdns::probe::{Memory, once};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::peer::installed;
use super::{LONG, SHORT, aim, learned};

fn exec(words: &[&str]) -> Kind {
    Kind::Exec(Exec {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        load: "load".into(),
        unknown_fails: false,
    })
}

fn shell(script: &str) -> Kind {
    exec(&["/bin/sh", "-c", script])
}

fn somewhere() -> SocketAddr {
    "127.0.0.1:1935".parse().unwrap()
}

#[tokio::test]
async fn the_exit_status_judges_and_the_first_line_tells_why() {
    let local = |what: &str| format!("Local({what:?})");
    let cases = [
        ("echo all is well", "succeeded".into(), vec![Note::Warning(None)]),
        (
            "echo 'disk is filling | load=37%;;;;'; exit 1",
            "succeeded".into(),
            vec![Note::Warning(Some("disk is filling".into())), Note::Load { used: 0.37 }],
        ),
        ("echo CRITICAL - refused; echo more; exit 2", "command: CRITICAL - refused".into(), vec![]),
        ("exit 2", "command: critical".into(), vec![]),
        ("echo no such host; exit 3", local("no such host"), vec![]),
        ("exit 77", local("the command exits with 77"), vec![]),
        ("kill -9 $$", local("the command is ended by signal 9"), vec![]),
    ];
    for (script, told, notes) in cases {
        assert_eq!(learned(shell(script), somewhere(), LONG).await, (told, notes), "{script}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_says_nothing_of_the_target() {
    let told = learned(exec(&["/no/such/program"]), somewhere(), LONG).await.0;
    assert!(told.starts_with("Local(\"`/no/such/program` does not start: "), "{told}");
}

#[tokio::test]
async fn a_command_knows_the_target_by_its_environment_and_by_its_arguments() {
    let script = "echo $TARGET $PORT $NODE $CLUSTER $ADDRESS $1 ${HOME-homeless}; exit 2";
    let words = exec(&["/bin/sh", "-c", script, "sh", "${TARGET}:${PORT}"]);
    let told = learned(words, somewhere(), LONG).await.0;
    assert_eq!(told, "command: 127.0.0.1 1935 sin-1 sin 192.0.2.11 127.0.0.1:1935 homeless");
    let no_port = learned(shell("exit ${PORT+2}"), "127.0.0.1:0".parse().unwrap(), LONG).await.0;
    assert_eq!(no_port, "succeeded", "no port is no variable");
}

#[tokio::test]
async fn a_flood_of_words_is_cut_and_no_obstacle() {
    let told = learned(shell("yes evil | head -c 3000000; exit 2"), somewhere(), LONG).await.0;
    assert_eq!(told, "command: evil");
    let long = learned(shell("yes x | head -c 3000000 | tr -d '\\n'; exit 2"), somewhere(), LONG).await.0;
    assert_eq!(long.len(), "command: ".len() + 160);
}

/// A script that writes the numbers of its processes into a file of the directory, one a line.
fn script(directory: &TempDir, text: &str) -> Kind {
    let path = directory.path().join("probe");
    std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", directory.path().display())).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    // The shell is run, not the file: another test's child may hold it open for writing while it forks.
    exec(&["/bin/sh", path.to_str().unwrap()])
}

const FORKS_AND_HANGS: &str = "echo $$ >>pids\n(echo $(exec sh -c 'echo $PPID') >>pids; sleep 1000) &\n\
                               sleep 1000 & echo $! >>pids\ntouch ready\nwait";

/// The processes that it wrote down.
fn pids(directory: &TempDir) -> Vec<u32> {
    let text = std::fs::read_to_string(directory.path().join("pids")).unwrap();
    text.lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Waits until none of these is there any more, not even as a zombie of ours. What is nobody's child is reaped by init, where
/// there is one that does it: so a dead one of those is gone, too.
async fn gone(pids: &[u32]) {
    let begun = Instant::now();
    let ours = std::process::id().to_string();
    let there = |pid: &u32| {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let mut fields = stat.rsplit(") ").next().unwrap().split(' ');
        let (state, parent) = (fields.next().unwrap(), fields.next().unwrap());
        state != "Z" || parent == ours
    };
    while pids.iter().any(there) {
        assert!(begun.elapsed() < LONG, "{pids:?} are not gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn at_the_deadline_all_that_a_command_started_is_ended_and_no_zombie_stays() {
    let directory = tempfile::tempdir().unwrap();
    let kind = script(&directory, FORKS_AND_HANGS);
    let allowed = Duration::from_secs(2);
    assert_eq!(learned(kind, somewhere(), allowed).await.0, "command: no answer within 2000 ms");
    let pids = pids(&directory);
    assert_eq!(pids.len(), 3, "it had forked");
    gone(&pids).await;
}

#[tokio::test]
async fn a_withdrawn_probe_takes_all_that_its_command_started_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let aim = aim(script(&directory, FORKS_AND_HANGS), somewhere());
    let running = tokio::spawn(async move {
        let (prepared, memory) = (Prepared::new(&aim.check), Memory::default());
        once(&aim, &prepared, &memory, LONG).await
    });
    let begun = Instant::now();
    while !directory.path().join("ready").exists() || pids(&directory).len() < 3 {
        assert!(begun.elapsed() < LONG, "it does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    gone(&pids(&directory)).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_neither_holds_it_up_nor_stays() {
    let directory = tempfile::tempdir().unwrap();
    let kind = script(&directory, "sleep 1000 & echo $! >>pids\necho fine\nexit 1");
    let warning = vec![Note::Warning(Some("fine".into()))];
    assert_eq!(learned(kind, somewhere(), LONG).await, ("succeeded".into(), warning));
    gone(&pids(&directory)).await;
}

#[tokio::test]
async fn no_more_commands_run_at_once_than_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let aim = aim(script(&directory, "echo $$ >>pids\nexec sleep 1000"), somewhere());
    let (prepared, memory) = (Prepared::new(&aim.check), Memory::default());
    let probes = (0..40).map(|_| once(&aim, &prepared, &memory, Duration::from_secs(5)));
    let outcomes: Vec<String> = join(probes).await;
    let turned_away = outcomes.iter().filter(|what| what.contains("32 commands of this check run already"));
    assert_eq!(turned_away.count(), 8);
    assert!(pids(&directory).len() <= 32);
    gone(&pids(&directory)).await;
}

/// Polls all of them beside one another; what came of each, in words.
async fn join<F>(probes: impl Iterator<Item = F>) -> Vec<String>
where
    F: Future<Output = (steerdns::health::verdict::Outcome, Vec<Note>)>,
{
    let mut probes: Vec<_> = probes.map(Box::pin).collect();
    let mut told = vec![None; probes.len()];
    std::future::poll_fn(|context| {
        for (probe, told) in probes.iter_mut().zip(&mut told) {
            if told.is_none()
                && let std::task::Poll::Ready((outcome, _)) = probe.as_mut().poll(context)
            {
                *told = Some(format!("{outcome:?}"));
            }
        }
        if told.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    told.into_iter().flatten().collect()
}

#[tokio::test]
async fn check_tcp_of_the_monitoring_plugins_is_understood() {
    const PLUGIN: &str = "/usr/lib/nagios/plugins/check_tcp";
    if !installed(PLUGIN, "monitoring-plugins-basic") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let check = |more: &[&str]| exec(&[&[PLUGIN, "-H", "${TARGET}", "-p", "${PORT}"], more].concat());
    let (told, notes) = learned(check(&[]), open, LONG).await;
    assert_eq!((told.as_str(), &notes[..]), ("succeeded", &[Note::Warning(None)][..]));
    // It gives its time with the most that it may take: what a `load = "time"` would be.
    let timed = Kind::Exec(Exec {
        command: [PLUGIN, "-H", "${TARGET}", "-p", "${PORT}"].map(String::from).into(),
        load: "time".into(),
        unknown_fails: false,
    });
    let (_, notes) = learned(timed, open, LONG).await;
    assert!(matches!(notes[..], [_, Note::Load { used }] if (0.0..0.5).contains(&used)), "{notes:?}");
    let (told, notes) = learned(check(&["-w", "0.0000001"]), open, LONG).await;
    assert_eq!(told, "succeeded");
    assert!(
        matches!(&notes[..], [Note::Warning(Some(words))] if words.starts_with("TCP WARNING")),
        "{notes:?}"
    );
    drop(listener);
    let (told, _) = learned(check(&[]), open, LONG).await;
    assert!(told.starts_with("command: ") && told.contains("refused"), "{told}");
    assert_eq!(learned(check(&["--nonsense"]), open, LONG).await.0.get(..6), Some("Local("));
    // A port where nobody answers to the handshake: the plugin waits longer than we do.
    let (told, _) = learned(check(&["-s", "x", "-e", "y", "-t", "30"]), stuck(), SHORT).await;
    assert_eq!(told, "command: no answer within 400 ms");
}

/// A port that accepts and says nothing.
fn stuck() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::mem::forget(listener);
    at
}
