//! The same files, given to NSD, Knot, BIND and to us: taken or refused alike, and read alike.
//!
//! Tier `peers`: needs nsd-checkzone, kzonecheck and named-compilezone. Without them it says so and passes,
//! unless STEERDNS_REQUIRE_PEERS=1.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use steerdns::files::issue::{Severity, Source};
use steerdns::files::zone;
use steerdns::wire::name::Name;

const ORIGIN: &str = "example.com.";

/// What every short case begins with.
const HEAD: &str = "$TTL 3600\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n";

/// Who takes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    us: bool,
    nsd: bool,
    knot: bool,
    bind: bool,
}

const ALL: Taken = Taken { us: true, nsd: true, knot: true, bind: true };
const NONE: Taken = Taken { us: false, nsd: false, knot: false, bind: false };

/// Lines behind `HEAD` that all take, one case a line (`\n` within a case).
const TAKEN_BY_ALL: &[&str] = &[
    "a MX 10 \"mail\"",
    "\"b\" A 192.0.2.1",
    "a A \"192.0.2.1\"",
    "a MX \"10\" b",
    "a TXT ab\"cd\"",
    "a TXT \"ab\"\"cd\"",
    "a CAA 0 issue ca.example",
    "a IN 60 A 192.0.2.1",
    "a 60 IN A 192.0.2.1",
    "a 60 60 A 192.0.2.1",
    "a IN IN A 192.0.2.1",
    "a CH A 192.0.2.1",
    "a CLASS1 A 192.0.2.1",
    "a CLASS3 TXT x",
    "a 1h30m A 192.0.2.1",
    "a 1W2D3H4M5S A 192.0.2.1",
    "a 1h30 A 192.0.2.1",
    "a 1x A 192.0.2.1",
    "$ttl 1d",
    "$TTL",
    "$TTL 1 2",
    "$ORIGIN",
    "$ORIGIN sub",
    "$ORIGIN sub.example.com.\na A 192.0.2.1\n@ TXT x",
    "$origin sub.example.com.\na MX 1 b",
    "$FOO x",
    "a TYPE1 192.0.2.1",
    "a TYPE1 \\# 4 01020304",
    "a A \\# 4 01020304",
    "a A \\# 3 010203",
    "a A \\# 5 0102030405",
    "a TYPE999 foo",
    "a TYPE999 \\# 3 0102",
    "a TYPE999 \\# 2 01 02",
    "a TYPE999 \\#",
    "a TYPE999 \\# 0",
    "a MX \\# 3 000a00",
    "a MX \\# 4 000ac000",
    "a TXT \\# 0",
    "a TXT \\# 2 0561",
    "a SRV \\# 7 00000000000000",
    "a A 192.0.2.1 extra",
    "a A",
    "a",
    "a IN",
    "a MX 10",
    "a MX 65536 b",
    "a MX -1 b",
    "a MX ten b",
    "a AAAA 1::2::3",
    "a AAAA ::ffff:1.2.3.4",
    "a AAAA 1:2:3:4:5:6:7::",
    "a AAAA fe80::1%eth0",
    "a A 192.0.2.010",
    "a A 192.0.2",
    "a A 192.0.2.256",
    "a TXT",
    "a TXT \"\"",
    "a TXT \"a\" \"b\" c",
    "a TXT xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx A 192.0.2.1",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx A 192.0.2.1",
    "a..b A 192.0.2.1",
    ".a A 192.0.2.1",
    "x.example.org. A 192.0.2.1",
    "a CNAME b\na A 192.0.2.1",
    "a A 192.0.2.1\na CNAME b",
    "a CNAME b\na CNAME c",
    "a CNAME b\na CNAME b",
    "a CNAME b\na CNAME B",
    "a CNAME b\na TXT x",
    "a CNAME b\na DNSKEY 257 3 13 AwEAAQ==",
    "a DNAME b\nx.a A 192.0.2.1",
    "a DNAME b\na A 192.0.2.1",
    "a DNAME b\na CNAME c",
    "a DNAME b\na DNAME c",
    "a DNAME b\na NS ns1",
    "@ DNAME example.net.",
    "*.a DNAME b",
    "@ SOA ns1 host 2 2 3 4 5",
    "@ SOA ns1 host 1 2 3 4 5",
    "a SOA ns1 host 1 2 3 4 5",
    "a RRSIG A 5 3 86400 20300322173103 20030220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTr",
    "a NSEC b A",
    "@ NSEC3PARAM 1 0 12 aabbccdd",
    "a KEY 256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3",
    "a HINFO x",
    "a HINFO x y",
    "a HINFO x y z",
    "a SRV 0 0 0",
    "a SRV 0 0 0 .",
    "a NAPTR 1 1 \"\" \"\" \"\" .",
    "a NAPTR 1 1 U x y .",
    "a NAPTR 1 1 \"U\" \"x\" \"!^.*$!y!\" .",
    "a TLSA 3 1 1 abc",
    "a TLSA 3 1 1",
    "a TLSA 3 1 1 xyz",
    "a TLSA PKIX-TA SPKI SHA2-256 abcd",
    "a SSHFP 1 1 ab cd",
    "a SSHFP 1 1",
    "a NS ns1\na DS 1 5 1 abcd",
    "a NS ns1\na DS 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    "a DS 1 5 1",
    "a DNSKEY 256 3 RSASHA256 AwEAAQ==",
    "a DNSKEY 256 3 8 AwEAAQ",
    "a DNSKEY 256 3 8",
    "a DNSKEY ZONE 3 8 AwEAAQ==",
    "@ CDS 0 0 0 00",
    "@ CDNSKEY 0 3 0 AA==",
    "a CAA 256 issue x",
    "a CAA 0 is-sue x",
    "a CAA 0 \"\" x",
    "a CAA 0 issue",
    "a CAA 0 issue \"\"",
    "a HTTPS 1 . alpn=h2 alpn=h3",
    "a HTTPS 1 . foo=bar",
    "a HTTPS 1 . mandatory=alpn",
    "a HTTPS 1 . mandatory=mandatory",
    "a HTTPS 1 . mandatory=alpn,alpn alpn=h2",
    "a HTTPS 1 . no-default-alpn",
    "a HTTPS 1 . no-default-alpn=x alpn=h2",
    "a HTTPS 1 . port=99999",
    "a HTTPS 1 . port",
    "a HTTPS 1 . alpn",
    "a HTTPS 1 . alpn=\"\"",
    "a HTTPS 1 . alpn=h2,,h3",
    "a HTTPS 1 . ipv4hint=1.2.3",
    "a HTTPS 1 . ipv4hint=::1",
    "a HTTPS 1 . ipv6hint=1.2.3.4",
    "a HTTPS 0 . alpn=h2",
    "a HTTPS 1 . key65535=a",
    "a HTTPS 1 . key01=a",
    "a HTTPS 1 . key65536=a",
    "a HTTPS 1 . ech=x",
    "a HTTPS 1 . dohpath=/dns-query{?dns}",
    "a HTTPS 1 . dohpath=/x",
    "a HTTPS 1 . ohttp",
    "a HTTPS 1 . key9=abc",
    "a HTTPS 1 . key667=\"a b\"",
    "a HTTPS 1 . key667",
    "a HTTPS 1 . key3=\\001\\187",
    "a HTTPS 1 . key3=80",
    "a HTTPS 1 . alpn=\"h2\"port=1",
    "a HTTPS 1 . \"alpn=h2\"",
    "a HTTPS 1 . ALPN=h2",
    "a HTTPS 1",
    "a SVCB 0 b",
    "a SVCB 65536 b",
    "a LOC 91 N 1 E 0",
    "a LOC 90 0 1 N 1 E 0",
    "a LOC 42 60 N 1 E 0",
    "a LOC 42 N 71 W",
    "a LOC 42 N 71 W 0",
    "a LOC 42 N 71 W 0m 1m 1m 1m 1m",
    "a LOC 42.5 N 71 W 0",
    "a LOC 42 21 43.9525 N 71 W 0",
    "a LOC 42 n 71 w 0",
    "a LOC 42 N 71 W -100000.01m",
    "a URI 1 1 foo",
    "a URI 1 1 \"foo\"",
    "a URI 1 1 \"\"",
    "a URI 1 1",
    "a SPF v=spf1",
    "a RP . .",
    "a RP a",
    "a AFSDB 1 b",
    "a APL 1:192.0.2.0/24",
    "a APL 1:192.0.2.0/33",
    "a APL 3:192.0.2.0/24",
    "a CSYNC 1 3 A NS",
    "a ZONEMD 1 1 1 abcd",
    "a CERT PKIX 1 1 abcd",
    "a DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "a OPENPGPKEY AA==",
    "a IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "a IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "a EUI48 00-00-5e-00-53-2a",
    "a EUI48 00-00-5e-00-53",
    "a NID 10 0014:4fff:ff20:ee64",
    "a NID 10 14:4fff:ff20:ee64",
    "a L64 10 2001:0DB8:1140:1000",
    "a NULL \\# 1 00",
    "a OPT \\# 0",
    "a TYPE0 \\# 0",
    "a TYPE200 \\# 0",
    "a AXFR \\# 0",
    "a ANY \\# 0",
    "a TYPE65535 \\# 0",
    "a NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00",
    "a WKS 1.2.3.4 6 80",
    "b NS b",
    "d NS ns.d",
    "d NS ns.d\nns.d A 192.0.2.1\nx.d TXT hidden",
    "d NS ns1\nd TXT x",
    "a TXT \\; x",
    "a TXT ; x",
    "a TXT (;\n\"a\"\n)",
    "a TXT ( \"a\"",
    "a TXT ( \"a\" ( \"b\" ) )",
    "a TXT a )",
    "a TXT \"a",
    "a TXT \"a\nb\"",
    "a TXT \\256",
    "a TXT \\1x",
    "a TXT \"\\\"\\\\ \\;\" \\\"x",
    "a TXT caf\\195\\169",
    "a TXT café",
    "café A 192.0.2.1",
    "\\065 A 192.0.2.1",
    "\\000 A 192.0.2.1",
    "a\\.b A 192.0.2.1",
    "\\@ TXT x",
    "@ TXT x",
    "* A 192.0.2.1",
    "*.*.a A 192.0.2.1",
    "a.*.b A 192.0.2.1",
    "a_b A 192.0.2.1",
    "a CNAME @",
    "a CNAME .",
    "a CNAME a",
    "$INCLUDE /nonexistent",
    "a a 192.0.2.1",
    "a in a 192.0.2.1",
    "A A 192.0.2.1\na A 192.0.2.1",
    "( a A 192.0.2.1 )",
    "a ( A\n192.0.2.1\n)",
    "a A 192.0.2.1 ; c ( \" ",
    "a 0 A 192.0.2.1",
    "a 2147483647 A 192.0.2.1",
    "a 2147483648 A 192.0.2.1",
    "a 4294967296 A 192.0.2.1",
    "a 60 A 192.0.2.1\na 30 A 192.0.2.2",
    "1 A 192.0.2.1",
    "IN A 192.0.2.1",
    "a IN TXT IN",
    "TXT TXT TXT",
    "60 60 IN A 192.0.2.1",
    "a TXT x\n\tTXT y\n  TXT z",
    "\tA 192.0.2.9",
    "$GENERATE 1-3 h$ A 192.0.2.$",
    "a A 192.0.2.1\r",
    "a MX 10 b.\na PTR c",
    "a SRV 1 2 3 B.Example.COM.",
];

