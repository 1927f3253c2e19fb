//! Master files as operators write them, and as they get them wrong.

// What is not there fails the test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use steerdns::files::issue::{At, Issue, Severity, Source};
use steerdns::files::zone::{self, ZoneFile};
use steerdns::wire::name::Name;
use steerdns::zone::record::{Record, rtype};

const ORIGIN: &str = "example.com.";

/// Three lines that make a sound zone: what is wrong stands in line 4.
const HEAD: &str = "$TTL 1h\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1.example.net.\n";

/// Files that `$INCLUDE` finds.
const INCLUDED: &[(&str, &str)] = &[
    ("hosts.inc", "host A 192.0.2.1\n"),
    ("wrong.inc", "\n  host A\nhost A nowhere\n"),
    ("itself.inc", "$INCLUDE itself.inc\n"),
    ("ping.inc", "$INCLUDE pong.inc\n"),
    ("pong.inc", "$INCLUDE ping.inc\n"),
];

fn name(text: &str) -> Name {
    Name::parse(text, Some(&Name::parse(ORIGIN, None).unwrap())).unwrap()
}

fn read(text: &str) -> (ZoneFile, Vec<Issue>) {
    let source = Arc::new(Source { path: "a.zone".into(), text: text.to_string() });
    let mut issues = Vec::new();
    let mut include = |path: &str, by: &str| {
        assert!(by.ends_with(".zone") || by.ends_with(".inc"));
        let found = INCLUDED.iter().find(|(name, _)| *name == path);
        let (path, text) = found.ok_or("there is no such file")?;
        Ok(Arc::new(Source { path: (*path).into(), text: (*text).to_string() }))
    };
    let zone = zone::read(&source, &name("@"), &mut include, &mut issues);
    assert_eq!(zone.records.len(), zone.at.len());
    (zone, issues)
}

