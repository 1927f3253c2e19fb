//! RFC 2181: clarifications.

use crate::desk::{Desk, Told, edns, opt};
use crate::support::world::World;

const MANY: usize = 60;

fn large() -> Desk {
    Desk::with(&(0..MANY).map(|at| format!("many A 192.0.2.{at}\n")).collect::<String>())
}

/// §5: the records of a set are told together, or not at all.
#[test]
fn s5_never_a_part_of_a_set() {
    let mut desk = large();
    for payload in (512..1232).step_by(7) {
        let told = desk.tell(&edns("many.live.example.com.", "A", &opt(payload, 0, 0, &[]))).unwrap();
        let count = told.said.answer.len();
        assert!([0, MANY].contains(&count), "{payload}: {count}");
        assert_eq!(told.said.is("tc"), count == 0, "{payload}");
    }
    assert_eq!(large().tcp().ask("many.live.example.com.", "A").said.answer.len(), MANY);
}

/// §5: each record once, however often it is written.
#[test]
fn s5_duplicates_are_told_once() {
    let told = Desk::with("mail A 192.0.2.25\nmail A 192.0.2.25\n").ask("mail.live.example.com.", "A");
    assert_eq!((told.said.answer.len(), told.said.twice.len()), (1, 0));
}

/// §5.2: one TTL for all records of a set: what is written otherwise is told with the lowest, and the operator is told.
#[test]
fn s5_2_one_ttl_per_set() {
    let told = Desk::with("both 60 A 192.0.2.1\nboth 30 A 192.0.2.2\n").ask("both.live.example.com.", "A");
    assert_eq!(Told::owners(&told.said.answer), ["both.live.example.com. 30 1"; 2]);
}

/// §8: a TTL is a number below 2^31.
#[test]
fn s8_ttls_beyond_31_bits_are_refused() {
    let mut files = crate::desk::files();
    files.append("zones/live.example.com.zone", "x 2147483648 A 192.0.2.1\n");
    let issues = World::start(&files).err().unwrap().to_string();
    assert!(issues.contains("2147483648"), "{issues}");
    let told = Desk::with("x 2147483647 A 192.0.2.1\n").ask("x.live.example.com.", "A");
    assert_eq!(Told::owners(&told.said.answer), ["x.live.example.com. 2147483647 1"]);
}

/// §9: TC only where something that is needed is missing: additional addresses that do not fit are left out without it.
#[test]
fn s9_tc_is_not_for_additionals() {
    let lines: String = (0..40).map(|at| format!("@ MX {at} m{at}\nm{at} A 192.0.2.{at}\n")).collect();
    let mut desk = Desk::with(&lines);
    let sizes: Vec<(usize, usize, bool)> = (512..1232)
        .step_by(8)
        .map(|payload| {
            let told = desk.tell(&edns("live.example.com.", "MX", &opt(payload, 0, 0, &[]))).unwrap();
            (told.said.answer.len(), told.said.additional.len(), told.said.is("tc"))
        })
        .collect();
    assert!(sizes.iter().all(|(answers, _, tc)| *tc == (*answers == 0)), "{sizes:?}");
    assert!(sizes.iter().any(|(answers, more, _)| *answers > 40 && *more < 13), "{sizes:?}");
}

/// §10.1: a CNAME stands alone: a master file that writes more is refused, with the line.
#[test]
fn s10_1_cname_and_other_data() {
    let mut files = crate::desk::files();
    files.append("zones/live.example.com.zone", "www A 192.0.2.1\n");
    let issues = World::start(&files).err().unwrap().to_string();
    assert!(issues.contains("www") && issues.contains("CNAME"), "{issues}");
}

/// §11: any octets make a label; they are compared without the case of ASCII letters, and nothing more.
#[test]
fn s11_any_octets_make_a_label() {
    let lines = "we\\032ird\\.\\000\\255 TXT odd\n";
    let told = Desk::with(lines).ask("WE\\032IRD\\.\\000\\255.live.example.com.", "TXT");
    assert_eq!(told.types(), [16]);
    let other = Desk::with(lines).ask("we\\032ird\\.\\000\\223.live.example.com.", "TXT");
    assert_eq!(other.said.rcode, 3, "223 is no capital 255");
}
