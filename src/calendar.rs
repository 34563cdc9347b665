//! The Gregorian calendar: from a count of days to a date, for the log and the `Date` field.

/// Returns year, month and day of the `day`-th day after 1970-01-01.
///
/// Howard Hinnant, "chrono-compatible low-level date algorithms" (`civil_from_days`): years are
/// counted from March, so that a leap day is a year's last, in eras of 400 years.
pub fn civil_date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468; // From 0000-03-01.
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before_it() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        let mut last = civil_date(0);
        for day in 1..=146_097 {
            let (year, month, day_of_month) = civil_date(day);
            let follows = (year, month, day_of_month) == (last.0, last.1, last.2 + 1)
                || (year, month, day_of_month) == (last.0, last.1 + 1, 1) && last.2 >= 28
                || (year, month, day_of_month) == (last.0 + 1, 1, 1) && last == (last.0, 12, 31);
            assert!(follows, "day {day}");
            last = (year, month, day_of_month);
        }
        assert_eq!(last, (2370, 1, 1));
    }
}