/// The records behind the head, as text.
fn records(lines: &str) -> Vec<String> {
    let (zone, issues) = read(&format!("{HEAD}{lines}"));
    assert!(issues.is_empty(), "{lines}: {:?}", issues.iter().map(told).collect::<Vec<_>>());
    zone.records[2..]
        .iter()
        .map(|record| format!("{} {} {} {}", record.owner, record.ttl_s, record.rtype, hex(&record.rdata)))
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// `line:column`, from 1, in characters.
fn place(at: &At) -> String {
    let before = &at.source.text[..at.span.start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let path = if &*at.source.path == "a.zone" { String::new() } else { format!("{}:", at.source.path) };
    format!("{path}{line}:{column}")
}

/// An issue on one line: severity where it is a warning, place, what, remedy, other place.
fn told(issue: &Issue) -> String {
    let mut line = String::new();
    if issue.severity == Severity::Warning {
        line.push_str("warning ");
    }
    line.push_str(&place(issue.at.as_ref().expect("mistakes in text have a place")));
    line.push_str(": ");
    line.push_str(&issue.what);
    if let Some(remedy) = &issue.remedy {
        line.push_str(" | ");
        line.push_str(remedy);
    }
    if let Some((at, what)) = &issue.also {
        line.push_str(&format!(" | {}: {what}", place(at)));
    }
    line
}

/// What is wrong in line 4, and what is said of it.
const MISTAKES: &[(&str, &[&str])] = &[
    ("a A 192.0.2.300", &["4:5: `192.0.2.300` is no IPv4 address | an A is written `address`"]),
    ("a AAAA 2001:db8::g", &["4:8: `2001:db8::g` is no IPv6 address | an AAAA is written `address`"]),
    ("a", &["4:1: the record ends before its type | a record is `owner [ttl] [class] type data`"]),
    ("a 60 IN", &["4:6: the record ends before its type | a record is `owner [ttl] [class] type data`"]),
    ("a A", &["4:3: the record ends where its address ought to stand | an A is written `address`"]),
    ("a A 192.0.2.1 192.0.2.2", &["4:15: `192.0.2.2` is more than an A holds | an A is written `address`"]),
    ("a AA 192.0.2.1", &["4:3: no record type is called `AA` | there is `A`"]),
    (
        "a FOO bar",
        &["4:3: no record type is called `FOO` | a type without a name here is written `TYPE123` (RFC 3597)"],
    ),
    (
        "a 1x A 192.0.2.1",
        &["4:3: `1x` is no TTL | write seconds, or numbers with units of `w d h m s`: `1h30m`"],
    ),
    (
        "a 2147483648 A 192.0.2.1",
        &["4:3: `2147483648` is too long for a TTL: 2147483647 is the most (RFC 2181 §8)"],
    ),
    ("a 60 60 A 192.0.2.1", &["4:6: the record has two TTLs"]),
    ("a IN IN A 192.0.2.1", &["4:6: the record has two classes"]),
    ("a CH TXT x", &["4:3: a record of class `CH` | steerdns serves the class IN alone"]),
    ("a CLASS4 TXT x", &["4:3: a record of class `CLASS4` | steerdns serves the class IN alone"]),
    ("a \"A\" 192.0.2.1", &["4:3: `\"A\"` stands where the type ought to | types are not quoted"]),
    ("\"a\" A 192.0.2.1", &["4:1: `\"a\"` is no name: names are not quoted"]),
    ("a..b A 192.0.2.1", &["4:1: `a..b` is no name: a name has an empty label"]),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa A 192.0.2.1",
        &[
            "4:1: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is no name: a label is longer than 63 octets",
        ],
    ),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa A 192.0.2.1",
        &[
            "4:1: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is no name: a name is longer than 255 octets",
        ],
    ),
    (
        "a TXT xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        &[
            "4:7: a string has 256 octets, and 255 is the most | split it into several strings, each in quotes of its own",
        ],
    ),
    (
        "a TXT \"x",
        &[
            "4:7: a `\"` that nothing closes on its line | close the string, or write a quote within it as `\\\"`",
        ],
    ),
    ("a TXT (\n \"x\"\n", &["4:7: a `(` that nothing closes | put a `)` behind the last word of the record"]),
    (
        "a TXT (( \"x\" ))",
        &["4:8: a `(` within parentheses | close the first pair, or write the parenthesis as `\\(`"],
    ),
    ("a TXT )", &["4:7: a `)` without a `(` before it | write it as `\\)` if it belongs to the word"]),
    ("a TXT x\\300", &["4:8: a `\\` must be followed by a character or by three digits up to 255"]),
    (
        "a TXT x\\",
        &["4:8: a `\\` at the end of a line | write it as `\\\\`; lines are joined by parentheses"],
    ),
    ("a TXT x\0y", &["4:8: an octet of value 0 | write it as `\\000`; or the file is no text"]),
    ("a TXT", &["4:3: the record ends where its string ought to stand | a TXT is written `string …`"]),
    (
        "a MX ten mail",
        &[
            "4:6: `ten` is no preference: a number ought to stand there | an MX is written `preference exchange`",
        ],
    ),
    (
        "a MX 65536 mail",
        &["4:6: `65536` is too large for the preference of an MX | an MX is written `preference exchange`"],
    ),
    (
        "a MX 10",
        &["4:6: the record ends where its exchange ought to stand | an MX is written `preference exchange`"],
    ),
    (
        "a MX 10 \"mail\"",
        &["4:9: `\"mail\"` is no exchange: names are not quoted | an MX is written `preference exchange`"],
    ),
    ("a CNAME b..c", &["4:9: `b..c` is no target: a name has an empty label | a CNAME is written `target`"]),
    ("www.example.org. A 192.0.2.1", &["4:1: `www.example.org.` lies outside the zone `example.com.`"]),
    (
        "é A 192.0.2.1",
        &[
            "warning 4:1: an owner with letters beyond ASCII, taken as UTF-8 octets | browsers ask for the `xn--` form (RFC 5891)",
        ],
    ),
    (
        "a SOA ns1 host 1 2 3 4 5",
        &["4:1: the SOA of `a.example.com.` in the zone `example.com.` | the SOA stands at the apex: `@`"],
    ),
    ("@ SOA ns1 host 2 2 3 4 5", &["4:1: the zone has a second SOA | 2:1: the first"]),
    (
        "@ SOA ns1 host 1 2 3 4 x",
        &[
            "4:24: `x` is no minimum: that is seconds, or `1h30m` | an SOA is written `mname rname serial refresh retry expire minimum`",
        ],
    ),
    ("$TTL", &["4:1: `$TTL` ends where a time in seconds, or `1h30m` ought to stand"]),
    ("$TTL 1y", &["4:6: `1y` is no TTL | write seconds, or numbers with units of `w d h m s`: `1h30m`"]),
    ("$TTL 1h 2h", &["4:9: `2h` is more than `$TTL` takes"]),
    ("$ORIGIN", &["4:1: `$ORIGIN` ends where the name that completes relative names ought to stand"]),
    ("$ORIGIN a..b.", &["4:9: `a..b.` is no name: a name has an empty label"]),
    (
        "$FOO x",
        &["4:1: no directive is called `$FOO` | there are `$ORIGIN`, `$TTL`, `$INCLUDE` and `$GENERATE`"],
    ),
    ("$INCLUDE", &["4:1: `$INCLUDE` ends where a path ought to stand"]),
    ("$INCLUDE missing.inc", &["4:10: `missing.inc` cannot be included: there is no such file"]),
    (
        "$INCLUDE wrong.inc",
        &[
            "wrong.inc:2:3: no record type is called `host` | a type without a name here is written `TYPE123` (RFC 3597)",
            "wrong.inc:3:8: `nowhere` is no IPv4 address | an A is written `address`",
        ],
    ),
    ("$INCLUDE itself.inc", &["itself.inc:1:10: `itself.inc` includes itself, directly or through others"]),
    ("$INCLUDE ping.inc", &["pong.inc:1:10: `ping.inc` includes itself, directly or through others"]),
    ("$INCLUDE hosts.inc sub more", &["4:24: `more` is more than `$INCLUDE` takes"]),
    (
        "$GENERATE 1-3",
        &[
            "4:11: `$GENERATE` ends too early | it is written `$GENERATE 1-100[/step] owner [ttl] [class] type data`",
        ],
    ),
    (
        "$GENERATE 3-1 a$ A 192.0.2.$",
        &["4:11: `3-1` is no range | it is written `$GENERATE 1-100[/step] owner [ttl] [class] type data`"],
    ),
    (
        "$GENERATE 1-3 a$ A 192.0.2.${0,x}",
        &["4:20: `${0,x}` is not `${offset,width,base}` with a base of `d o x X n N`"],
    ),
    ("$GENERATE 1-3 a$ A 192.0.2.${0", &["4:20: a `${` that no `}` closes"]),
    (
        "$GENERATE 1-3 a$ MX 10 mail$ x y",
        &[
            "4:30: `$GENERATE` takes the data as one word | put data of several words in quotes: `MX \"10 mx$\"`",
        ],
    ),
    (
        "$GENERATE 250-260 a$ A 192.0.2.$",
        &[
            "4:1: `$GENERATE` makes `a256 A 192.0.2.256`: `192.0.2.256` is no IPv4 address | an A is written `address`",
        ],
    ),
    (
        "$GENERATE 1-3 a$ A 192.0.2.${-2}",
        &["4:1: the offset -2 takes 1 out of the range from 0 to 2147483647"],
    ),
    (
        "a CNAME b\na A 192.0.2.1",
        &[
            "5:1: `a.example.com.` has an A beside its CNAME | a CNAME stands for all data of its name (RFC 2181 §10.1): keep the one or the other | 4:1: the CNAME",
        ],
    ),
    (
        "a A 192.0.2.1\na CNAME b\na TXT x",
        &[
            "5:1: `a.example.com.` has a CNAME beside its A | a CNAME stands for all data of its name (RFC 2181 §10.1): keep the one or the other | 4:1: the other data",
        ],
    ),
    (
        "a CNAME b\na CNAME c",
        &["5:1: `a.example.com.` has a second CNAME | an alias has one target | 4:1: the first"],
    ),
    (
        "a DNAME b\na DNAME c",
        &[
            "5:1: `a.example.com.` has a second DNAME | a subtree has one target (RFC 6672 §2.4) | 4:1: the first",
        ],
    ),
    (
        "a DNAME b\nx.a A 192.0.2.1",
        &[
            "5:1: the A of `x.a.example.com.` lies below the DNAME of `a.example.com.` | all names below a DNAME belong to its target (RFC 6672 §2.4) | 4:1: the DNAME",
        ],
    ),
    (
        "a DNAME b\na NS ns.example.net.",
        &[
            "5:1: `a.example.com.` has a DNAME and is delegated | one of them must go (RFC 6672 §2.3) | 4:1: the other",
        ],
    ),
    (
        "a A 192.0.2.1\na A 192.0.2.1",
        &[
            "warning 5:1: this A of `a.example.com.` stands here for the second time | delete it: it counts once | 4:1: first written here",
        ],
    ),
    (
        "a 60 A 192.0.2.1\na 30 A 192.0.2.2",
        &[
            "warning 5:1: the A records of `a.example.com.` have TTLs of 60 and 30; the lowest, 30, is used for all | give all records of a set the same TTL | 4:1: the first of them",
        ],
    ),
    (
        "d NS ns.example.net.\nwww.d A 192.0.2.1",
        &[
            "warning 5:1: the A of `www.d.example.com.` is never answered: `d.example.com.` is delegated | it belongs into the delegated zone; only NS, DS and glue stand here | 4:1: the delegation",
        ],
    ),
    (
        "a RRSIG A 13 2 60 1 1 1 . AAAA",
        &[
            "4:3: steerdns serves no `RRSIG` from a file | its answers change, so signatures over a file cannot hold: give the unsigned zone",
        ],
    ),
    (
        "a NSEC b A",
        &[
            "4:3: steerdns serves no `NSEC` from a file | its answers change, so signatures over a file cannot hold: give the unsigned zone",
        ],
    ),
    (
        "a NSEC3PARAM 1 0 0 -",
        &[
            "4:3: steerdns serves no `NSEC3PARAM` from a file | its answers change, so signatures over a file cannot hold: give the unsigned zone",
        ],
    ),
    ("a AXFR \\# 0", &["4:3: `AXFR` stands in messages, never in a zone"]),
    (
        "@ ALIAS elsewhere.example.",
        &[
            "4:3: `ALIAS`: steerdns resolves no name of others | name it by CNAME; where that cannot stand, as at the apex, make it a service with clusters of its own",
        ],
    ),
    ("a TYPE41 \\# 0", &["4:3: `TYPE41` stands in messages, never in a zone"]),
    (
        "a TYPE999 x",
        &[
            "4:3: the text form of a TYPE999 is not known here | write its data as `\\# length hexadecimal` (RFC 3597)",
        ],
    ),
    ("a TYPE999 \\# 3 0102", &["4:14: the length says 3, and 2 octets follow"]),
    ("a TYPE999 \\# 1 0", &["4:16: an odd number of hexadecimal digits"]),
    ("a TYPE999 \\# x 00", &["4:14: `x` is no length: that is a number from 0 to 65535"]),
    ("a A \\# 3 010203", &["4:5: these octets are no data of an A | write it in its own form: `address`"]),
    (
        "a MX \\# 4 000ac000",
        &["4:6: these octets are no data of an MX | write it in its own form: `preference exchange`"],
    ),
    ("a HINFO one", &["4:9: the record ends where its os ought to stand | an HINFO is written `cpu os`"]),
    (
        "a SRV 1 2 65536 b",
        &[
            "4:11: `65536` is too large for the port of an SRV | an SRV is written `priority weight port target`",
        ],
    ),
    (
        "a NAPTR 1 1 \"\" \"\" \"\"",
        &[
            "4:19: the record ends where its replacement ought to stand | a NAPTR is written `order preference flags services regexp replacement`",
        ],
    ),
    (
        "a CAA 256 issue x",
        &["4:7: `256` is too large for the flags of a CAA | a CAA is written `flags tag value`"],
    ),
    (
        "a CAA 0 is-sue x",
        &[
            "4:9: `is-sue` does not fit a CAA: caa tag contains invalid character | a CAA is written `flags tag value`",
        ],
    ),
    (
        "a DS 1 FOO 2 abcd",
        &["4:8: `FOO` is no algorithm of a DS | a DS is written `key-tag algorithm digest-type digest`"],
    ),
    (
        "a DS 1 13 2 abc",
        &[
            "4:13: an odd number of hexadecimal digits | a DS is written `key-tag algorithm digest-type digest`",
        ],
    ),
    (
        "a DS 1 13 2 wxyz",
        &["4:13: `wxyz` is not hexadecimal | a DS is written `key-tag algorithm digest-type digest`"],
    ),
    (
        "a DNSKEY 257 3 13 AwEAA",
        &["4:19: the base64 is cut short | a DNSKEY is written `flags protocol algorithm key`"],
    ),
    (
        "a DNSKEY 257 3 13 Aw*A",
        &["4:19: `Aw*A` is not base64 | a DNSKEY is written `flags protocol algorithm key`"],
    ),
    (
        "a TLSA 3 1 1",
        &[
            "4:12: the record ends where its data ought to stand | a TLSA is written `usage selector matching-type data`",
        ],
    ),
    (
        "a SSHFP 4 2 12 3",
        &["4:16: an odd number of hexadecimal digits | an SSHFP is written `algorithm type fingerprint`"],
    ),
    (
        "a HTTPS 1 . foo=bar",
        &[
            "4:13: `foo=bar` begins with no SvcParamKey | the keys are `mandatory`, `alpn`, `no-default-alpn`, `port`, `ipv4hint`, `ech`, `ipv6hint`, `dohpath`, `ohttp`, and `key0` to `key65535`",
        ],
    ),
    (
        "a HTTPS 1 . port=0x50",
        &["4:13: `port=0x50` has no value of its key's form | `port` takes a number from 0 to 65535"],
    ),
    (
        "a HTTPS 1 . alpn=h2 alpn=h3",
        &["4:21: `alpn=h3` gives a key for the second time | a key stands once (RFC 9460 §2.1)"],
    ),
    (
        "a HTTPS 1 . mandatory=alpn",
        &[
            "4:13: `mandatory` lists `alpn`, which the record lacks | add that key, or take it out of the list (RFC 9460 §8)",
        ],
    ),
    (
        "a HTTPS x .",
        &[
            "4:9: `x` is no priority: that is a number from 0 to 65535 | an HTTPS is written `priority target key=value …`",
        ],
    ),
    (
        "a LOC 91 N 1 E 0",
        &[
            "4:7: `91` is no latitude in degrees: that is a number from 0 to 90 | a LOC is written `latitude longitude altitude`",
        ],
    ),
    (
        "a LOC 42 60 N 1 E 0",
        &[
            "4:10: `60` is neither minutes below 60 nor `N` or `S` | a LOC is written `latitude longitude altitude`",
        ],
    ),
    (
        "a LOC 42 21 54 71 E 0",
        &["4:16: `71` stands where `N` or `S` is due | a LOC is written `latitude longitude altitude`"],
    ),
    (
        "a LOC 42 N 71 W 1km",
        &[
            "4:17: `1km` is no altitude: that is metres, such as `12.50m` | a LOC is written `latitude longitude altitude`",
        ],
    ),
    (
        "a LOC 42 N 71 W 0m 99999999m",
        &[
            "4:20: `99999999m` is no size: that is 0m to 90000000m | a LOC is written `latitude longitude altitude`",
        ],
    ),
    (
        "a URI 1 1",
        &["4:9: the record ends where its target ought to stand | a URI is written `priority weight target`"],
    ),
    (
        "a EUI48 00-00",
        &[
            "4:9: `00-00` is no address: that is 6 groups of 2 hexadecimal digits with `-` between | an EUI48 is written `address`",
        ],
    ),
    (
        "a APL 192.0.2.0/24",
        &["4:7: `192.0.2.0/24` is no address prefix | it is written `1:192.0.2.0/24` or `!2:2001:db8::/32`"],
    ),
    ("a CSYNC 1 1 FOO", &["4:13: no record type is called `FOO` | a CSYNC is written `serial flags type`"]),
    (
        "a CERT FOO 1 1 AAAA",
        &[
            "4:8: `FOO` is no type: neither a number nor a known name | a CERT is written `type key-tag algorithm certificate`",
        ],
    ),
    (
        " A 192.0.2.1\n$ORIGIN sub\n..x A 192.0.2.1\n A 192.0.2.1\nb A 192.0.2.1",
        &["6:1: `..x` is no name: a name has an empty label"],
    ),
    (
        "a A (\n  x )\nb A y",
        &[
            "5:3: `x` is no IPv4 address | an A is written `address`",
            "6:5: `y` is no IPv4 address | an A is written `address`",
        ],
    ),
];

