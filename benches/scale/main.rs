//! What large worlds cost: seconds and memory of a load, nanoseconds of an answer, and how long after a verdict the last old answer leaves,
//! decade by decade.
//!
//! ```text
//! cargo bench --bench scale                 every kind, as a table in Markdown
//! cargo bench --bench scale -- services     those whose label holds the word
//! cargo bench --bench scale -- --renew      writes the table into docs/performance.md, and the plot, docs/scale.svg
//! ```
//!
//! Each world is written to a directory and loaded from it by a process of its own. Its geography is the embedded table: what a City
//! database adds is the same for all (`cargo bench --bench load`). Linux.
#![allow(clippy::disallowed_methods, reason = "a bench has a clock and a disk of its own")]
#![allow(unsafe_code, reason = "memory is given back to the system before it is counted, as the server does")]

mod plot;
mod worlds;

use std::env;
use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Now, Reply, Transport, Worker};
use steerdns::health::rounds::Observation;
use steerdns::health::verdict::{Cause, Outcome, Seen, Verdict};
use steerdns::load::{Loaded, Took, load};
use steerdns::plan::Plan;
use steerdns::plan::parts::Rates;
use steerdns::publisher::{Event, Publisher};
use steerdns::snapshot::{Live, Snapshot};

use plot::{Line, Point};
use worlds::{AXES, Axis, QUESTIONS, Sizes};

