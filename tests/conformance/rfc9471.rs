//! RFC 9471: glue that is needed is not optional.

use crate::desk::{Desk, edns, opt};

const COUNT: usize = 40;

fn desk() -> Desk {
    Desk::zone(
        "a.",
        &[
            "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n".into(),
            (0..COUNT).map(|at| format!("in NS n{at}.in\nn{at}.in A 192.0.2.{at}\n")).collect::<String>(),
            "sib NS n1.in\nsib NS ns.other.\n".into(),
        ]
        .concat(),
    )
}

/// §2.1, §3.1: all glue of names below the cut, or TC.
#[test]
fn s3_1_in_domain_glue_or_tc() {
    let mut whole = 0;
    let mut desk = desk();
    for payload in (512..4000).step_by(100) {
        let told = desk.tell(&edns("x.in.a.", "A", &opt(payload, 0, 0, &[]))).unwrap();
        assert_eq!(told.said.is("tc"), told.said.additional.len() < COUNT, "{payload}: {}", told.said);
        assert!([0, COUNT].contains(&told.said.authority.len()), "{payload}");
        whole += usize::from(!told.said.is("tc"));
    }
    assert_eq!(whole, 0, "1232 octets do not hold them");
    let told = desk.tcp().ask("x.in.a.", "A");
    assert_eq!((told.counts(), told.said.is("tc")), ((0, 0, COUNT, COUNT), false));
}

/// §2.2, §3.2: glue of siblings is told where there is room, without TC where there is none.
#[test]
fn s3_2_sibling_glue() {
    let told = desk().ask("x.sib.a.", "A");
    assert_eq!((told.counts(), told.said.is("tc")), ((0, 0, 2, 1), false));
}
