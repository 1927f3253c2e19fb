//! The same files, given to NSD, Knot, BIND and to us: taken or refused alike, and read alike.
//!
//! Tier `peers`: needs nsd-checkzone, kzonecheck and named-compilezone. Without them it says so and passes,
//! unless STEERDNS_REQUIRE_PEERS=1.

// A test reads files, and what is not there fails it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

#[path = "support/dice.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is shared with other tests")]
mod dice;

use dice::Dice;
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

/// Lines behind `HEAD` that all take.
const TAKEN_BY_ALL: &[&str] = &[
    "a CAA 0 issue ca.example",
    "a IN 60 A 192.0.2.1",
    "a 60 IN A 192.0.2.1",
    "a 1h30m A 192.0.2.1",
    "a 1W2D3H4M5S A 192.0.2.1",
    "$ttl 1d",
    "$ORIGIN sub.example.com.\na A 192.0.2.1\n@ TXT x",
    "$origin sub.example.com.\na MX 1 b",
    "a TYPE1 192.0.2.1",
    "a TYPE1 \\# 4 01020304",
    "a A \\# 4 01020304",
    "a TYPE999 \\# 2 01 02",
    "a TYPE999 \\# 0",
    "a MX \\# 3 000a00",
    "a SRV \\# 7 00000000000000",
    "a AAAA ::ffff:1.2.3.4",
    "a AAAA 1:2:3:4:5:6:7::",
    "a TXT \"\"",
    "a TXT \"a\" \"b\" c",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx A 192.0.2.1",
    "a CNAME b\na CNAME b",
    "a CNAME b\na CNAME B",
    "a DNAME b\na A 192.0.2.1",
    "*.a DNAME b",
    "a KEY 256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3",
    "a HINFO x y",
    "a SRV 0 0 0 .",
    "a NAPTR 1 1 \"\" \"\" \"\" .",
    "a NAPTR 1 1 \"U\" \"x\" \"!^.*$!y!\" .",
    "a NS ns1\na DS 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    "a DNSKEY 256 3 RSASHA256 AwEAAQ==",
    "@ CDS 0 0 0 00",
    "@ CDNSKEY 0 3 0 AA==",
    "a CAA 0 issue \"\"",
    "a HTTPS 0 . alpn=h2",
    "a HTTPS 1 . key65535=a",
    "a HTTPS 1 . key9=abc",
    "a HTTPS 1 . key667=\"a b\"",
    "a HTTPS 1 . key667",
    "a HTTPS 1 . key3=80",
    "a SVCB 0 b",
    "a LOC 42 N 71 W 0",
    "a URI 1 1 \"foo\"",
    "a URI 1 1 \"\"",
    "a SPF v=spf1",
    "a RP . .",
    "a AFSDB 1 b",
    "a APL 1:192.0.2.0/24",
    "a CSYNC 1 3 A NS",
    "a CERT PKIX 1 1 abcd",
    "a DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "a OPENPGPKEY AA==",
    "a IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "a IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "a EUI48 00-00-5e-00-53-2a",
    "a NID 10 0014:4fff:ff20:ee64",
    "a L64 10 2001:0DB8:1140:1000",
    "a TYPE65535 \\# 0",
    "d NS ns.d\nns.d A 192.0.2.1\nx.d TXT hidden",
    "d NS ns1\nd TXT x",
    "a TXT \\; x",
    "a TXT (;\n\"a\"\n)",
    "a TXT \"\\\"\\\\ \\;\" \\\"x",
    "a TXT caf\\195\\169",
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
    "a a 192.0.2.1",
    "a in a 192.0.2.1",
    "A A 192.0.2.1\na A 192.0.2.1",
    "a ( A\n192.0.2.1\n)",
    "a A 192.0.2.1 ; c ( \" ",
    "a 0 A 192.0.2.1",
    "a 2147483647 A 192.0.2.1",
    "a 60 A 192.0.2.1\na 30 A 192.0.2.2",
    "1 A 192.0.2.1",
    "IN A 192.0.2.1",
    "a IN TXT IN",
    "TXT TXT TXT",
    "60 60 IN A 192.0.2.1",
    "a TXT x\n\tTXT y\n  TXT z",
    "\tA 192.0.2.9",
    "a MX 10 b.\na PTR c",
    "a SRV 1 2 3 B.Example.COM.",
    "a HTTPS \\# 3 000100",
    "a HTTPS \\# 9 000100000300020050",
    "a LOC \\# 16 00121613804000008040000000989680",
    "a TYPE731 \\# 4 dead beef",
    "a TXT \\# 3 02 61 62",
];

