//! The name of an index file: when it was created, in local time, as `yyyyMMddHHmmssSSS`.

const DAY_MS: i64 = 86_400_000;

/// The name of a file created at `local_ms`: milliseconds since the Unix epoch, plus what the local time is ahead of UTC.
pub(crate) fn file_name(local_ms: i64) -> String {
    let (day, ms) = (local_ms.div_euclid(DAY_MS), local_ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(day);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{ms:03}")
}

/// Whether a broker takes a file of this name for an index file: it must be a number. They are in the order of their names.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) && name.parse::<i64>().is_ok()
}

/// Year, month and day of a day counted from 1970-01-01, in the calendar of today.
fn date(days: i64) -> (i64, i64, i64) {
    // Years that begin in March: a leap day is the last of its year. Day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (month, january) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + 400 * era + january, month, day - first + 1)
}
