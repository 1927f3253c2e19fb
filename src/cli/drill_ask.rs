//! A resolver of `drill`'s own: asks the running server, and reads which addresses it answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::wire::edns::OPT;
use crate::wire::name::Name;
use crate::wire::query::HEADER;
use crate::zone::record::rtype;

/// How long an answer is waited for: the server is on this machine.
const PATIENCE: Duration = Duration::from_secs(2);
const CLASS_IN: u16 = 1;
/// The option that names a client's network (RFC 7871 §6).
const SUBNET: u16 = 8;

/// A question of a client.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) rtype: u16,
    /// The client's network, as it was told.
    pub(super) client: Option<String>,
    octets: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    /// Of the first of them, in seconds.
    pub(super) ttl_s: u32,
}

impl Question {
    /// As the server tells it; `None` where it tells no question.
    pub(super) fn of(told: &Value) -> Option<Question> {
        let name = Name::parse(told["name"].as_str()?, Some(&Name::root())).ok()?;
        let rtype = if told["type"].as_str()? == "A" { rtype::A } else { rtype::AAAA };
        let client = told["client"].as_str().map(str::to_owned);
        let mut octets = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        octets.extend(name.octets());
        octets.extend(rtype.to_be_bytes());
        octets.extend(CLASS_IN.to_be_bytes());
        let option = match &client {
            Some(client) => option(client)?,
            None => Vec::new(),
        };
        octets.push(0);
        octets.extend(OPT.to_be_bytes());
        octets.extend(u16::MAX.to_be_bytes());
        octets.extend([0; 4]);
        octets.extend(u16::try_from(option.len()).ok()?.to_be_bytes());
        octets.extend(option);
        Some(Question { name, rtype, client, octets })
    }
}

/// The option for a network.
fn option(client: &str) -> Option<Vec<u8>> {
    let (address, bits) = client.split_once('/')?;
    let bits: u8 = bits.parse().ok()?;
    let (family, octets) = match address.parse().ok()? {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let octets = octets.get(..usize::from(bits).div_ceil(8))?;
    let length = u16::try_from(octets.len() + 4).ok()?;
    Some([&SUBNET.to_be_bytes()[..], &length.to_be_bytes(), &[0, family, bits, 0], octets].concat())
}

/// A connection to the server. Over TCP no limit of answers makes a gap that the drill did not make.
pub(super) struct Resolver {
    to: SocketAddr,
    stream: Option<TcpStream>,
    id: u16,
}

impl Resolver {
    /// One that asks there, and from that same address: as the server took it to ask when it chose the questions.
    pub(super) fn new(to: SocketAddr) -> Resolver {
        Resolver { to, stream: None, id: 0 }
    }

    /// Asks. `None`: there is no answer, or one without addresses.
    pub(super) async fn ask(&mut self, question: &Question) -> Option<Answer> {
        // A connection may have been closed since the last question: a second one is made at once.
        for _ in 0..2 {
            match timeout(PATIENCE, self.exchange(question)).await {
                Ok(Ok(answer)) => return answer.filter(|answer| !answer.addresses.is_empty()),
                Ok(Err(_)) | Err(_) => self.stream = None,
            }
        }
        None
    }

    async fn exchange(&mut self, question: &Question) -> std::io::Result<Option<Answer>> {
        self.id = self.id.wrapping_add(1);
        let mut octets = question.octets.clone();
        octets[..2].copy_from_slice(&self.id.to_be_bytes());
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(connect(self.to).await?),
        };
        let length = u16::try_from(octets.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &octets].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        if answer.get(..2) != Some(&octets[..2]) {
            return Err(std::io::Error::other("an answer to another question"));
        }
        Ok(read(&answer, question.rtype))
    }
}

/// A connection to there from the same address.
async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(to.ip(), 0))?;
    socket.connect(to).await
}

/// What a message answers; `None` where it is an error, or cannot be read.
fn read(octets: &[u8], rtype: u16) -> Option<Answer> {
    let header = octets.first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[2] & 0x80 == 0 || header[3] & 0x0f != 0 {
        return None;
    }
    let mut at = HEADER;
    for _ in 0..count(4) {
        Name::read(octets, &mut at)?;
        at += 4;
    }
    let mut answer = Answer { addresses: Vec::new(), ttl_s: 0 };
    for _ in 0..count(6) {
        Name::read(octets, &mut at)?;
        let [t0, t1, _, _, a, b, c, d, l0, l1] = *octets.get(at..)?.first_chunk::<10>()?;
        at += 10;
        let data = octets.get(at..at + usize::from(u16::from_be_bytes([l0, l1])))?;
        at += data.len();
        if u16::from_be_bytes([t0, t1]) != rtype {
            continue;
        }
        let address = match data.len() {
            4 => IpAddr::from(*data.first_chunk::<4>()?),
            _ => IpAddr::from(*data.first_chunk::<16>()?),
        };
        answer.addresses.push(address);
        answer.ttl_s = u32::from_be_bytes([a, b, c, d]);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_names_the_clients_network() {
        let told = json!({ "name": "a.example.", "type": "A", "client": "203.0.113.0/24" });
        let question = Question::of(&told).unwrap();
        let end = [0, 0, 41, 255, 255, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113];
        assert!(question.octets.ends_with(&end), "{:?}", question.octets);
        assert!(Question::of(&json!({ "name": "a..", "type": "A" })).is_none());
        assert!(Question::of(&json!({ "name": "a.", "type": "A", "client": "1.2.3.4/99" })).is_none());
    }

    #[test]
    fn nothing_in_an_answer_makes_reading_it_fail() {
        let mut good = vec![0, 1, 0x84, 0, 0, 1, 0, 2, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
        for last in [7, 8] {
            good.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 20, 0, 4, 192, 0, 2, last]);
        }
        let addresses = ["192.0.2.7", "192.0.2.8"].map(|ip| ip.parse().unwrap()).to_vec();
        assert_eq!(read(&good, rtype::A), Some(Answer { addresses, ttl_s: 20 }));
        for length in 0..good.len() {
            assert_eq!(read(&good[..length], rtype::A), None, "cut to {length}");
        }
        for at in 0..good.len() {
            for octet in [0, 1, 0x3f, 0xc0, 0xff] {
                let mut bent = good.clone();
                bent[at] = octet;
                let _ = read(&bent, rtype::A);
            }
        }
    }
}