/// What is wrong with the whole of a file.
const WHOLE: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "1:1: the zone `example.com.` has no SOA | write `@ SOA ns1 hostmaster 1 1h 15m 2w 5m` as its first record",
            "1:1: the zone `example.com.` has no NS at its apex | write `@ NS` with the name of each of its nameservers",
        ],
    ),
    (
        "$TTL 1y\n@ SOA a b 1 2 3 4 5\n@ NS a.example.net.\na A 192.0.2.1\n",
        &["1:6: `1y` is no TTL | write seconds, or numbers with units of `w d h m s`: `1h30m`"],
    ),
    (
        "@ SOA a b 1 2 3 4\n@ NS a.example.net.\na A 192.0.2.1\n",
        &[
            "1:17: the record ends where its minimum ought to stand | an SOA is written `mname rname serial refresh retry expire minimum`",
        ],
    ),
    (
        "@ NS a.example.net.\na A 192.0.2.1\n",
        &["1:3: the record has no TTL, and none is known for it | write `$TTL 1h` at the top of the file"],
    ),
    (
        "@ NS a.example.net.",
        &["1:3: the record has no TTL, and none is known for it | write `$TTL 1h` at the top of the file"],
    ),
    (
        "$TTL 1h\n@ SOA a b 1 2 3 4 5\n",
        &[
            "2:1: the zone `example.com.` has no NS at its apex | write `@ NS` with the name of each of its nameservers",
        ],
    ),
    (
        "\u{feff}$TTL 1h\n@ SOA a b 1 2 3 4 5\n@ NS a.example.net.\n",
        &[
            "1:1: the file begins with a byte order mark, which NSD, Knot and BIND refuse | save it as UTF-8 without BOM",
        ],
    ),
    (
        "  A 192.0.2.1\n@ 60 SOA a b 1 2 3 4 5\n@ NS a.example.net.\n",
        &[
            "1:3: no owner: the line begins with a blank, and no record stands before it | `@` is the zone itself",
        ],
    ),
    (
        "@ 1 SOA a b 1 2 3 4\n",
        &[
            "1:19: the record ends where its minimum ought to stand | an SOA is written `mname rname serial refresh retry expire minimum`",
        ],
    ),
];