/// Lines behind `HEAD` that all refuse.
const REFUSED_BY_ALL: &[&str] = &[
    "a 60 60 A 192.0.2.1",
    "a IN IN A 192.0.2.1",
    "a CH A 192.0.2.1",
    "a CLASS3 TXT x",
    "a 1x A 192.0.2.1",
    "$TTL",
    "$TTL 1 2",
    "$ORIGIN",
    "$FOO x",
    "a TYPE999 foo",
    "a TYPE999 \\#",
    "a A 192.0.2.1 extra",
    "a A",
    "a",
    "a IN",
    "a MX 10",
    "a MX ten b",
    "a AAAA 1::2::3",
    "a AAAA fe80::1%eth0",
    "a A 192.0.2.010",
    "a A 192.0.2",
    "a A 192.0.2.256",
    "a TXT",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx A 192.0.2.1",
    "a..b A 192.0.2.1",
    ".a A 192.0.2.1",
    "a CNAME b\na A 192.0.2.1",
    "a A 192.0.2.1\na CNAME b",
    "a CNAME b\na CNAME c",
    "a CNAME b\na TXT x",
    "a CNAME b\na DNSKEY 257 3 13 AwEAAQ==",
    "a DNAME b\na CNAME c",
    "a DNAME b\na DNAME c",
    "@ DNAME example.net.",
    "a HINFO x",
    "a HINFO x y z",
    "a SRV 0 0 0",
    "a TLSA 3 1 1 abc",
    "a TLSA 3 1 1",
    "a TLSA 3 1 1 xyz",
    "a TLSA PKIX-TA SPKI SHA2-256 abcd",
    "a SSHFP 1 1",
    "a DS 1 5 1",
    "a DNSKEY 256 3 8 AwEAAQ",
    "a DNSKEY 256 3 8",
    "a CAA 0 issue",
    "a HTTPS 1 . alpn=h2 alpn=h3",
    "a HTTPS 1 . foo=bar",
    "a HTTPS 1 . mandatory=alpn",
    "a HTTPS 1 . mandatory=mandatory",
    "a HTTPS 1 . mandatory=alpn,alpn alpn=h2",
    "a HTTPS 1 . no-default-alpn=x alpn=h2",
    "a HTTPS 1 . port=99999",
    "a HTTPS 1 . port",
    "a HTTPS 1 . alpn",
    "a HTTPS 1 . alpn=\"\"",
    "a HTTPS 1 . ipv4hint=1.2.3",
    "a HTTPS 1 . ipv4hint=::1",
    "a HTTPS 1 . ipv6hint=1.2.3.4",
    "a HTTPS 1 . key65536=a",
    "a HTTPS 1 . ech=x",
    "a HTTPS 1 . ALPN=h2",
    "a HTTPS 1",
    "a LOC 42 N 71 W",
    "a LOC 42.5 N 71 W 0",
    "a LOC 42 21 43.9525 N 71 W 0",
    "a URI 1 1",
    "a RP a",
    "a APL 1:192.0.2.0/33",
    "a APL 3:192.0.2.0/24",
    "a EUI48 00-00-5e-00-53",
    "a AXFR \\# 0",
    "a ANY \\# 0",
    "a TXT ; x",
    "a TXT a )",
    "a TXT \"a",
    "$INCLUDE /nonexistent",
];

