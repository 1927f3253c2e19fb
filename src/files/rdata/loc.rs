//! LOC: where on the globe a name is (RFC 1876).

use crate::files::lexer::Fault;
use crate::files::rdata::fields::Fields;

/// The wire octets of a LOC (RFC 1876 §2): 16 of them.
pub(super) const LOC_OCTETS: usize = 16;

/// The equator and the prime meridian on the wire (RFC 1876 §2).
const MIDDLE: u32 = 1 << 31;
/// What is added to an altitude, in centimetres (RFC 1876 §2).
const ALTITUDE_ZERO_CM: i64 = 10_000_000;
/// The largest size or precision that the wire can tell: 9e9 centimetres.
const SIZE_CM_MAX: i64 = 9_000_000_000;

/// Reads `d1 [m1 [s1]] N|S d2 [m2 [s2]] E|W alt [size [horizontal [vertical precision]]]` (RFC 1876 §3).
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(fields, "latitude", 90, ["N", "S"])?;
    let longitude = angle(fields, "longitude", 180, ["E", "W"])?;
    let altitude_cm = metres(fields, "altitude")?;
    let altitude = u32::try_from(altitude_cm + ALTITUDE_ZERO_CM)
        .map_err(|_| fields.fault("`%` is no altitude: that is -100000m to 42849672.95m"))?;
    let mut sizes = [0x12, 0x16, 0x13]; // 1 m, 10 km and 10 m: the defaults of RFC 1876 §3
    for (size, what) in sizes.iter_mut().zip(["size", "horizontal precision", "vertical precision"]) {
        if fields.peek().is_none() {
            break;
        }
        let cm = metres(fields, what)?;
        *size =
            power(cm).ok_or_else(|| fields.fault(&format!("`%` is no {what}: that is 0m to 90000000m")))?;
    }
    out.extend([0, sizes[0], sizes[1], sizes[2]]);
    out.extend(latitude.to_be_bytes());
    out.extend(longitude.to_be_bytes());
    out.extend(altitude.to_be_bytes());
    Ok(())
}

/// Whether `wire` is what a LOC may be (RFC 1876 §2); other versions than 0 may look as they like.
pub(super) fn is_sound(wire: &[u8]) -> bool {
    let size = |octet: u8| octet >> 4 <= 9 && octet & 15 <= 9;
    match wire.first() {
        Some(0) => wire.len() == LOC_OCTETS && wire[1..4].iter().all(|&octet| size(octet)),
        Some(_) => true,
        None => false,
    }
}

/// Degrees, minutes and seconds with the hemisphere behind them, in thousandths of a second from the middle.
fn angle(
    fields: &mut Fields<'_>,
    what: &str,
    degrees_max: u32,
    hemispheres: [&str; 2],
) -> Result<u32, Fault> {
    let [ahead, back] = hemispheres;
    let mut ms = fields.number(&format!("{what} in degrees"), degrees_max)? * 3_600_000;
    for step in 0..3 {
        let word = fields.word(&format!("`{ahead}` or `{back}` behind the {what}"))?;
        if word.eq_ignore_ascii_case(ahead) || word.eq_ignore_ascii_case(back) {
            if ms > degrees_max * 3_600_000 {
                return Err(fields.fault(&format!("a {what} of more than {degrees_max} degrees")));
            }
            return Ok(if word.eq_ignore_ascii_case(ahead) { MIDDLE + ms } else { MIDDLE - ms });
        }
        let part = match step {
            0 => decimal_places(word, 0).filter(|&minutes| minutes < 60).map(|minutes| minutes * 60_000),
            1 => decimal_places(word, 3).filter(|&ms| ms < 60_000),
            _ => None,
        };
        let expected = match step {
            0 => format!("`%` is neither minutes below 60 nor `{ahead}` or `{back}`"),
            1 => format!("`%` is neither seconds below 60 nor `{ahead}` or `{back}`"),
            _ => format!("`%` stands where `{ahead}` or `{back}` is due"),
        };
        ms += part.and_then(|part| u32::try_from(part).ok()).ok_or_else(|| fields.fault(&expected))?;
    }
    Err(fields.fault(&format!("`%` stands where `{ahead}` or `{back}` is due")))
}

/// Metres with up to two decimal places, `m` behind them or not, in centimetres.
fn metres(fields: &mut Fields<'_>, what: &str) -> Result<i64, Fault> {
    let word = fields.word(what)?;
    let number = word.strip_suffix(['m', 'M']).unwrap_or(word);
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number),
    };
    decimal_places(digits, 2)
        .map(|cm| sign * cm)
        .ok_or_else(|| fields.fault(&format!("`%` is no {what}: that is metres, such as `12.50m`")))
}

/// `12.5` with `places` of 2 is 1250; `None` for what is no such number, has more places, or is beyond reason.
fn decimal_places(text: &str, places: usize) -> Option<i64> {
    const DIGITS_MAX: usize = 10;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    let fits = !whole.is_empty() && whole.len() <= DIGITS_MAX && part.len() <= places;
    if !fits || !is_number(whole) || !is_number(part) || (places == 0 && text.contains('.')) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

/// Centimetres as one digit and a power of ten (RFC 1876 §2), rounded down.
fn power(cm: i64) -> Option<u8> {
    if !(0..=SIZE_CM_MAX).contains(&cm) {
        return None;
    }
    let (mut digit, mut exponent) = (cm, 0);
    while digit > 9 {
        digit /= 10;
        exponent += 1;
    }
    u8::try_from(digit << 4 | exponent).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_one_digit_and_a_power_of_ten() {
        assert_eq!(power(0), Some(0x00));
        assert_eq!(power(100), Some(0x12));
        assert_eq!(power(1_000_000), Some(0x16));
        assert_eq!(power(2599), Some(0x23));
        assert_eq!(power(9_000_000_000), Some(0x99));
        assert_eq!(power(9_000_000_001), None);
        assert_eq!(power(-1), None);
    }

    #[test]
    fn decimal_places_are_counted() {
        assert_eq!(decimal_places("12.5", 2), Some(1250));
        assert_eq!(decimal_places("12", 3), Some(12_000));
        assert_eq!(decimal_places("12.505", 2), None);
        assert_eq!(decimal_places(".5", 2), None);
        assert_eq!(decimal_places("12.", 0), None);
    }
}