/// What records point at, told when it is known that `steered.example.com.` is a service.
const LOOSE_ENDS: &[(&str, &[&str])] = &[
    (
        "@ NS ns2\nns2 CNAME ns1.example.net.",
        &[
            "warning 4:1: the nameserver `ns2.example.com.` is an alias (RFC 2181 §10.3) | name the host itself | 5:1: the alias",
        ],
    ),
    (
        "@ NS ns2",
        &[
            "warning 4:1: the nameserver `ns2.example.com.` has no address | give it an A or AAAA, or write a dot at its end if it lies outside the zone",
        ],
    ),
    (
        "@ MX 10 mail",
        &[
            "warning 4:1: the mail exchanger `mail.example.com.` has no address | give it an A or AAAA, or write a dot at its end if it lies outside the zone",
        ],
    ),
    (
        "a MX 10 b\nb CNAME c.example.net.",
        &[
            "warning 4:1: the mail exchanger `b.example.com.` is an alias (RFC 2181 §10.3) | name the host itself | 5:1: the alias",
        ],
    ),
    (
        "a MX 10 b\nb TXT x",
        &[
            "warning 4:1: the mail exchanger `b.example.com.` has no address | give it an A or AAAA, or write a dot at its end if it lies outside the zone",
        ],
    ),
    (
        "d NS ns.d",
        &[
            "warning 4:1: the nameserver `ns.d.example.com.` lies below the delegation and has no glue | give it an A or AAAA here: without one nobody can ask it (RFC 1034 §4.2.1)",
        ],
    ),
    ("d NS ns.d\nns.d A 192.0.2.1", &[]),
    ("d NS ns.e\ne NS ns.e\nns.e A 192.0.2.1", &[]),
    (
        "a CNAME b",
        &[
            "warning 4:1: `a.example.com.` is an alias of `b.example.com.`, which does not exist | write the target with a dot at its end if it lies outside the zone",
        ],
    ),
    (
        "a CNAME b\nb CNAME c\nc CNAME a",
        &["warning 4:1: the alias `a.example.com.` leads back to itself | one alias of the ring must go"],
    ),
    (
        "a CNAME a",
        &["warning 4:1: the alias `a.example.com.` leads back to itself | one alias of the ring must go"],
    ),
    (
        "a CNAME w.x\n*.x CNAME v.x",
        &["warning 5:1: the alias `*.x.example.com.` leads back to itself | one alias of the ring must go"],
    ),
    ("a CNAME b\nx.b TXT ent", &[]),
    ("a CNAME x.t\nt DNAME example.net.", &[]),
    (
        "@ MX 5 x.t\nt DNAME example.net.",
        &[
            "warning 4:1: the mail exchanger `x.t.example.com.` is an alias (RFC 2181 §10.3) | name the host itself | 5:1: the alias",
        ],
    ),
    ("a CNAME steered\n@ MX 1 steered\n@ NS steered", &[]),
    ("a MX 0 .", &[]),
    ("a CNAME x.d\nd NS ns.example.net.", &[]),
];

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    for (lines, expected) in MISTAKES {
        let (_, issues) = read(&format!("{HEAD}{lines}"));
        assert_eq!(issues.iter().map(told).collect::<Vec<_>>(), *expected, "{lines}");
    }
    for (text, expected) in WHOLE {
        let (_, issues) = read(text);
        assert_eq!(issues.iter().map(told).collect::<Vec<_>>(), *expected, "{text}");
    }
}