/// Tells the inner run from the outer one.
const INNER: &str = "--of-world";
/// Each of them puts all questions once; the median counts.
const PASSES: usize = 9;
/// Verdicts that are timed.
const VERDICTS: usize = 200;
/// As many queries as the engine takes with one look at the Snapshot.
const BATCH: usize = 32;
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(91, 198, 174, 53));
const PAGE: &str = "docs/performance.md";
const PICTURE: &str = "docs/scale.svg";
const MARKS: [&str; 2] = ["<!-- scale -->\n", "<!-- /scale -->\n"];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [INNER, label, size, directory] => {
            run(label, size, Path::new(directory));
            Ok(())
        }
        ["--renew"] => renew(),
        words => measured(words).map(|(table, _)| print!("{table}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("scale: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the table and the plot where they are read.
fn renew() -> io::Result<()> {
    let (table, lines) = measured(&[])?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(PAGE))?;
    let parts =
        page.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let (before, after) =
        parts.ok_or_else(|| io::Error::other(format!("{PAGE} has no marks for the table")))?;
    fs::write(root.join(PAGE), [before, MARKS[0], &table, MARKS[1], after].concat())?;
    fs::write(root.join(PICTURE), plot::svg(&lines))
}

/// Measures all kinds whose labels hold all of these words: a table, and lines for the plot.
fn measured(words: &[&str]) -> io::Result<(String, Vec<Line>)> {
    let mut table = String::from(
        "| | | load, s | resident, MB | ns per answer | verdict to the last old answer, ms: median, worst |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut lines = Vec::new();
    for (_, label, sizes) in AXES.iter().filter(|(_, label, _)| words.iter().all(|word| label.contains(word)))
    {
        let mut points = Vec::new();
        for size in *sizes {
            let [load, mb, ns, median, worst] = measure(label, *size)?;
            let row =
                format!("| {label} | {size} | {load:.3} | {mb:.0} | {ns:.0} | {median:.2}, {worst:.2} |\n");
            eprint!("{row}");
            table.push_str(&row);
            let share = *size as f64 / *sizes.last().expect("each has some") as f64;
            points.push(Point { share, values: [load, mb, ns] });
        }
        lines.push(Line { label: (*label).into(), points });
    }
    Ok((table, lines))
}

/// One world in a process of its own.
fn measure(label: &str, size: usize) -> io::Result<[f64; 5]> {
    let directory = tempfile::tempdir()?;
    Sizes::of(axis(label), size).write(directory.path())?;
    let run = Command::new(env::current_exe()?)
        .args([INNER, label, &size.to_string()])
        .arg(directory.path())
        // As the server has it: large pieces of memory are the system's own.
        .env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576:glibc.malloc.trim_threshold=1048576")
        .output()?;
    let text = String::from_utf8_lossy(&run.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let told = || io::Error::other(format!("{label} {size}: {}", String::from_utf8_lossy(&run.stderr)));
    numbers.try_into().map_err(|_| told())
}

fn axis(label: &str) -> Axis {
    let (axis, ..) = AXES.into_iter().find(|(_, known, _)| *known == label).expect("a label of ours");
    axis
}

/// Loads a world, and prints what it costs.
fn run(label: &str, size: &str, directory: &Path) {
    let size = size.parse().expect("a number of ours");
    let (axis, sizes) = (axis(label), Sizes::of(axis(label), size));
    let loaded =
        load(&directory.join("steerdns.toml")).unwrap_or_else(|issues| panic!("{:#?}", &issues[..1]));
    let Loaded { mut plan, took: Took { reading, geography, compiling }, .. } = loaded;
    // SAFETY: it has no precondition, and changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
    let mb = resident_mb();
    // Counted as in earnest, and never too much.
    plan.settings.rates = Some(Rates::new(u32::MAX, 2, 24, 56, vec![]));
    let plan = Arc::new(plan);
    let questions = sizes.questions(axis);
    let ns = ns_per_answer(&Snapshot::all_up(Arc::clone(&plan)), &questions);
    let [median, worst] = ms_to_the_last_old_answer(plan, questions);
    let load = (reading + geography + compiling).as_secs_f64();
    println!("{load} {mb} {ns} {median} {worst}");
}

/// What the kernel says of this process's memory, in MB.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

/// Of one thread that does nothing else, without what it takes to lay a query out.
fn ns_per_answer(snapshot: &Snapshot, questions: &[Vec<u8>]) -> f64 {
    let mut asker = Asker::new(questions);
    let now = Now { instant: Instant::now(), unix_s: 1_800_000_000 };
    let mut median = |answers: bool| {
        let mut passes: Vec<f64> = (0..PASSES)
            .map(|_| {
                let began = cpu_ns();
                for _ in 0..QUESTIONS {
                    let len = asker.prepare();
                    if answers {
                        asker.answer(snapshot, now, len);
                    }
                }
                (cpu_ns() - began) / QUESTIONS as f64
            })
            .collect();
        passes.sort_by(f64::total_cmp);
        passes[PASSES / 2]
    };
    median(true) - median(false)
}

/// How long this thread has had a processor.
fn cpu_ns() -> f64 {
    // SAFETY: the place lives until the call returns.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Puts questions in turn, in one buffer, as an answering thread would.
struct Asker<'q> {
    questions: &'q [Vec<u8>],
    worker: Worker,
    next: usize,
    buf: Box<[u8; 1280]>,
}

impl<'q> Asker<'q> {
    fn new(questions: &'q [Vec<u8>]) -> Asker<'q> {
        Asker { questions, worker: Worker::of(1, 7), next: 0, buf: Box::new([0; 1280]) }
    }

    fn prepare(&mut self) -> usize {
        let question = &self.questions[self.next];
        self.next = (self.next + 1) % self.questions.len();
        self.buf[..question.len()].copy_from_slice(black_box(question));
        question.len()
    }

    fn answer(&mut self, snapshot: &Snapshot, now: Now, len: usize) {
        let reply = respond(snapshot, &mut self.worker, now, &mut self.buf[..], len, PEER, Transport::Udp);
        assert!(
            matches!(reply, Reply::Done(_, fact) if fact.rcode == 0),
            "every name that is asked for exists"
        );
    }
}

/// From the outcome that makes a verdict another one to the end of the last batch that an older Snapshot answered: median and worst.
fn ms_to_the_last_old_answer(plan: Arc<Plan>, questions: Vec<Vec<u8>>) -> [f64; 2] {
    let now = Instant::now();
    let mut publisher = Publisher::new(plan, &[], now);
    let targets: Vec<_> = publisher.board().ids().collect();
    let observe = |publisher: &mut Publisher, target, outcome| {
        let aim = Arc::clone(&publisher.board().target(target).aim);
        let at = Instant::now();
        let seen = Seen { outcome, started: at, at, decided_by: at + Duration::from_secs(5) };
        publisher.handle(Event::Observed(Observation { aim, seen }), at);
    };
    let good = || Outcome::Succeeded(Duration::from_millis(20));
    let bad = || Outcome::Failed(Cause { layer: "tcp", what: "refused".into() });
    targets.iter().for_each(|target| observe(&mut publisher, *target, good()));
    let live = Arc::new(Live::new(publisher.publish(now).0.expect("the first one is new")));
    let reader = Reader::start(Arc::clone(&live), questions);
    // None of them goes before the end: another would be taken for it.
    let mut graves = Vec::new();
    let mut took: Vec<f64> = (0..VERDICTS)
        .map(|n| {
            let target = targets[n * 7919 % targets.len()];
            let mut began = Instant::now();
            while publisher.board().held(target).verdict != Verdict::Down {
                began = Instant::now();
                observe(&mut publisher, target, bad());
            }
            let snapshot = Arc::new(publisher.publish(began).0.expect("a verdict is another one"));
            let generation = Arc::as_ptr(&snapshot) as usize;
            graves.push(live.replace(snapshot));
            let ended = reader.last_before(generation);
            while publisher.board().held(target).verdict != Verdict::Up {
                observe(&mut publisher, target, good());
            }
            graves.push(live.replace(Arc::new(publisher.publish(Instant::now()).0.expect("it is up again"))));
            ended.saturating_duration_since(began).as_secs_f64() * 1e3
        })
        .collect();
    reader.end();
    took.sort_by(f64::total_cmp);
    [took[VERDICTS / 2], took[VERDICTS - 1]]
}

/// A thread that answers without rest.
struct Reader {
    /// By which Snapshot its last batch was answered, and when the last batch of another one ended.
    turned: mpsc::Receiver<(usize, Instant)>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Reader {
    fn start(live: Arc<Live>, questions: Vec<Vec<u8>>) -> Reader {
        let (turn, turned) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut asker = Asker::new(&questions);
            let (mut last, mut ended) = (0, Instant::now());
            while !stopped.load(Ordering::Relaxed) {
                let snapshot = live.now();
                let now = Now { instant: Instant::now(), unix_s: 1_800_000_000 };
                let generation = Arc::as_ptr(&snapshot) as usize;
                if std::mem::replace(&mut last, generation) != generation {
                    let _ = turn.send((generation, ended));
                }
                for _ in 0..BATCH {
                    let len = asker.prepare();
                    asker.answer(&snapshot, now, len);
                }
                ended = Instant::now();
            }
        });
        Reader { turned, stop, thread }
    }

    /// When the last batch ended that was answered by what was before this one.
    fn last_before(&self, generation: usize) -> Instant {
        let mut turns = self.turned.iter();
        turns.find(|turn| turn.0 == generation).expect("the thread goes on").1
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends in order");
    }
}
