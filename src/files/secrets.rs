//! Secrets that operators keep in files of their own. No mistake shows what stands in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::cookie::SECRET_OCTETS;

/// The shortest secret of a key, in octets: what can be guessed is none.
const KEY_OCTETS_MIN: usize = 16;
/// The longest.
const KEY_OCTETS_MAX: usize = 1024;
/// The most secrets of cookies: the one in use, the last one, the next one.
const COOKIE_SECRETS_MAX: usize = 8;

/// The octets of a key's secret in base64; the error is what is wrong with it.
pub(super) fn key(text: &str) -> Result<Vec<u8>, String> {
    let plain: String = text.split_whitespace().collect();
    let octets = STANDARD.decode(plain).map_err(|_| "is not base64 (RFC 4648 §4)".to_owned())?;
    match octets.len() {
        0 => Err("holds nothing".into()),
        len if len < KEY_OCTETS_MIN => Err(format!("has {len} octets, fewer than {KEY_OCTETS_MIN}")),
        len if len > KEY_OCTETS_MAX => Err(format!("has more than {KEY_OCTETS_MAX} octets")),
        _ => Ok(octets),
    }
}

/// The same from a file: base64 alone, or what `tsig-keygen` of BIND writes.
pub(super) fn key_file(octets: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "is not text".to_owned())?;
    let quoted = text.split_once("secret").and_then(|(_, rest)| rest.split('"').nth(1));
    let lines = || text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<String>();
    key(&quoted.map_or_else(lines, str::to_owned))
}

/// The secrets of server cookies from a file: 32 hexadecimal digits a line, `#` begins a comment.
pub(super) fn cookies(octets: &[u8]) -> Result<Vec<[u8; SECRET_OCTETS]>, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "is not text".to_owned())?;
    let mut secrets = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let digits = line.split('#').next().unwrap_or_default().trim();
        if !digits.is_empty() {
            let wrong = || format!("line {number} is not {} hexadecimal digits", SECRET_OCTETS * 2);
            secrets.push(hex(digits).ok_or_else(wrong)?);
        }
    }
    match secrets.len() {
        0 => {
            Err("holds no secret: write 32 hexadecimal digits a line, e.g. from `openssl rand -hex 16`"
                .into())
        }
        many if many > COOKIE_SECRETS_MAX => {
            Err(format!("holds {many} secrets, more than {COOKIE_SECRETS_MAX}"))
        }
        _ => Ok(secrets),
    }
}

/// A token from a file: one line of visible ASCII.
pub(super) fn token(octets: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "is not text".to_owned())?.trim();
    match text.len() {
        0 => Err("holds no token".into()),
        len if len < KEY_OCTETS_MIN => Err(format!(
            "holds {len} characters, fewer than {KEY_OCTETS_MIN}: write e.g. what `openssl rand -hex 16` says"
        )),
        len if len > KEY_OCTETS_MAX => Err(format!("holds more than {KEY_OCTETS_MAX} characters")),
        _ if !text.bytes().all(|octet| octet.is_ascii_graphic()) => {
            Err("is not one line of visible characters".into())
        }
        _ => Ok(text.to_owned()),
    }
}

fn hex(digits: &str) -> Option<[u8; SECRET_OCTETS]> {
    let digits = digits.as_bytes();
    let mut octets = [0; SECRET_OCTETS];
    if digits.len() != SECRET_OCTETS * 2 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";

    #[test]
    fn a_key_is_base64_alone_or_as_tsig_keygen_writes_it() {
        let octets = b"12345678901234567890123456789012";
        let bind = format!("key \"sin\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
        for text in [SECRET, &format!("# of sin\n{SECRET}\n"), &bind] {
            assert_eq!(key_file(text.as_bytes()).unwrap(), octets, "{text}");
        }
        assert_eq!(key("").unwrap_err(), "holds nothing");
        assert_eq!(key("YWJj").unwrap_err(), "has 3 octets, fewer than 16");
        assert_eq!(key("not base64!").unwrap_err(), "is not base64 (RFC 4648 §4)");
        assert_eq!(key_file(&[0xff]).unwrap_err(), "is not text");
    }

    #[test]
    fn secrets_of_cookies_stand_one_a_line() {
        let text = "# made in May\ne5e973e5a6b2a43f48e7dc849e37bfcf\n\n445536BCD2513298075A5D379663C962 # the next\n";
        let secrets = cookies(text.as_bytes()).unwrap();
        assert_eq!((secrets.len(), secrets[0][..2].to_vec(), secrets[1][15]), (2, vec![0xe5, 0xe9], 0x62));
        assert!(cookies(b"\n# nothing\n").unwrap_err().starts_with("holds no secret"));
        let wrong = cookies(b"e5e973e5a6b2a43f48e7dc849e37bfcf\ne5e973\n").unwrap_err();
        assert_eq!(wrong, "line 2 is not 32 hexadecimal digits");
        assert_eq!(
            cookies(b"zze973e5a6b2a43f48e7dc849e37bfcf").unwrap_err(),
            "line 1 is not 32 hexadecimal digits"
        );
    }
}
