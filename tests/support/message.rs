//! An answer as sets, which is how the answers of two servers compare. A reader of its own: the code under test
//! has no part in it, and neither has hickory-proto.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use steerdns::wire::name::{Name, wire_len};

/// The most compression pointers of one name: more would be a loop.
const POINTERS_MAX: usize = 128;

/// A resource record, its names uncompressed and in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rr {
    /// The owner's wire octets.
    pub owner: Vec<u8>,
    /// The type.
    pub rtype: u16,
    /// The class.
    pub class: u16,
    /// The RDATA.
    pub rdata: Vec<u8>,
    /// Seconds.
    pub ttl_s: u32,
}

/// What an OPT record tells of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The version.
    pub version: u8,
    /// DO.
    pub dnssec_ok: bool,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The RCODE, extended bits included.
    pub rcode: u16,
    /// The header's flags that are set, in small letters: `aa`, `tc`, `rd`, `ra`, `ad`, `cd`.
    pub flags: BTreeSet<&'static str>,
    /// The question as it came back: name in lower case, type, class.
    pub question: Option<(Vec<u8>, u16, u16)>,
    /// The answer section.
    pub answer: BTreeSet<Rr>,
    /// The authority section.
    pub authority: BTreeSet<Rr>,
    /// The additional section, but for the OPT record.
    pub additional: BTreeSet<Rr>,
    /// The OPT record.
    pub opt: Option<Opt>,
    /// Records that stand twice in their section, to the octet.
    pub twice: Vec<Rr>,
    /// How many octets it took.
    pub len: usize,
    /// How many of them behind the authority section.
    pub extra: usize,
}

impl Said {
    /// Reads a message; the error tells what is wrong with it.
    pub fn read(octets: &[u8]) -> Result<Said, String> {
        let header = octets.get(..12).ok_or("shorter than a header")?;
        let flag = |octet: usize, bit: u8, word| (header[octet] & bit != 0).then_some(word);
        let flags = [
            flag(2, 0x04, "aa"),
            flag(2, 0x02, "tc"),
            flag(2, 0x01, "rd"),
            flag(3, 0x80, "ra"),
            flag(3, 0x20, "ad"),
            flag(3, 0x10, "cd"),
        ];
        let mut said = Said {
            rcode: u16::from(header[3] & 0x0f),
            flags: flags.into_iter().flatten().collect(),
            question: None,
            answer: BTreeSet::new(),
            authority: BTreeSet::new(),
            additional: BTreeSet::new(),
            opt: None,
            twice: Vec::new(),
            len: octets.len(),
            extra: 0,
        };
        if header[2] & 0x80 == 0 {
            return Err("a query, not an answer".into());
        }
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut at = 12;
        for _ in 0..count(4) {
            let name = name(octets, &mut at)?;
            let (qtype, qclass) = (number(octets, &mut at)?, number(octets, &mut at)?);
            said.question = Some((name.to_ascii_lowercase(), qtype, qclass));
        }
        for (section, records) in [(0, count(6)), (1, count(8)), (2, count(10))] {
            said.extra = octets.len() - at;
            let mut seen = HashSet::new();
            for _ in 0..records {
                let start = at;
                let Some(rr) = said.record(octets, &mut at)? else { continue };
                let exact = Said::exact(octets, start)?;
                if !seen.insert((rr.owner.clone(), rr.rtype, exact)) {
                    said.twice.push(rr.clone());
                }
                [&mut said.answer, &mut said.authority, &mut said.additional][section].insert(rr);
            }
        }
        if at == octets.len() {
            Ok(said)
        } else {
            Err(format!("{} octets behind the end", octets.len() - at))
        }
    }

    /// The next record; `None`: it was the OPT.
    fn record(&mut self, octets: &[u8], at: &mut usize) -> Result<Option<Rr>, String> {
        let owner = name(octets, at)?;
        let (rtype, class) = (number(octets, at)?, number(octets, at)?);
        let ttl_s = u32::from(number(octets, at)?) << 16 | u32::from(number(octets, at)?);
        let len = usize::from(number(octets, at)?);
        let end = *at + len;
        if end > octets.len() {
            return Err("RDATA beyond the end".into());
        }
        if rtype == 41 {
            if self.opt.is_some() {
                return Err("two OPT records".into());
            }
            self.rcode |= (ttl_s >> 24 << 4) as u16;
            self.opt = Some(Opt { version: (ttl_s >> 16) as u8, dnssec_ok: ttl_s & 0x8000 != 0 });
            *at = end;
            return Ok(None);
        }
        let rdata = rdata(octets, at, end, rtype)?;
        let folded = fold(rtype, &rdata);
        Ok(Some(Rr { owner: owner.to_ascii_lowercase(), rtype, class, rdata: folded, ttl_s }))
    }

    /// The RDATA of the record at `at`, in its own case.
    fn exact(octets: &[u8], mut at: usize) -> Result<Vec<u8>, String> {
        name(octets, &mut at)?;
        let rtype = number(octets, &mut at)?;
        at += 6;
        let end = usize::from(number(octets, &mut at)?) + at;
        rdata(octets, &mut at, end, rtype)
    }

    /// Whether a flag is set.
    pub fn is(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }
}

