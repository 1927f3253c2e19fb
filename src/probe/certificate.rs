//! When a certificate ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

/// How long a certificate (DER) is valid yet, zero: not any more; `None` where it cannot be read.
pub(super) fn left(der: &[u8], now: SystemTime) -> Option<Duration> {
    // Its validity alone is asked for: extensions are not read.
    let (_, certificate) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(der).ok()?;
    let ends = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Duration::from_secs(ends).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_read_before_and_after_2050() {
        // RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime from 2050 on.
        for (year, unix) in [(2031, 1_924_992_000), (2051, 2_556_144_000)] {
            let mut params = CertificateParams::new(["a.example".into()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let at = |second: u64| UNIX_EPOCH + Duration::from_secs(second);
            assert_eq!(left(certificate.der(), at(unix - 60)), Some(Duration::from_secs(60)));
            assert_eq!(left(certificate.der(), at(unix + 60)), Some(Duration::ZERO));
        }
    }

    proptest! {
        // What is no certificate has no end, and reading it never panics.
        #[test]
        fn garbage_has_no_end(der in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = left(&der, UNIX_EPOCH);
        }
    }
}
