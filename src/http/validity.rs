//! From when to when a certificate holds: the one field of it that the TLS library does not tell.

use crate::time::Timestamp;

/// DER tags (X.690) that lie on the way.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first and the last instant at which a certificate in DER holds; none where it cannot be
/// read. Source: RFC 5280, section 4.1.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(whole, SEQUENCE)?;
    // The version is left out in certificates of the first one.
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = element(fields, tag)?.1;
    }
    let (times, _) = element(fields, SEQUENCE)?;
    let (from, rest) = instant(times)?;
    let (to, _) = instant(rest)?;
    Some((from, to))
}

/// The content of the first element if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let fits = digits.len() <= size_of::<u32>();
        let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
        (fits.then_some(length)?, rest)
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn instant(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (digits, rest, century) = if let Some((digits, rest)) = element(bytes, UTC_TIME) {
        // Two digits of a year: from 1950 to 2049.
        let century = if digits.first()? < &b'5' { "20" } else { "19" };
        (digits, rest, century)
    } else {
        let (digits, rest) = element(bytes, GENERALIZED_TIME)?;
        (digits, rest, "")
    };
    let text = format!("{century}{}", std::str::from_utf8(digits).ok()?);
    let part = |from: usize, to: usize| text.get(from..to);
    let at = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    Some((at.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match u8::try_from(content.len()) {
            Ok(length) if length < 0x80 => bytes.push(length),
            Ok(length) => bytes.extend([0x81, length]),
            Err(_) => {
                bytes.push(0x82);
                bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            }
        }
        bytes.extend(content);
        bytes
    }

    fn certificate(version: &[u8], issuer: &[u8], times: &[u8]) -> Vec<u8> {
        let fields = [
            version,
            &wrapped(INTEGER, &[1]),
            &wrapped(SEQUENCE, &[]),
            &wrapped(SEQUENCE, issuer),
            &wrapped(SEQUENCE, times),
        ];
        wrapped(SEQUENCE, &wrapped(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_time_and_all_lengths_are_read() {
        let times =
            [wrapped(UTC_TIME, b"491231235959Z"), wrapped(GENERALIZED_TIME, b"20500101000000Z")];
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (version, issuer) in [
            (wrapped(VERSION, &wrapped(INTEGER, &[2])), vec![0; 20]),
            (Vec::new(), vec![0; 200]),
            (Vec::new(), vec![0; 2_000]),
        ] {
            let der = certificate(&version, &issuer, &times.concat());
            let held = (at("2049-12-31T23:59:59Z"), at("2050-01-01T00:00:00Z"));
            assert_eq!(validity(&der), Some(held));
            for cut in 0..der.len() {
                assert_eq!(validity(&der[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_times() {
        let old = [wrapped(UTC_TIME, b"500101000000Z"), wrapped(UTC_TIME, b"991399000000Z")];
        assert_eq!(validity(&certificate(&[], &[], &old.concat())), None, "month 13");
        for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x89, 1]] {
            assert_eq!(validity(bytes), None);
        }
    }
}
