//! Sizes, durations and CPUs as people write them.

use std::time::Duration;

use crate::model::container::Limits;

/// More than any host has; beyond it a number is a slip of the keyboard.
const MAX_CPUS: f64 = 10_000.0;
/// More digits after the point than a u128 can scale are noise.
const MAX_FRACTION_DIGITS: usize = 9;
/// The units of a duration in milliseconds, longest first: a compound is written in this order.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a size in bytes: `256MB`, `1GB`, `2GiB`, `512Mi`, `64kB`, or plain bytes.
///
/// Every unit is a power of 1024, as in PostgreSQL, so `1GB`, `1G`, `1Gi` and `1GiB` are the same. Upper and lower
/// case do not matter, except that a lone `m` is refused: it means milli in Kubernetes and mega in Docker. A
/// fraction (`1.5GB`) is rounded down to whole bytes.
///
/// # Errors
/// A sentence for the user: no number, an unknown unit, or more than 2^64 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = unit.trim_start();
    let shift = byte_unit(text, number, unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let malformed = whole.is_empty()
        || fraction.contains('.')
        || fraction.len() > MAX_FRACTION_DIGITS
        || (fraction.is_empty() && number.contains('.'));
    if malformed {
        return Err(format!(
            "`{text}` is not a size; write a number and a unit, such as `256MB` or `2GiB`"
        ));
    }
    let too_large = || format!("`{text}` is too large; the most is `16777215TB`");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let fraction: u128 = match fraction {
        "" => 0,
        digits => digits.parse().map_err(|_| too_large())?,
    };
    let bytes = (u128::from(whole) << shift) + (fraction << shift) / scale;
    u64::try_from(bytes).map_err(|_| too_large())
}

/// The power of two that the unit stands for.
fn byte_unit(text: &str, number: &str, unit: &str) -> Result<u32, String> {
    if unit == "m" {
        return Err(format!(
            "`{text}` is ambiguous: `m` means milli in Kubernetes and mega in Docker; write `{number}MB`"
        ));
    }
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Ok(0),
        "k" | "kb" | "ki" | "kib" => Ok(10),
        "m" | "mb" | "mi" | "mib" => Ok(20),
        "g" | "gb" | "gi" | "gib" => Ok(30),
        "t" | "tb" | "ti" | "tib" => Ok(40),
        _ if number.is_empty() => Err(format!(
            "`{text}` is not a size; write a number and a unit, such as `256MB` or `2GiB`"
        )),
        _ => Err(format!(
            "`{text}` is not a size: the unit `{unit}` is not known; write kB, MB, GB or TB, or KiB, MiB, GiB or TiB"
        )),
    }
}

/// Reads a duration: `500ms`, `10s`, `5m`, `1h`, `2d`, or a compound such as `1m30s`, longest unit first. `min` is
/// taken for `m`, because PostgreSQL writes it.
///
/// # Errors
/// A sentence for the user: no unit (with the repaired text), an unknown unit, units out of order, or too long.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit; write `{text}s` for seconds"));
    }
    let not_one = || {
        format!("`{text}` is not a duration; write whole numbers with units, such as `500ms`, `10s`, `5m` or `1m30s`")
    };
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut previous_ms = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        let &(_, unit_ms) = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(not_one)?;
        if number.is_empty() {
            return Err(not_one());
        }
        if unit_ms >= previous_ms {
            return Err(format!(
                "`{text}` is not a duration: each unit comes once and the longest first, such as `1m30s`"
            ));
        }
        let count: Option<u64> = number.parse().ok();
        total_ms = count
            .and_then(|count| count.checked_mul(unit_ms))
            .and_then(|ms| ms.checked_add(total_ms))
            .ok_or_else(|| format!("`{text}` is too long; the most is `200000000000d`"))?;
        previous_ms = unit_ms;
        rest = after;
    }
    if previous_ms == u64::MAX {
        return Err(not_one());
    }
    Ok(Duration::from_millis(total_ms))
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Reads a number of CPUs, in CPUs: `2`, `1.5`, or thousandths as `500m`.
///
/// # Errors
/// A sentence for the user: not a number, not above zero, or more than 10 000.
pub fn parse_cpus(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, divisor) = match text.strip_suffix('m') {
        Some(number) => (number, 1000.0),
        None => (text, 1.0),
    };
    // f64's own parser would also take `inf`, `nan` and `1e3`.
    let plain =
        number.chars().all(|c| c.is_ascii_digit() || c == '.') && number.starts_with(|c: char| c.is_ascii_digit());
    let cpus = match number.parse::<f64>() {
        Ok(value) if plain => value / divisor,
        _ => {
            return Err(format!("`{text}` is not a number of CPUs; write `2`, `1.5` or `500m`"));
        }
    };
    if cpus <= 0.0 {
        return Err(format!(
            "`{text}` is no CPU at all; write more than zero, such as `500m`, or leave the field out"
        ));
    }
    if cpus > MAX_CPUS {
        return Err(format!(
            "`{text}` is more CPUs than any host has; the most is {MAX_CPUS}"
        ));
    }
    Ok(cpus)
}

