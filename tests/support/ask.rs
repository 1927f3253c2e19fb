//! A question, and its answer as an independent reader (hickory-proto) understands it.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Instant;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Fact, Now, Reply, Transport, Worker};
use steerdns::snapshot::Snapshot;
use steerdns::wire::name;

/// A question with all that can stand beside it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, absolute.
    pub name: String,
    /// The type, by number.
    pub qtype: u16,
    /// The class, by number.
    pub qclass: u16,
    /// EDNS with this payload size.
    pub edns: Option<u16>,
    /// A client subnet: the octets of the option as they go out.
    pub subnet: Option<Vec<u8>>,
    /// DO.
    pub dnssec_ok: bool,
    /// RD.
    pub recursion_desired: bool,
    /// CD.
    pub checking_disabled: bool,
    /// AD.
    pub authentic_data: bool,
    /// NSID is asked for.
    pub nsid: bool,
    /// Who asks.
    pub peer: IpAddr,
    /// How.
    pub transport: Transport,
}

impl Question {
    /// `name` and `qtype`, from a documentation address over UDP, without EDNS.
    pub fn new(name: &str, qtype: &str) -> Question {
        Question {
            name: name.into(),
            qtype: type_number(qtype),
            qclass: 1,
            edns: None,
            subnet: None,
            dnssec_ok: false,
            recursion_desired: false,
            checking_disabled: false,
            authentic_data: false,
            nsid: false,
            peer: "192.0.2.53".parse().unwrap(),
            transport: Transport::Udp,
        }
    }

    /// The same with a client subnet, e.g. `203.0.113.0/24`.
    pub fn subnet(mut self, prefix: &str) -> Question {
        let (address, bits) = prefix.split_once('/').unwrap();
        let bits: u8 = bits.parse().unwrap();
        let (family, octets) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec()),
        };
        let mut option = vec![0, family, bits, 0];
        option.extend(&octets[..usize::from(bits).div_ceil(8)]);
        self.subnet = Some(option);
        self.edns = self.edns.or(Some(1232));
        self
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        let flags = u8::from(self.recursion_desired);
        let low = u8::from(self.authentic_data) << 5 | u8::from(self.checking_disabled) << 4;
        let edns = self.edns.is_some();
        let mut octets = vec![0xab, 0xcd, flags, low, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        name::encode(self.name.as_bytes(), None, &mut octets).unwrap();
        octets.extend(self.qtype.to_be_bytes());
        octets.extend(self.qclass.to_be_bytes());
        if let Some(payload) = self.edns {
            let mut options = Vec::new();
            if let Some(subnet) = &self.subnet {
                options.extend([0, 8]);
                options.extend((subnet.len() as u16).to_be_bytes());
                options.extend(subnet);
            }
            if self.nsid {
                options.extend([0, 3, 0, 0]);
            }
            octets.extend([0, 0, 41]);
            octets.extend(payload.to_be_bytes());
            octets.extend([0, 0, if self.dnssec_ok { 0x80 } else { 0 }, 0]);
            octets.extend((options.len() as u16).to_be_bytes());
            octets.extend(options);
        }
        octets
    }

    /// The answer of `snapshot`.
    pub fn ask(&self, snapshot: &Snapshot, worker: &mut Worker, now: Instant) -> Answer {
        let query = self.octets();
        let mut buf = vec![0xaa; 70_000];
        buf[..query.len()].copy_from_slice(&query);
        match respond(snapshot, worker, at(now), &mut buf, query.len(), self.peer, self.transport) {
            Reply::Done(len, fact) => Answer::read(&buf[..len], Some(fact)),
            reply => panic!("no answer but {reply:?}"),
        }
    }
}

/// That instant, at some second of the wall's clock.
pub fn at(instant: Instant) -> Now {
    Now { instant, unix_s: 1_800_000_000 }
}