#[test]
fn loose_ends_are_told_but_not_where_a_service_stands() {
    for (lines, expected) in LOOSE_ENDS {
        let (zone, mut issues) = read(&format!("{HEAD}{lines}"));
        assert!(issues.is_empty(), "{lines}: {:?}", issues.iter().map(told).collect::<Vec<_>>());
        zone::loose_ends(&zone, &|name| *name == self::name("steered"), &mut issues);
        assert_eq!(issues.iter().map(told).collect::<Vec<_>>(), *expected, "{lines}");
    }
}

#[test]
fn every_type_is_read() {
    for text in [include_str!("data/zones/types.zone"), include_str!("data/zones/types_rare.zone")] {
        let (_, issues) = read(text);
        assert!(issues.is_empty(), "{:?}", issues.iter().map(told).collect::<Vec<_>>());
    }
}

#[test]
fn names_in_data_are_absolute_and_keep_their_case() {
    assert_eq!(records("a CNAME WWW"), ["a.example.com. 3600 5 03575757076578616d706c6503636f6d00"]);
    assert_eq!(
        records("$ORIGIN B.example.com.\na PTR @"),
        ["a.b.example.com. 3600 12 0142076578616d706c6503636f6d00"]
    );
}

#[test]
fn the_ttl_is_the_records_own_or_the_default_or_the_last_or_the_minimum() {
    let ttls = |text: &str| read(text).0.records.iter().map(|record| record.ttl_s).collect::<Vec<_>>();
    assert_eq!(ttls("@ SOA a b 1 2 3 4 5\n@ NS a\na 60 A 192.0.2.1\nb A 192.0.2.1"), [5, 5, 60, 5]);
    assert_eq!(ttls("@ 9 SOA a b 1 2 3 4 5\n@ NS a\na 60 A 192.0.2.1\nb A 192.0.2.1"), [9, 9, 60, 60]);
    assert_eq!(ttls("$TTL 7\n@ 9 SOA a b 1 2 3 4 5\n@ NS a\na 60 A 192.0.2.1\nb A 192.0.2.1"), [9, 7, 60, 7]);
}