/// Where the four differ: why we do as we do, and for each of the lines who takes them.
const DIFFERENT: &[(&str, &[(&str, &str)])] = &[
    (
        "names, numbers and addresses are words: RFC 1035 §5.1 quotes character-strings alone; of numbers and addresses we take it as NSD does",
        &[
            ("nsd", "a MX 10 \"mail\""),
            ("nsd bind", "\"b\" A 192.0.2.1"),
            ("us nsd", "a A \"192.0.2.1\""),
            ("us nsd", "a MX \"10\" b"),
        ],
    ),
    (
        "a quote ends a word, and another string begins: RFC 1035 has no blank between, and Knot wants one",
        &[("us nsd bind", "a TXT ab\"cd\""), ("us nsd bind", "a TXT \"ab\"\"cd\"")],
    ),
    ("RFC 3597 §5 lets classes be numbers; Knot has names alone", &[("us nsd bind", "a CLASS1 A 192.0.2.1")]),
    (
        "a number without a unit behind one with a unit counts seconds in NSD; the others refuse",
        &[("us nsd", "a 1h30 A 192.0.2.1")],
    ),
    ("RFC 1035 lets $ORIGIN be relative; NSD and Knot do not", &[("us bind", "$ORIGIN sub")]),
    (
        "data of a known type must have its form (RFC 3597 §5): what could not be read back would be sent to clients",
        &[
            ("knot", "a A \\# 3 010203"),
            ("knot", "a A \\# 5 0102030405"),
            ("nsd", "a TYPE999 \\# 3 0102"),
            ("nsd", "a MX \\# 4 000ac000"),
            ("nsd", "a TXT \\# 0"),
            ("nsd knot", "a TXT \\# 2 0561"),
            ("nsd", "a DS \\# 4 00010501"),
            ("knot", "a AAAA \\# 15 000000000000000000000000000000"),
            ("nsd knot", "a HTTPS \\# 8 0001000003000150"),
            ("nsd knot", "a LOC \\# 15 001216138040000080400000009896"),
            ("nsd", "a TYPE65280 \\# 1 0"),
            ("knot", "a SOA \\# 22 0000 00000001 00000001 00000001 00000001 00000001"),
        ],
    ),
    (
        "a number beyond its field is a mistake; NSD cuts it off",
        &[
            ("nsd", "a MX 65536 b"),
            ("nsd", "a TLSA +3 1 1 abcd"),
            ("nsd", "a MX -1 b"),
            ("nsd", "a CAA 256 issue x"),
            ("nsd", "a SVCB 65536 b"),
            ("nsd", "a 4294967296 A 192.0.2.1"),
            ("nsd", "a LOC 42 N 71 W -100000.01m"),
        ],
    ),
    (
        "a string of more than 255 octets is a mistake (RFC 1035 §3.3); Knot cuts it in pieces",
        &[(
            "knot",
            "a TXT xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        )],
    ),
    (
        "a record outside its zone is told; Knot and BIND ignore it with a warning",
        &[("knot bind", "x.example.org. A 192.0.2.1")],
    ),
    ("RFC 6672 §2.4: nothing below a DNAME; BIND hides it", &[("bind", "a DNAME b\nx.a A 192.0.2.1")]),
    (
        "RFC 6672 §2.3: no DNAME beside NS below the apex; NSD and BIND let the delegation win",
        &[("nsd bind", "a DNAME b\na NS ns1")],
    ),
    (
        "a zone has one SOA, at its apex; the same once more is a duplicate like any other",
        &[
            ("knot", "@ SOA ns1 host 2 2 3 4 5"),
            ("us knot bind", "@ SOA ns1 host 1 2 3 4 5"),
            ("knot", "a SOA ns1 host 1 2 3 4 5"),
        ],
    ),
    (
        "signatures over a file cannot hold where answers are steered",
        &[
            (
                "nsd knot bind",
                "a RRSIG A 5 3 86400 20300322173103 20030220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTr",
            ),
            ("nsd knot bind", "a NSEC b A"),
            ("nsd knot bind", "@ NSEC3PARAM 1 0 12 aabbccdd"),
        ],
    ),
    (
        "BIND checks what NSD and Knot leave to the client: NAPTR regexps, fingerprint and digest lengths, unquoted URIs",
        &[
            ("us nsd knot", "a NAPTR 1 1 U x y ."),
            ("us nsd knot", "a SSHFP 1 1 ab cd"),
            ("us nsd knot", "a URI 1 1 foo"),
            ("us nsd knot", "a ZONEMD 1 1 1 abcd"),
        ],
    ),
    ("Knot and BIND know how long the digests of a DS are", &[("us nsd", "a NS ns1\na DS 1 5 1 abcd")]),
    ("names of DNSKEY flags are BIND's alone", &[("bind", "a DNSKEY ZONE 3 8 AwEAAQ==")]),
    (
        "a CAA tag is of letters and digits (RFC 8659 §4.1); an empty one we take as Knot does",
        &[("knot", "a CAA 0 is-sue x"), ("us knot", "a CAA 0 \"\" x")],
    ),
    (
        "RFC 9460 is younger than parts of the peers: ohttp (RFC 9540) and dohpath (RFC 9461) are new to them, keys may be numbers, values quoted behind their `=`",
        &[
            ("us nsd knot", "a HTTPS 1 . no-default-alpn"),
            ("us nsd knot", "a HTTPS 1 . key01=a"),
            ("us nsd bind", "a HTTPS 1 . dohpath=/dns-query{?dns}"),
            ("nsd", "a HTTPS 1 . dohpath=/x"),
            ("us", "a HTTPS 1 . ohttp"),
            ("us knot bind", "a HTTPS 1 . key3=\\001\\187"),
            ("us bind", "a HTTPS 1 . alpn=\"h2\"port=1"),
        ],
    ),
    (
        "an empty protocol and a quoted key are no SvcParams (RFC 9460 §2.1, §7.1.1)",
        &[("nsd", "a HTTPS 1 . alpn=h2,,h3"), ("nsd", "a HTTPS 1 . \"alpn=h2\"")],
    ),
    (
        "no place on the globe lies beyond 90 degrees, and a minute has 60 seconds; NSD, and Knot for parts of a degree, do not look",
        &[
            ("nsd", "a LOC 91 N 1 E 0"),
            ("nsd knot", "a LOC 90 0 1 N 1 E 0"),
            ("nsd", "a LOC 42 60 N 1 E 0"),
            ("nsd", "a LOC 42 N 71 W 0m 1m 1m 1m 1m"),
        ],
    ),
    ("hemispheres are words in either case, as in NSD", &[("us nsd", "a LOC 42 n 71 w 0")]),
    (
        "RFC 6742 §2.1.3 lets leading zeros be left out; Knot does not",
        &[("us nsd bind", "a NID 10 14:4fff:ff20:ee64")],
    ),
    (
        "an IPSECKEY of algorithm 0 has no key (RFC 4025 §2.6); BIND wants one",
        &[("us nsd knot", "a IPSECKEY 10 0 0 .")],
    ),
    ("NULL is a type that Knot does not store", &[("us nsd bind", "a NULL \\# 1 00")]),
    (
        "what stands in messages alone is in no zone (RFC 6895 §3.1)",
        &[("nsd", "a OPT \\# 0"), ("knot", "a TYPE0 \\# 0"), ("nsd knot", "a TYPE200 \\# 0")],
    ),
    (
        "types given up long ago: their octets can be written (RFC 3597)",
        &[
            ("nsd bind", "a NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00"),
            ("nsd bind", "a WKS 1.2.3.4 6 80"),
        ],
    ),
    (
        "missing glue is a warning of ours, an error of kzonecheck",
        &[("us nsd bind", "b NS b"), ("us nsd bind", "d NS ns.d")],
    ),
    (
        "what opens must close, on its line where it is a quote; escapes are one character or three digits up to 255 (RFC 1035 §5.1)",
        &[("nsd", "a TXT ( \"a\""), ("nsd", "a TXT \"a\nb\""), ("nsd", "a TXT \\256"), ("nsd", "a TXT \\1x")],
    ),
    ("nested parentheses are BIND's alone", &[("bind", "a TXT ( \"a\" ( \"b\" ) )")]),
    (
        "octets beyond ASCII stand for themselves; Knot wants them escaped",
        &[("us nsd bind", "a TXT café"), ("us nsd bind", "café A 192.0.2.1")],
    ),
    ("a parenthesis may open before the owner in BIND", &[("us bind", "( a A 192.0.2.1 )")]),
    (
        "a TTL of more than 2^31 - 1 is a mistake (RFC 2181 §8); the others replace it silently, each in its way",
        &[("nsd knot bind", "a 2147483648 A 192.0.2.1")],
    ),
    ("$GENERATE is BIND's", &[("us bind", "$GENERATE 1-3 h$ A 192.0.2.$")]),
    ("files from Windows are read; Knot refuses carriage returns", &[("us nsd bind", "a A 192.0.2.1\r")]),
];

/// What is taken by both and read otherwise: the lines, by whom, and why.
const READ_OTHERWISE: &[(&str, &str, &str)] = &[(
    "a HTTPS 1 . key3=80",
    "NSD",
    "`key3` is the generic form of `port`, so its value is octets (RFC 9460 §2.1); NSD reads a number",
)];

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
        let even = said.clone();
        let has_default = text.lines().any(|line| line.to_lowercase().starts_with("$ttl"));
        let (taken, dumps) = self.judge(path);
        let taken = Taken { us, ..taken };
        let shown = text.strip_prefix(HEAD).unwrap_or(text).trim_end();
        if expected.is_some_and(|expected| expected != taken) {
            wrong.push(format!("{taken:?}: {shown}\n  {said}"));
        }
        for (who, dump) in dumps.into_iter().filter(|_| us) {
            // Where a set or a duplicate has several TTLs we take the lowest, NSD keeps all, BIND takes one; and
            // without `$TTL` BIND and we go by RFC 1035 and the SOA, NSD takes an hour.
            let ttls = !even.contains("have TTLs of")
                && !even.contains("second time")
                && (who == "BIND" || has_default);
            let (read, theirs, said) = ours("dump.zone", dump.clone());
            if !read {
                wrong.push(format!("{who}'s print of it is not read: {shown}\n  {said}"));
            } else if !same(&rows, &theirs, ttls)
                && !READ_OTHERWISE.iter().any(|(case, by, _)| *case == shown && *by == who)
            {
                let (ours, theirs) = (without(&rows, &theirs), without(&theirs, &rows));
                wrong.push(format!("{who} reads otherwise: {shown}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            }
        }
        taken
    }
}

/// Equal records. With `ttls` unset, TTLs may differ.
fn same(ours: &[Row], theirs: &[Row], ttls: bool) -> bool {
    let row =
        |(owner, rtype, ttl_s, rdata): &Row| (owner.clone(), *rtype, ttls.then_some(*ttl_s), rdata.clone());
    let sorted = |rows: &[Row]| {
        let mut rows: Vec<_> = rows.iter().map(row).collect();
        rows.sort();
        rows
    };
    sorted(ours) == sorted(theirs)
}

fn without(these: &[Row], those: &[Row]) -> Vec<Row> {
    these.iter().filter(|row| !those.contains(row)).cloned().collect()
}

/// What the program prints; `None` where it fails.
///
/// It runs in the folder of the file, its last argument: there NSD and BIND look for what is included.
fn run(command: &mut Command) -> Option<String> {
    let path = command.get_args().last().map(|path| Path::new(path).to_path_buf())?;
    let output = command.current_dir(path.parent()?).output().expect("the program is there");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn under_head(case: &str) -> String {
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
            let text = under_head(case);
            peers.compare(&peers.file(&text), &text, Some(expected), &mut wrong);
        }
    }
    assert_none(&wrong);
}

#[test]
fn where_they_differ_is_written_down() {
    let Some(peers) = Peers::new() else { return };
    let mut wrong = Vec::new();
    for (why, cases) in DIFFERENT {
        assert!(!why.is_empty());
        for (who, case) in *cases {
            let takes = |name: &str| who.split(' ').any(|taker| taker == name);
            let expected =
                Taken { us: takes("us"), nsd: takes("nsd"), knot: takes("knot"), bind: takes("bind") };
            let text = under_head(case);
            peers.compare(&peers.file(&text), &text, Some(expected), &mut wrong);
        }
    }
    assert_none(&wrong);
}

/// Nothing that both NSD and Knot load is refused by us, but for what the table says.
#[test]
fn what_nsd_and_knot_load_we_load_with_few_exceptions() {
    let exceptions: Vec<&str> = DIFFERENT
        .iter()
        .flat_map(|(_, cases)| *cases)
        .filter(|(who, _)| !who.starts_with("us") && who.contains("nsd knot"))
        .map(|(_, case)| case.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(
        exceptions,
        ["TXT", "HTTPS", "LOC", "RRSIG", "NSEC", "NSEC3PARAM", "LOC", "TYPE200", "2147483648"]
    );
}

#[test]
fn whole_files_are_read_as_bind_and_nsd_read_them() {
    let Some(peers) = Peers::new() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/zones");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zone") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let taken = peers.compare(&path, &text, None, &mut wrong);
        // The first line of a file tells who else takes it.
        let others =
            text.lines().next().and_then(|line| line.strip_prefix("; taken by ")).unwrap_or("nsd knot bind");
        let takes = |name: &str| others.split(' ').any(|taker| taker == name);
        let expected = Taken { us: true, nsd: takes("nsd"), knot: takes("knot"), bind: takes("bind") };
        if taken != expected {
            wrong.push(format!("{}: {taken:?}, expected {expected:?}", path.display()));
        }
    }
    assert_none(&wrong);
}

/// A zone whose records often collide: few names, all the types that quarrel.
fn quarrelling_zone(dice: &mut Dice) -> String {
    let mut zone = HEAD.to_string();
    for _ in 0..dice.below(8) {
        let owner = dice.pick(&["a", "b", "x.a", "y.x.a", "*.b", "B", "@", "c.example.com.", "\\097", " "]);
        let ttl = dice.pick(&["", "60", "1h", "IN", "1d IN", "in 7"]);
        let target = dice.pick(&["a", "b", "ns1", "x.a", "example.net."]);
        let data = match dice.below(9) {
            0 | 1 => "A 192.0.2.7".to_string(),
            2 => "AAAA 2001:db8::7".to_string(),
            3 => format!("CNAME {target}"),
            4 => format!("NS {target}\nx.a A 192.0.2.9\na A 192.0.2.9\nb A 192.0.2.9"),
            5 => format!("DNAME {target}"),
            6 => format!("MX {} {target}", dice.below(100)),
            7 => format!("TXT ( \"{}\"\n  word )", dice.pick(&["", "x", "\\\"", "\\200", ";("])),
            _ => format!("SRV 1 2 3 {target}"),
        };
        zone.push_str(&format!("{owner} {ttl} {data}\n"));
    }
    zone
}

/// A random zone is taken by us if both NSD and Knot take it, and read as they read it; none is taken by us alone.
#[test]
fn random_zones_fare_alike() {
    const ZONES: usize = 300;
    let Some(peers) = Peers::new() else { return };
    let (mut dice, mut wrong, mut both) = (Dice::new(0x5eed), Vec::new(), [0, 0]);
    for _ in 0..ZONES {
        let text = quarrelling_zone(&mut dice);
        let taken = peers.compare(&peers.file(&text), &text, None, &mut wrong);
        // kzonecheck refuses missing glue, which is a warning elsewhere.
        if (taken.nsd && taken.knot && !taken.us) || (taken.us && !taken.nsd) {
            wrong.push(format!("{taken:?}: {text}"));
        }
        both[usize::from(taken.us)] += 1;
    }
    assert_none(&wrong);
    assert!(both.iter().all(|&count| count > ZONES / 10), "refused, taken: {both:?}");
}
