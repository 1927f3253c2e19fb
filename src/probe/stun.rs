//! A STUN binding request (RFC 8489), and the address that comes back in it.

use std::net::SocketAddr;

use super::ended::{Ended, Limit};
use super::udp;

const LAYER: &str = "binding";
/// Octets of the header (§5).
const HEADER: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
/// The third to sixth octet of the header's second half.
const MAGIC: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// The transaction that a request and its response share.
type Transaction = [u8; 12];

/// Asks for our address as the server sees it, and is content with any.
pub(super) async fn bind(to: SocketAddr, limit: &Limit) -> Result<(), Ended> {
    let [a, b] = [super::chance()?, super::chance()?];
    let mut transaction = Transaction::default();
    transaction.iter_mut().zip(a.into_iter().chain(b)).for_each(|(octet, chance)| *octet = chance);
    let [high, low] = REQUEST.to_be_bytes();
    let request = [&[high, low, 0, 0], &MAGIC[..], &transaction].concat();
    let asking = udp::connect(to).await?;
    asking.ask(LAYER, &request, limit, |octets| read(octets, &transaction)).await?
}

/// What a datagram says to our request; `None` where it is no response to it.
fn read(octets: &[u8], transaction: &Transaction) -> Option<Result<(), Ended>> {
    let (header, rest) = octets.split_first_chunk::<HEADER>()?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[4..8] != MAGIC || header[8..] != *transaction || !matches!(kind, SUCCESS | ERROR) {
        return None;
    }
    let Some(attributes) = rest.get(..length) else {
        return Some(Err(Ended::at(LAYER, "a response that is cut off")));
    };
    Some(match kind {
        SUCCESS => match attribute(attributes, XOR_MAPPED_ADDRESS) {
            Some(value) if is_address(value) => Ok(()),
            Some(_) => Err(Ended::at(LAYER, "a response whose address is none")),
            None => Err(Ended::at(LAYER, "a response without an address")),
        },
        _ => Err(Ended::at(LAYER, refusal(attribute(attributes, ERROR_CODE)))),
    })
}

/// The value of the first attribute of a type (§14).
fn attribute(mut octets: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = octets.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([head[0], head[1]]) == wanted {
            return Some(value);
        }
        octets = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Whether this is an address with its port, of either family (§14.2).
fn is_address(value: &[u8]) -> bool {
    matches!((value.get(1), value.len()), (Some(1), 8) | (Some(2), 20))
}

/// An error's class, number and reason (§14.8).
fn refusal(value: Option<&[u8]>) -> String {
    match value {
        Some([_, _, class, number, reason @ ..]) => {
            let code = u16::from(class & 7) * 100 + u16::from(*number);
            format!("error {code} {}", String::from_utf8_lossy(reason)).trim_end().into()
        }
        _ => "an error without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const OURS: Transaction = [7; 12];

    fn response(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let length = attributes.len() as u16;
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), &MAGIC, &OURS, attributes].concat()
    }

    fn told(octets: &[u8]) -> String {
        match read(octets, &OURS) {
            Some(Ok(())) => "succeeded".into(),
            Some(Err(Ended::Failed(cause))) => cause.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// RFC 5769 §2.2: a response with SOFTWARE before the address.
    #[test]
    fn an_address_is_found_behind_other_attributes() {
        let software = [&[0x80, 0x22, 0, 11][..], b"test vector ", &[][..]].concat();
        let v4 = [0, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43];
        assert_eq!(told(&response(SUCCESS, &[&software[..], &v4].concat())), "succeeded");
        let v6 = [&[0, 0x20, 0, 20, 0, 2, 0xA1, 0x47][..], &[9; 16]].concat();
        assert_eq!(told(&response(SUCCESS, &v6)), "succeeded");
    }

    #[test]
    fn failures_are_told() {
        let error = [&[0, 9, 0, 16, 0, 0, 4, 1][..], b"Unauthorized"].concat();
        assert_eq!(told(&response(ERROR, &error)), "binding: error 401 Unauthorized");
        assert_eq!(told(&response(ERROR, &[])), "binding: an error without a code");
        assert_eq!(told(&response(SUCCESS, &[])), "binding: a response without an address");
        let short = [0, 0x20, 0, 4, 0, 1, 2, 3];
        assert_eq!(told(&response(SUCCESS, &short)), "binding: a response whose address is none");
        let cut = response(SUCCESS, &short);
        assert_eq!(told(&cut[..24]), "binding: a response that is cut off");
    }

    #[test]
    fn what_does_not_answer_our_request_is_not_heard() {
        let mut other = response(SUCCESS, &[]);
        other[19] = 8;
        assert!(read(&other, &OURS).is_none(), "another transaction");
        assert!(read(&response(REQUEST, &[]), &OURS).is_none(), "a request");
        assert!(read(&[0; 20], &OURS).is_none(), "no STUN");
    }

    proptest! {
        // Reading never panics.
        #[test]
        fn garbage_is_borne(attributes in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..100) {
            let octets = response(SUCCESS, &attributes);
            let _ = read(&octets[..cut.min(octets.len())], &OURS);
            let _ = read(&response(ERROR, &attributes), &OURS);
        }
    }
}