#[test]
fn an_include_gives_back_the_origin_and_takes_one_of_its_own() {
    let owners = |lines: &str| {
        read(&format!("{HEAD}{lines}")).0.records[2..]
            .iter()
            .map(|record| record.owner.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(owners("$INCLUDE hosts.inc\na A 192.0.2.1"), ["host.example.com.", "a.example.com."]);
    assert_eq!(
        owners("$INCLUDE \"hosts.inc\" sub\na A 192.0.2.1"),
        ["host.sub.example.com.", "a.example.com."]
    );
}

#[test]
fn a_record_knows_where_it_stands() {
    let (zone, _) = read(&format!("{HEAD}a 60 IN A 192.0.2.1\n  ; c\n  AAAA 2001:db8::1\n"));
    let shown = |index: usize| {
        let At { source, span } = &zone.at[index];
        (place(&zone.at[index]), source.text[span.clone()].to_string())
    };
    assert_eq!(shown(2), ("4:1".to_string(), "a 60 IN A".to_string()));
    assert_eq!(shown(3), ("6:3".to_string(), "AAAA".to_string()));
}

#[test]
fn a_record_that_stands_twice_counts_once() {
    let (zone, issues) = read(&format!("{HEAD}a MX 1 b\nA MX 1 B\na 60 IN MX 1 b\n"));
    assert_eq!((zone.records.len(), issues.len()), (3, 2));
    assert_eq!(zone.records[2].ttl_s, 60, "the lowest TTL counts");
    assert!(issues.iter().all(|issue| issue.severity == Severity::Warning));
}

#[test]
fn mistakes_are_told_to_a_bound() {
    let (_, issues) = read(&format!("{HEAD}{}", "a A x\n".repeat(1000)));
    assert_eq!(issues.len(), 101);
    assert_eq!(issues[100].what, "these were 100 errors; reading stopped here");
    let (zone, issues) = read(&format!("{HEAD}{}", "a A 192.0.2.1\n".repeat(1000)));
    assert_eq!((zone.records.len(), issues.len()), (3, 101));
}

#[test]
fn bombs_end_soon() {
    let nested = format!("{HEAD}a TXT {}", "(".repeat(1 << 20));
    let words = format!("{HEAD}a TXT ( {}", "a ".repeat(1 << 19));
    let strings = format!("{HEAD}a TXT {}", "\"\" ".repeat(1 << 18));
    let open = format!("{HEAD}{}", "a A (\n".repeat(1 << 16));
    let quotes = format!("{HEAD}{}", "a TXT \"\n".repeat(1 << 16));
    let generated = format!("{HEAD}{}", "$GENERATE 0-2147483647 a$ A 192.0.2.1\n".repeat(1000));
    let wide = format!("{HEAD}$GENERATE 0-2147483647 a A ${{0,4294967295,d}}\n");
    for text in [nested, words, strings, open, quotes, wide] {
        assert!(!read(&text).1.is_empty());
    }
    let (zone, issues) = read(&generated);
    assert!(zone.records.len() <= zone::GENERATED_RECORDS_MAX + 2);
    assert!(
        issues.iter().any(|issue| issue.what.contains("makes more than")),
        "{:?}",
        issues.iter().map(told).next()
    );
}

#[test]
fn includes_that_fan_out_end_soon() {
    let source = |path: &str, text: String| Arc::new(Source { path: path.into(), text });
    let mut asked = 0;
    let mut include = |_: &str, by: &str| {
        asked += 1;
        Ok(source(&format!("{by}x"), "$INCLUDE a\n".repeat(100)))
    };
    let mut issues = Vec::new();
    zone::read(&source("a", "$INCLUDE a\n".repeat(100)), &name("@"), &mut include, &mut issues);
    assert!(asked <= zone::INCLUDE_FILES_MAX && issues.len() <= 101);
}

/// Pieces from which texts are made that look like master files and are mostly none.
fn scraps() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("@"),
        Just("."),
        Just("example.com."),
        Just(" "),
        Just("\t"),
        Just("\n"),
        Just("\r\n"),
        Just("("),
        Just(")"),
        Just("\""),
        Just("\\"),
        Just("\\# "),
        Just("\\000"),
        Just(";"),
        Just("$"),
        Just("${"),
        Just("}"),
        Just("$TTL "),
        Just("$ORIGIN "),
        Just("$INCLUDE hosts.inc"),
        Just("$GENERATE 1-3 "),
        Just("1h"),
        Just("IN "),
        Just("CH "),
        Just("\nb A 192.0.2.1"),
        Just("\nb AAAA ::1"),
        Just("\nb SOA a b 1 2 3 4 5"),
        Just("\nb MX 1 c"),
        Just("\nb TXT "),
        Just("\nb LOC 1 N 1 E 1"),
        Just("\nb HTTPS 1 . "),
        Just("alpn=\"h2\""),
        Just("\nb CNAME b"),
        Just("\nb DNAME c"),
        Just("\nb NS b"),
        Just("\nb APL 1:1.2.3.4/5"),
        Just("\nb CSYNC 1 1 A"),
        Just("\nb TYPE77 "),
        Just("4 0102"),
        Just("\0"),
        Just("é"),
        Just("\u{feff}"),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No text whatever makes reading panic or point outside of it.
    #[test]
    fn reading_never_panics(text in prop_oneof![scraps(), any::<String>(), scraps().prop_map(|text| format!("{HEAD}{text}"))]) {
        let (zone, issues) = read(&text);
        for at in issues.iter().filter_map(|issue| issue.at.as_ref()).chain(&zone.at) {
            prop_assert!(at.source.text.get(at.span.clone()).is_some(), "{:?} of {:?}", at.span, at.source.text);
        }
        let mut more = Vec::new();
        zone::loose_ends(&zone, &|_| false, &mut more);
        for record in &zone.records {
            prop_assert!(record.owner.is_within(&zone.origin) && record.rdata.len() <= 65_535);
        }
    }

    /// A good zone with one octet changed or lost makes reading neither panic nor hang.
    #[test]
    fn a_damaged_zone_is_read_to_its_end(at in any::<proptest::sample::Index>(), with in proptest::option::of(any::<char>())) {
        let text = include_str!("data/zones/types.zone");
        let places: Vec<usize> = text.char_indices().map(|(index, _)| index).collect();
        let index = places[at.index(places.len())];
        let mut damaged = text[..index].to_string();
        damaged.extend(with);
        damaged.extend(text[index..].chars().skip(1));
        let (zone, issues) = read(&damaged);
        prop_assert!(!zone.records.is_empty() || !issues.is_empty());
    }

    /// What was read, written as RFC 3597 writes it, reads back equal.
    #[test]
    fn generic_form_reads_back_equal(text in scraps()) {
        let (zone, again, refused) = through_generic_form(&text);
        prop_assert_eq!(refused, None);
        prop_assert_eq!(zone, again);
    }
}

#[test]
fn every_type_reads_back_equal_from_its_generic_form() {
    for text in [
        include_str!("data/zones/types.zone"),
        include_str!("data/zones/types_rare.zone"),
        include_str!("data/zones/syntax.zone"),
    ] {
        let (zone, again, refused) = through_generic_form(text);
        assert_eq!(refused, None);
        assert_eq!(zone, again);
    }
}

/// The records of `text`, those of its generic form, and what was refused of that.
fn through_generic_form(text: &str) -> (Vec<Record>, Vec<Record>, Option<String>) {
    let (zone, _) = read(text);
    let (again, issues) = read(&zone.records.iter().map(generic).collect::<String>());
    let refused = issues.iter().find(|issue| issue.what.contains("octets"));
    (zone.records, again.records, refused.map(told))
}

fn generic(record: &Record) -> String {
    let Record { owner, rtype, ttl_s, rdata } = record;
    format!("{owner} {ttl_s} IN TYPE{rtype} \\# {} {}\n", rdata.len(), hex(rdata))
}

/// Ten thousand names beside one another cost what they should: no list is walked for each.
#[test]
fn a_large_zone_is_read_whole() {
    let mut text = HEAD.to_string();
    for index in 0..10_000 {
        text.push_str(&format!(
            "host-{index} A 192.0.2.{}\nsame A 10.0.{}.{}\n",
            index % 256,
            index / 256,
            index % 256
        ));
    }
    let (zone, issues) = read(&text);
    assert_eq!((zone.records.len(), issues.len()), (20_002, 0));
    assert_eq!(zone.records[2].rtype, rtype::A);
}
