//! Moments as reports write them, and how old data is told.
//!
//! The calendar is our own, because every crate for it also brings a clock, which a pure crate must
//! not reach. It is the proleptic Gregorian one without leap seconds, which is what RFC 3339 and the
//! Unix epoch use; a test holds it against a crate.

use std::fmt;
use std::str::FromStr;

use backout_core::units::{Span, Time};

/// Milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1_000;

/// A day of the calendar, from year 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is not a day such as `2027-01-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayError;

impl fmt::Display for DayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a day such as \"2027-01-31\"")
    }
}

impl std::error::Error for DayError {}

impl Day {
    fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=9_999).contains(&year).then_some(())?;
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01, by counting years from the first of March, so that a leap day is the last
    /// day of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn since_epoch(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (month + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The inverse of [`Day::since_epoch`], for days up to the year 9999.
    fn of_epoch(days: i64) -> Option<Self> {
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12 + 1;
        let year = year + era * 400 + i64::from(month <= 2);
        Self::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?)
    }

    /// The first moment of the day in UTC, in milliseconds since the Unix epoch; none before 1970.
    #[must_use]
    pub fn start(self) -> Option<Time> {
        let days = u64::try_from(self.since_epoch()).ok()?;
        Some(Time::from_millis(days * DAY))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let (year, rest) = number(text, 4).ok_or(DayError)?;
        let (month, rest) = number(rest.strip_prefix('-').ok_or(DayError)?, 2).ok_or(DayError)?;
        let (day, rest) = number(rest.strip_prefix('-').ok_or(DayError)?, 2).ok_or(DayError)?;
        if !rest.is_empty() {
            return Err(DayError);
        }
        let narrow = |number: u16| u8::try_from(number).map_err(|_| DayError);
        Self::new(year, narrow(month)?, narrow(day)?).ok_or(DayError)
    }
}

/// Reads so many digits, and returns what follows.
fn number(text: &str, digits: usize) -> Option<(u16, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let all_digits = number.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| number.parse().ok().map(|number| (number, rest)))?
}

/// Reads RFC 3339 with any offset, or a date, as milliseconds since the Unix epoch. Anything else,
/// and the year 1 that Go writes for "never", is not stated: what depends on it then does not count.
#[must_use]
pub fn read(text: &str) -> Option<Time> {
    let text = text.trim();
    let Some((day, clock)) = text.split_once(['T', 't', ' ']) else {
        return text.parse().ok().and_then(Day::start);
    };
    let day: Day = day.parse().ok()?;
    let (seconds, millis, offset) = time_of_day(clock)?;
    let minutes = day.since_epoch().checked_mul(24 * 60)? - offset;
    let whole = u64::try_from(minutes * 60 + seconds).ok()?;
    Some(Time::from_millis(whole * 1_000 + millis)).filter(|time| *time > Time::ZERO)
}

/// Reads `12:00:00.5+09:00` as seconds, milliseconds, and minutes to take off for UTC.
fn time_of_day(text: &str) -> Option<(i64, u64, i64)> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    // A leap second is the moment before the next minute; nothing here is so exact.
    let fits = hour < 24 && minute < 60 && second <= 60;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let (digits, after) = fraction.split_at(end);
        let padded: String = digits.chars().chain("000".chars()).take(3).collect();
        millis = padded.parse().ok().filter(|_| !digits.is_empty())?;
        rest = after;
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let (sign, zone) = rest.split_at_checked(1)?;
            let (hours, zone) = number(zone, 2)?;
            let (minutes, end) = number(zone.strip_prefix(':')?, 2)?;
            let whole = i64::from(hours) * 60 + i64::from(minutes);
            (end.is_empty() && hours < 24 && minutes < 60).then_some(())?;
            match sign {
                "+" => whole,
                "-" => -whole,
                _ => return None,
            }
        }
    };
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second.min(59));
    fits.then_some((seconds, millis, offset))
}

/// The first moment after a day that begins at this one.
#[must_use]
pub fn end_of_day(start: Time) -> Time {
    start + Span::from_millis(DAY)
}

/// Writes the date in UTC, such as `2026-03-10`.
#[must_use]
pub fn day(time: Time) -> String {
    i64::try_from(time.as_millis() / DAY)
        .ok()
        .filter(|days| *days < 3_000_000)
        .and_then(Day::of_epoch)
        .map_or_else(|| "a day beyond the calendar".to_owned(), |day| day.to_string())
}

/// Writes an age in whole days from two on, in hours below that.
#[must_use]
pub fn age(span: Span) -> String {
    let (days, hours) = (span.as_millis() / DAY, span.as_millis() / (DAY / 24));
    match (days, hours) {
        (2.., _) => format!("{days} days"),
        (_, 1) => "1 hour".to_owned(),
        (_, 0) => "less than an hour".to_owned(),
        _ => format!("{hours} hours"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_written_form_is_read() {
        let noon = Time::from_millis(1_773_144_000_000);
        for text in [
            "2026-03-10T12:00:00Z",
            "2026-03-10T12:00:00.000000005Z",
            "2026-03-10T21:00:00+09:00",
            " 2026-03-10T12:00:00Z ",
        ] {
            assert_eq!(read(text), Some(noon), "{text}");
        }
        assert_eq!(read("2026-03-10").map(day).as_deref(), Some("2026-03-10"));
        assert_eq!(day(end_of_day(noon)), "2026-03-11");
        for text in ["", "soon", "0001-01-01T00:00:00Z", "2026-13-01", "1969-12-31T00:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(day(Time::from_millis(u64::MAX)), "a day beyond the calendar");
    }

    #[test]
    fn ages_read_well() {
        for (hours, text) in
            [(0, "less than an hour"), (1, "1 hour"), (47, "47 hours"), (49, "2 days")]
        {
            assert_eq!(age(Span::from_hours(hours)), text);
        }
    }

    proptest! {
        #[test]
        fn the_calendar_is_that_of_a_crate(millis in 1..253_402_207_199_999_i64, offset in -1_439..1_440_i32) {
            let at = jiff::Timestamp::from_millisecond(millis).unwrap();
            let time = Time::from_millis(u64::try_from(millis).unwrap());
            prop_assert_eq!(read(&at.to_string()), Some(time));
            prop_assert_eq!(day(time), at.strftime("%F").to_string());
            let zone = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
            let local = zone.to_datetime(at);
            if (1..=9_999).contains(&local.year()) {
                let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs());
                let text = format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60);
                prop_assert_eq!(read(&text), Some(time), "{}", text);
            }
        }

        #[test]
        fn a_day_is_read_if_it_is_one(year in 1..=9_999_i16, month in 0..14_i8, day in 0..33_i8) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            let known = jiff::civil::Date::new(year, month, day).is_ok();
            prop_assert_eq!(text.parse::<Day>().map(|day| day.to_string()).ok(), known.then_some(text));
        }

        #[test]
        fn any_text_is_a_moment_or_none(text in "[0-9TZ:+. \\-é]{0,30}") {
            let _ = (read(&text), text.parse::<Day>());
        }
    }
}