/// RDATA up to `end`, its names uncompressed.
fn rdata(octets: &[u8], at: &mut usize, end: usize, rtype: u16) -> Result<Vec<u8>, String> {
    let mut rdata = Vec::new();
    let (fixed, strings, names) = layout(rtype);
    let mut left = fixed;
    for _ in 0..strings {
        left += 1 + usize::from(*octets.get(*at + left).ok_or("a string beyond the end")?);
    }
    rdata.extend(octets.get(*at..*at + left).ok_or("RDATA beyond the end")?);
    *at += left;
    for _ in 0..names {
        rdata.extend(name(octets, at)?);
    }
    if *at > end {
        return Err(format!("RDATA of type {rtype} is longer than it says"));
    }
    rdata.extend(&octets[*at..end]);
    *at = end;
    Ok(rdata)
}

/// Uncompressed RDATA with its names in lower case.
fn fold(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    let (mut at, strings, names) = layout(rtype);
    for _ in 0..strings {
        at += 1 + usize::from(folded[at]);
    }
    for _ in 0..names {
        let len = wire_len(&folded[at..]).unwrap_or(0);
        folded[at..at + len].make_ascii_lowercase();
        at += len;
    }
    folded
}

/// What stands before the names of RDATA (octets, then strings), and how many names there are.
fn layout(rtype: u16) -> (usize, usize, usize) {
    match rtype {
        2 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 0, 1), // NS CNAME MB MG MR PTR DNAME
        6 | 14 | 17 => (0, 0, 2),                 // SOA MINFO RP
        15 | 18 | 21 | 36 | 107 => (2, 0, 1),     // MX AFSDB RT KX LP
        26 => (2, 0, 2),                          // PX
        33 => (6, 0, 1),                          // SRV
        35 => (4, 3, 1),                          // NAPTR
        64 | 65 => (2, 0, 1),                     // SVCB HTTPS
        _ => (0, 0, 0),
    }
}

fn number(octets: &[u8], at: &mut usize) -> Result<u16, String> {
    let pair = octets.get(*at..*at + 2).ok_or("a field beyond the end")?;
    *at += 2;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

/// The name at a place, uncompressed.
fn name(octets: &[u8], at: &mut usize) -> Result<Vec<u8>, String> {
    let mut name = Vec::new();
    let (mut here, mut end, mut pointers) = (*at, None, 0);
    loop {
        let len = *octets.get(here).ok_or("a name beyond the end")?;
        match len {
            0 => break,
            1..=63 => {
                let label = octets.get(here..here + 1 + usize::from(len)).ok_or("a label beyond the end")?;
                name.extend(label);
                here += label.len();
            }
            0xc0.. => {
                let low = *octets.get(here + 1).ok_or("a pointer beyond the end")?;
                let to = usize::from(len & 0x3f) << 8 | usize::from(low);
                pointers += 1;
                if to >= here || pointers > POINTERS_MAX {
                    return Err(format!("a pointer at {here} to {to}"));
                }
                end.get_or_insert(here + 2);
                here = to;
            }
            _ => return Err(format!("a label of kind {len:#x}")),
        }
    }
    name.push(0);
    if name.len() > 255 {
        return Err("a name of more than 255 octets".into());
    }
    *at = end.unwrap_or(here + 1);
    Ok(name)
}

impl fmt::Debug for Rr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |octets: &[u8]| Name::from_wire(octets).map_or("?".into(), |name| name.to_string());
        write!(f, "{} {} TYPE{} ", shown(&self.owner), self.ttl_s, self.rtype)?;
        let (fixed, strings, names) = layout(self.rtype);
        if names > 0 && strings == 0 {
            write!(f, "{:02x?} {}", &self.rdata[..fixed], shown(&self.rdata[fixed..]))
        } else {
            write!(f, "{:02x?}", &self.rdata[..self.rdata.len().min(40)])
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<_> = self.flags.iter().copied().collect();
        write!(f, "rcode {} {} ({} octets, {:?})", self.rcode, flags.join(" "), self.len, self.opt)?;
        for (word, section) in [("ans", &self.answer), ("aut", &self.authority), ("add", &self.additional)] {
            for rr in section.iter().take(5) {
                write!(f, "\n      {word} {rr:?}")?;
            }
            if section.len() > 5 {
                write!(f, "\n      {word} … {} in all", section.len())?;
            }
        }
        Ok(())
    }
}

/// The record that begins at `at`, and where it ends.
pub fn record_at(octets: &[u8], at: usize) -> (Rr, usize) {
    let mut said = Said::read(&[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let mut end = at;
    (said.record(octets, &mut end).unwrap().unwrap(), end)
}

/// The options of a message's OPT record, in their order.
pub fn options(octets: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut at = 12;
    let count = |at: usize| usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
    for _ in 0..count(4) {
        name(octets, &mut at).unwrap();
        at += 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        name(octets, &mut at).unwrap();
        let (rtype, end) = (count(at), at + 10 + count(at + 8));
        at += 10;
        let mut options = Vec::new();
        while rtype == 41 && at < end {
            let len = count(at + 2);
            options.push((count(at) as u16, octets[at + 4..at + 4 + len].to_vec()));
            at += 4 + len;
        }
        if rtype == 41 {
            return options;
        }
        at = end;
    }
    Vec::new()
}