/// An answer as others read it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its octets.
    pub octets: Vec<u8>,
    /// What hickory-proto makes of it.
    pub message: Message,
    /// What was counted.
    pub fact: Option<Fact>,
    /// The SCOPE of its client subnet.
    pub scope: Option<u8>,
}

impl Answer {
    /// Reads it; panics where an independent reader cannot.
    pub fn read(octets: &[u8], fact: Option<Fact>) -> Answer {
        // A client subnet of family 0 (`dig +subnet=0`) is unknown to this reader: it sees family 1.
        let mut known = octets.to_vec();
        if let Some(Range { start, .. }) = subnet_at(octets)
            && octets[start + 1] == 0
        {
            known[start + 1] = 1;
        }
        let message = Message::from_vec(&known).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
        Answer { octets: octets.to_vec(), scope: subnet_of(octets).map(|option| option[3]), message, fact }
    }

    /// RCODE and flags: `NOERROR aa`.
    pub fn status(&self) -> String {
        let meta = &self.message.metadata;
        let mut words = vec![rcode_word(u16::from(meta.response_code))];
        words.extend(meta.authoritative.then(|| "aa".to_owned()));
        words.extend(meta.truncation.then(|| "tc".to_owned()));
        words.join(" ")
    }

    /// The records of the answer section, one a line.
    pub fn answers(&self) -> Vec<String> {
        self.message.answers.iter().map(line).collect()
    }

    /// The records of the authority section.
    pub fn authorities(&self) -> Vec<String> {
        self.message.authorities.iter().map(line).collect()
    }

    /// The records of the additional section, but for the OPT.
    pub fn additionals(&self) -> Vec<String> {
        self.message.additionals.iter().map(line).collect()
    }

    /// The client subnet option, from FAMILY on.
    pub fn subnet(&self) -> Option<Vec<u8>> {
        subnet_of(&self.octets)
    }

    /// The addresses of the answer section, in their order.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
    }
}

fn line(record: &Record) -> String {
    let data = match &record.data {
        // This reader knows DNAME by its number alone.
        RData::Unknown { code: RecordType::DNAME, rdata } => {
            Name::from_bytes(&rdata.anything).map_or_else(|error| error.to_string(), |name| name.to_string())
        }
        data => data.to_string(),
    };
    format!("{} {} {} {data}", record.name, record.ttl, record.record_type())
}

/// The ECS option of an answer, from FAMILY on.
fn subnet_of(octets: &[u8]) -> Option<Vec<u8>> {
    subnet_at(octets).map(|place| octets[place].to_vec())
}

/// Where it stands: found by the OPT record, which stands last.
fn subnet_at(octets: &[u8]) -> Option<Range<usize>> {
    let mut at = 12;
    let count = |at: usize| usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
    let skip = |mut at: usize| loop {
        match octets[at] {
            0 => return at + 1,
            0xc0.. => return at + 2,
            len => at += 1 + usize::from(len),
        }
    };
    for _ in 0..count(4) {
        at = skip(at) + 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        at = skip(at);
        let rtype = count(at);
        let len = count(at + 8);
        if rtype == 41 {
            let (mut option, end) = (at + 10, at + 10 + len);
            while option + 4 <= end {
                let behind = option + 4 + count(option + 2);
                if count(option) == 8 {
                    return Some(option + 4..behind);
                }
                option = behind;
            }
        }
        at += 10 + len;
    }
    None
}

/// The number of a type by its mnemonic.
pub fn type_number(word: &str) -> u16 {
    if let Some(number) = word.strip_prefix("TYPE") {
        return number.parse().unwrap();
    }
    match word {
        "ANY" => return 255,
        "IXFR" => return 251,
        _ => {}
    }
    word.parse::<hickory_proto::rr::RecordType>().unwrap_or_else(|_| panic!("type {word}")).into()
}

/// The mnemonic of an RCODE, as dig shows it.
pub fn rcode_word(rcode: u16) -> String {
    let word = match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        16 => "BADVERS",
        other => return format!("RCODE{other}"),
    };
    word.into()
}
