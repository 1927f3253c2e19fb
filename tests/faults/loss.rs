//! Many addresses behind cables that lose packets, probed for a while: doubts, and false deaths.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use steerdns::health::check::{Check, Http, HttpMethod, HttpVersion, Kind, Rtmp};

use super::home::{Home, command};
use super::nginx;
use super::programs::{Program, free_port};
use super::watch::{Watch, check};

/// How the packets of each cable are lost, each way, in percent.
const LOSSES: [u8; 3] = [1, 5, 10];
const PATIENCE: Duration = Duration::from_secs(60);

/// A server behind a cable.
struct Lossy {
    percent: u8,
    home: Home,
    addresses: Vec<IpAddr>,
    _scratch: tempfile::TempDir,
    _server: Program,
}

/// How much is done.
struct Extent {
    addresses: u8,
    lossy: Duration,
}

/// With `STEERDNS_RECORD=directory` records which packets are lost, and no more. Else
/// measures, prints, and holds that at 5 % fewer than one address in an hour is falsely held dead (where it takes hours).
pub(crate) fn prove(long: bool) {
    if let Some(directory) = std::env::var_os("STEERDNS_RECORD") {
        return super::record::record(std::path::Path::new(&directory));
    }
    let extent = match long {
        true => Extent { addresses: 100, lossy: Duration::from_secs(900) },
        false => Extent { addresses: 30, lossy: Duration::from_secs(30) },
    };
    let [http, rtmp] = [(); 2].map(|()| free_port().port());
    let lossy: Vec<_> =
        LOSSES.into_iter().zip(1..).map(|(percent, n)| Lossy::new(percent, n, http, rtmp, &extent)).collect();
    let checks = [
        (check("tcp", Kind::Tcp), http),
        (check("http", Kind::Http(asked())), http),
        (check("rtmp", Kind::Rtmp(Rtmp { app: "live".into(), host: None, play: None })), rtmp),
    ];
    let targets = |lossy: &Lossy| -> Vec<(Arc<Check>, SocketAddr)> {
        let to = |(check, port): &(Arc<Check>, u16)| {
            let (check, port) = (check.clone(), *port);
            lossy
                .addresses
                .iter()
                .map(move |ip| (check.clone(), SocketAddr::new(*ip, port)))
                .collect::<Vec<_>>()
        };
        checks.iter().flat_map(to).collect()
    };
    let all: Vec<_> = lossy.iter().flat_map(targets).collect();
    let watch = Watch::start(&all);
    let begun = Instant::now();
    for target in 0..all.len() {
        while !watch.up(target) {
            assert!(begun.elapsed() < PATIENCE, "not up: {}", watch.told(target));
            thread::sleep(Duration::from_millis(5));
        }
    }
    let counted = || (0..all.len()).map(|target| watch.counted(target)).collect::<Vec<_>>();
    let before = counted();
    lossy.iter().for_each(|lossy| lossy.home.lose(lossy.percent));
    thread::sleep(extent.lossy);
    lossy.iter().for_each(|lossy| lossy.home.drop_nothing());
    let behind = counted();

    println!(
        "| check | loss each way | address-hours | doubts an hour | false deaths | an hour |\n| --- | --- | --- | --- | --- | --- |"
    );
    let each = usize::from(extent.addresses);
    let hours = extent.lossy.as_secs_f64() / 3600.0 * each as f64;
    for (group, at) in all.chunks(each).zip((0..).step_by(each)) {
        let sum = |of: fn(&steerdns::health::board::Transitions) -> u64| -> u64 {
            (at..at + each).map(|target| of(&behind[target]) - of(&before[target])).sum()
        };
        let (doubts, deaths) = (sum(|counted| counted.suspect), sum(|counted| counted.down));
        let (word, percent) = (&group[0].0.key, LOSSES[at / (each * checks.len())]);
        println!(
            "| {word} | {percent} % | {hours:.1} | {:.0} | {deaths} | {:.3} |",
            doubts as f64 / hours,
            deaths as f64 / hours
        );
        assert!(doubts > 0, "no packet was lost, or nobody noticed");
        if percent <= 5 {
            // Fewer than 0.01 an hour are expected; what the machine itself makes late comes on top of that.
            assert!(deaths as f64 <= (hours * 0.1).max(1.0), "{deaths} false deaths in {hours:.1} h");
        }
    }
}

impl Lossy {
    fn new(percent: u8, number: u8, http: u16, rtmp: u16, extent: &Extent) -> Lossy {
        let home = Home::new(number);
        let addresses = home.more_addresses(extent.addresses);
        let scratch = tempfile::tempdir().unwrap();
        let any = |port| [SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)];
        nginx::prepare(scratch.path(), "edge.test", &any(http), &any(free_port().port()), &any(rtmp));
        let mut server = command(Some(&home), &nginx::words(scratch.path()));
        server.stderr(Stdio::null());
        Lossy { percent, home, addresses, _scratch: scratch, _server: Program::spawn(server) }
    }
}

fn asked() -> Http {
    Http {
        version: HttpVersion::One,
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        status: vec![(200, 299)],
        body: Some("alive".into()),
        expect_headers: Vec::new(),
        json: Vec::new(),
        load: None,
    }
}