/// Lines behind `HEAD` that all refuse.
const REFUSED_BY_ALL: &[&str] = &[
];

/// Where the four differ: the lines, who takes them, and why we do as we do.
const DIFFERENT: &[(&str, Taken, &str)] = &[
];

/// Whether the peers are there.
fn peers() -> bool {
    let missing: Vec<&str> = ["nsd-checkzone", "kzonecheck", "named-compilezone"]
        .into_iter()
        .filter(|program| Command::new(program).arg("-V").output().is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var("STEERDNS_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "STEERDNS_REQUIRE_PEERS=1, and there is no {missing:?}");
    eprintln!("SKIPPED: there is no {missing:?} (Debian: nsd, knot-dnssecutils, bind9-utils)");
    false
}

/// One record, in a form that compares: owner, type, TTL, data.
type Row = (String, u16, u32, Vec<u8>);

/// Reads a file as we do: whether it is taken, its records, and what was said.
fn ours(path: &str, text: String) -> (bool, Vec<Row>, String) {
    let source = Arc::new(Source { path: path.into(), text });
    let mut issues = Vec::new();
    let mut include = |written: &str, by: &str| {
        let path = Path::new(by).parent().expect("a file has a folder").join(written);
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        Ok(Arc::new(Source { path: path.to_string_lossy().into(), text }))
    };
    let zone = zone::read(&source, &Name::parse(ORIGIN, None).unwrap(), &mut include, &mut issues);
    assert_eq!(zone.records.len(), zone.at.len());
    let taken = !issues.iter().any(|issue| issue.severity == Severity::Error);
    let mut rows: Vec<Row> = zone
        .records
        .iter()
        // The peers print names in RDATA in whatever case they met first.
        .map(|record| {
            (record.owner.to_string(), record.rtype, record.ttl_s, record.rdata.to_ascii_lowercase())
        })
        .collect();
    rows.sort();
    let said = issues.iter().map(|issue| issue.what.clone()).collect::<Vec<_>>().join("\n  ");
    (taken, rows, said)
}

struct Peers {
    scratch: tempfile::TempDir,
}

impl Peers {
    fn new() -> Option<Peers> {
        peers().then(|| Peers { scratch: tempfile::tempdir().unwrap() })
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.scratch.path().join("example.com.zone");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn nsd(&self, path: &Path) -> Option<String> {
        run(Command::new("nsd-checkzone").arg("-p").arg(ORIGIN).arg(path))
    }

    fn knot(&self, path: &Path) -> bool {
        run(Command::new("kzonecheck").args(["-d", "off", "-o", ORIGIN]).arg(path)).is_some()
    }

    fn bind(&self, path: &Path) -> Option<String> {
        let mut bind = Command::new("named-compilezone");
        run(bind.args(["-q", "-i", "local", "-k", "ignore", "-o", "-", ORIGIN]).arg(path))
    }

    fn judge(&self, path: &Path) -> (Taken, Vec<(&'static str, String)>) {
        let (nsd, bind) = (self.nsd(path), self.bind(path));
        let taken = Taken { us: false, nsd: nsd.is_some(), knot: self.knot(path), bind: bind.is_some() };
        let dumps = [("NSD", nsd), ("BIND", bind)];
        (taken, dumps.into_iter().filter_map(|(who, dump)| Some((who, dump?))).collect())
    }

    /// Reads `path` with all; tells what is otherwise than `expected`, or read otherwise.
    fn compare(&self, path: &Path, text: &str, expected: Option<Taken>, wrong: &mut Vec<String>) -> Taken {
        let (us, rows, said) = ours(&path.to_string_lossy(), text.to_string());
        let (taken, dumps) = self.judge(path);
        let taken = Taken { us, ..taken };
        let shown = text.strip_prefix(HEAD).unwrap_or(text).trim_end();
        if expected.is_some_and(|expected| expected != taken) {
            wrong.push(format!("{taken:?}: {shown}\n  {said}"));
        }
        for (who, dump) in dumps.into_iter().filter(|_| us) {
            let (read, theirs, said) = ours("dump.zone", dump.clone());
            if !read {
                wrong.push(format!("{who}'s print of it is not read: {shown}\n  {said}"));
            } else if !same(who, &rows, &theirs) {
                let (ours, theirs) = (without(&rows, &theirs), without(&theirs, &rows));
                wrong.push(format!("{who} reads otherwise: {shown}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
        taken
    }
}

/// Equal records; TTLs alone may differ where a set has several: we take the lowest, NSD keeps all, BIND the first.
fn same(_who: &str, ours: &[Row], theirs: &[Row]) -> bool {
    let bare = |rows: &[Row]| {
        let mut bare: Vec<_> = rows.iter().map(|(owner, rtype, _, rdata)| (owner.clone(), *rtype, rdata.clone())).collect();
        bare.dedup();
        bare
    };
    bare(ours) == bare(theirs)
}

fn without(these: &[Row], those: &[Row]) -> Vec<Row> {
    these.iter().filter(|row| !those.contains(row)).cloned().collect()
}

/// What the program prints; `None` where it fails.
fn run(command: &mut Command) -> Option<String> {
    let output = command.output().expect("the program is there");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn unwrap_case(case: &str) -> String {
    format!("{HEAD}{case}\n")
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_all_take_or_refuse_we_do_too() {
    let Some(peers) = Peers::new() else { return };
    let mut wrong = Vec::new();
    for (cases, expected) in [(TAKEN_BY_ALL, ALL), (REFUSED_BY_ALL, NONE)] {
        for case in cases {
            let text = unwrap_case(case);
            peers.compare(&peers.file(&text), &text, Some(expected), &mut wrong);
        }
    }
    assert_none(&wrong);
}

#[test]
fn where_they_differ_is_written_down() {
    let Some(peers) = Peers::new() else { return };
    let mut wrong = Vec::new();
    for (case, expected, why) in DIFFERENT {
        assert!(!why.is_empty());
        let text = unwrap_case(case);
        peers.compare(&peers.file(&text), &text, Some(*expected), &mut wrong);
    }
    assert_none(&wrong);
}
