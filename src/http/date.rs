//! The IMF-fixdate of the `Date` field (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

use crate::calendar::civil_date;

/// Bytes of an IMF-fixdate; it has one length for all years up to 9999.
pub const DATE_BYTES: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

const DAY_NAMES: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTH_NAMES: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Returns the date of a moment in whole seconds since 1970-01-01T00:00:00Z, for years up to 9999.
pub fn imf_fixdate(unix_s: u64) -> [u8; DATE_BYTES] {
    let (days, second_of_day) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil_date(days);
    let mut date = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    // 1970-01-01 was a Thursday.
    date[0..3].copy_from_slice(DAY_NAMES[((days + 4) % 7) as usize]);
    date[8..11].copy_from_slice(MONTH_NAMES[month as usize - 1]);
    two_digits(&mut date[5..7], day);
    two_digits(&mut date[12..14], year / 100);
    two_digits(&mut date[14..16], year % 100);
    two_digits(&mut date[17..19], second_of_day / 3600);
    two_digits(&mut date[20..22], second_of_day / 60 % 60);
    two_digits(&mut date[23..25], second_of_day % 60);
    date
}

/// Returns the same moment in the Common Log Format: `06/Nov/1994:08:49:37 +0000`.
pub fn common_log_date(unix_s: u64) -> String {
    let date = imf_fixdate(unix_s);
    let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&date[range]).into_owned();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

fn two_digits(place: &mut [u8], number: u64) {
    place[0] = b'0' + (number / 10 % 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_log_format() {
        assert_eq!(common_log_date(784_111_777), "06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn known_moments() {
        for (unix_s, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_704_067_199, "Sun, 31 Dec 2023 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&imf_fixdate(unix_s)), Ok(date));
        }
    }
}