/// CPUs and memory as a container's limits; what is not named is unlimited.
pub fn parse_limits(cpu: Option<&str>, memory: Option<&str>) -> Result<Limits, String> {
    let cpus = cpu.map_or(Ok(0.0), parse_cpus)?;
    let memory = memory.map_or(Ok(0), parse_bytes)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float-to-int cast saturates; CPUs are few"
    )]
    let nano_cpus = (cpus * 1e9) as i64;
    Ok(Limits {
        nano_cpus,
        memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where it fails")]
mod tests {
    use super::*;

    #[test]
    fn all_units_of_size_are_powers_of_1024() {
        for one in [
            "1GB",
            "1G",
            "1Gi",
            "1GiB",
            "1 GB",
            "1gb",
            "1024MB",
            "1048576kB",
            "1073741824",
            "1073741824B",
        ] {
            assert_eq!(parse_bytes(one), Ok(1 << 30), "{one}");
        }
        assert_eq!(parse_bytes("1.5GB"), Ok(3 << 29));
        assert_eq!(parse_bytes("2T"), Ok(2 << 40));
        assert_eq!(parse_bytes("0"), Ok(0));
    }

    #[test]
    fn a_wrong_size_says_what_to_write() {
        insta::assert_snapshot!(parse_bytes("512m").unwrap_err(), @"`512m` is ambiguous: `m` means milli in Kubernetes and mega in Docker; write `512MB`");
        insta::assert_snapshot!(parse_bytes("lots").unwrap_err(), @"`lots` is not a size; write a number and a unit, such as `256MB` or `2GiB`");
        insta::assert_snapshot!(parse_bytes("1XB").unwrap_err(), @"`1XB` is not a size: the unit `XB` is not known; write kB, MB, GB or TB, or KiB, MiB, GiB or TiB");
        insta::assert_snapshot!(parse_bytes("99999999TB").unwrap_err(), @"`99999999TB` is too large; the most is `16777215TB`");
        for wrong in ["", "-1", "1.", ".5", "1.2.3GB", "GB", "99999999999999999999"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_largest_size_named_in_the_error_is_accepted() {
        assert_eq!(parse_bytes("16777215TB"), Ok(16_777_215 << 40));
        assert!(parse_bytes("16777216TB").is_err());
    }

    #[test]
    fn durations_have_units_and_may_be_compound() {
        let cases = [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("5min", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1m30s", 90_000),
            ("0s", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_says_what_to_write() {
        insta::assert_snapshot!(parse_duration("10").unwrap_err(), @"`10` has no unit; write `10s` for seconds");
        insta::assert_snapshot!(parse_duration("soon").unwrap_err(), @"`soon` is not a duration; write whole numbers with units, such as `500ms`, `10s`, `5m` or `1m30s`");
        insta::assert_snapshot!(parse_duration("30s1m").unwrap_err(), @"`30s1m` is not a duration: each unit comes once and the longest first, such as `1m30s`");
        for wrong in [
            "",
            "-1s",
            "1.5h",
            "s",
            "1s1s",
            "1m1min",
            "5M",
            "10 s",
            "99999999999999d",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert!(parse_duration("200000000000d").is_ok());
    }

    #[test]
    fn cpus_are_numbers_or_thousandths() {
        assert_eq!(parse_cpus("2"), Ok(2.0));
        assert_eq!(parse_cpus("1.5"), Ok(1.5));
        assert_eq!(parse_cpus("500m"), Ok(0.5));
        insta::assert_snapshot!(parse_cpus("two").unwrap_err(), @"`two` is not a number of CPUs; write `2`, `1.5` or `500m`");
        insta::assert_snapshot!(parse_cpus("0").unwrap_err(), @"`0` is no CPU at all; write more than zero, such as `500m`, or leave the field out");
        for wrong in ["", "-1", "inf", "nan", "1e3", "m", ".5", "99999", "1 m"] {
            assert!(parse_cpus(wrong).is_err(), "{wrong}");
        }
    }
}
