//! Values of parameters as PostgreSQL reads them (`guc.c`: `parse_int`, `parse_real`, `parse_bool`), and whether two of
//! them are one. Pure.

/// A number with the unit behind it, which is empty where none is.
type Number<'a> = (f64, &'a str);

/// The value that a manifest's text stands for. What was copied from a `postgresql.conf` has quotes around it: a text that
/// is one whole literal, its inner quotes doubled, is what the literal says. Any other text is the value as it stands,
/// blanks and quotes included.
pub fn literal(text: &str) -> String {
    let inner = text.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) if !inner.replace("''", "").contains('\'') => inner.replace("''", "'"),
        Some(_) | None => text.to_owned(),
    }
}

/// A truth value: the words, or as much of them as tells them apart.
pub fn parse_bool(text: &str) -> Option<bool> {
    let word = text.to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    match word.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if begins("true", 1) || begins("yes", 1) || begins("on", 2) => Some(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Some(false),
        _ => None,
    }
}

/// A whole number without a unit: decimal, octal (`0144`), hexadecimal (`0x64`), or with a fraction, which is rounded.
pub fn whole(text: &str) -> Option<i64> {
    let (number, unit) = number(text)?;
    unit.is_empty().then(|| rounded(number)).flatten()
}

/// Whether the value that was asked for is the one that runs, as `pg_settings` shows it: in `unit`, for a parameter of the
/// type `vartype`.
pub fn is_same(asked: &str, running: &str, unit: &str, vartype: &str) -> bool {
    match vartype {
        "bool" => parse_bool(asked).is_some() && parse_bool(asked) == parse_bool(running),
        "integer" => {
            let wanted = quantity(asked, unit).and_then(rounded);
            wanted.is_some() && wanted == quantity(running, "").and_then(rounded)
        }
        "real" => {
            let (Some(wanted), Some(running)) = (quantity(asked, unit), quantity(running, "")) else {
                return false;
            };
            // The server shows six digits.
            (wanted - running).abs() <= wanted.abs().max(running.abs()) * 1e-5
        }
        "enum" => word(asked) == word(running),
        _ => asked == running,
    }
}

/// A word of a parameter that takes one of a list. Most lists take truth values by several names.
fn word(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "true" | "yes" | "1" => "on".to_owned(),
        "false" | "no" | "0" => "off".to_owned(),
        // Names of before 9.6, still understood.
        "archive" | "hot_standby" => "replica".to_owned(),
        "debug" => "debug2".to_owned(),
        _ => lower,
    }
}

/// PostgreSQL's integers have 32 bits; halves are rounded to even ones.
fn rounded(number: f64) -> Option<i64> {
    let number = number.round_ties_even();
    let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "it has just been seen to fit")]
    fits.then_some(number as i64)
}

/// A number in `unit`, whatever unit it was written in.
fn quantity(text: &str, unit: &str) -> Option<f64> {
    let (number, written) = number(text)?;
    if written.is_empty() {
        return Some(number);
    }
    let (base_count, base_name) = split_unit(unit);
    let table = [&BYTES[..], &TIMES[..]]
        .into_iter()
        .find(|table| factor(table, base_name).is_some())?;
    let base = base_count * factor(table, base_name)?;
    let at = table.iter().position(|(name, _)| *name == written)?;
    let mut units = number * table[at].1;
    // A fraction is rounded to the next smaller unit: 30.1GB is a whole number of MB.
    if let Some((_, smaller)) = at
        .checked_sub(1)
        .and_then(|below| table.get(below))
        .filter(|(_, size)| *size >= base)
    {
        units = (units / smaller).round_ties_even() * smaller;
    }
    Some(units / base)
}

const BYTES: [(&str, f64); 5] = [
    ("B", 1.0),
    ("kB", 1024.0),
    ("MB", 1_048_576.0),
    ("GB", 1_073_741_824.0),
    ("TB", 1_099_511_627_776.0),
];

/// In microseconds.
const TIMES: [(&str, f64); 6] = [
    ("us", 1.0),
    ("ms", 1e3),
    ("s", 1e6),
    ("min", 6e7),
    ("h", 3.6e9),
    ("d", 8.64e10),
];

fn factor(table: &[(&str, f64)], name: &str) -> Option<f64> {
    table.iter().find(|(unit, _)| *unit == name).map(|(_, size)| *size)
}

/// `pg_settings` has units such as `8kB`.
fn split_unit(unit: &str) -> (f64, &str) {
    let digits = unit.len() - unit.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, name) = unit.split_at(digits);
    (count.parse().unwrap_or(1.0), name)
}

/// A number and what stands behind it, as `strtol` with a free base reads it, or `strtod` where a point or an exponent
/// follows.
fn number(text: &str) -> Option<Number<'_>> {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let hex = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let (digits, radix) = match hex {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => (digits, 16),
        _ if unsigned.starts_with('0') => (unsigned, 8),
        _ => (unsigned, 10),
    };
    let length = digits.len() - digits.trim_start_matches(|c: char| c.is_digit(radix)).len();
    let (whole, rest) = digits.split_at(length);
    if radix != 16 && (rest.starts_with(['.', 'e', 'E']) || whole.len() > 18) {
        return decimal(unsigned).map(|(number, rest)| (sign * number, rest.trim()));
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers that large are refused anyway")]
    let number = i64::from_str_radix(whole, radix).ok()? as f64;
    Some((sign * number, rest.trim()))
}

fn decimal(text: &str) -> Option<Number<'_>> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut end = digits(text);
    let mut count = end;
    if text[end..].starts_with('.') {
        let fraction = digits(&text[end + 1..]);
        count += fraction;
        end += 1 + fraction;
    }
    if count == 0 {
        return None;
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let length = digits(unsigned);
        if length > 0 {
            end = text.len() - unsigned.len() + length;
        }
    }
    let number = text[..end].parse().ok()?;
    Some((number, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_literal_is_what_it_says_and_all_else_stays_as_it_is() {
        let cases = [
            ("'abc'", "abc"),
            ("'it''s'", "it's"),
            ("''", ""),
            (" 'a' ", "a"),
            ("'%m '", "%m "),
            ("%m ", "%m "),
            ("'", "'"),
            ("'a' || 'b'", "'a' || 'b'"),
            (
                "test ! -f '/a/%f' && cp '%p' '/a/%f'",
                "test ! -f '/a/%f' && cp '%p' '/a/%f'",
            ),
            ("'/bin/a' '%p'", "'/bin/a' '%p'"),
            (r"'\d'", r"\d"),
        ];
        for (text, value) in cases {
            assert_eq!(literal(text), value, "{text}");
        }
    }

    #[test]
    fn truth_values_may_be_cut_short() {
        for yes in ["on", "ON", "t", "tr", "Yes", "y", "1"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes}");
        }
        for no in ["of", "off", "f", "n", "FALSE", "0"] {
            assert_eq!(parse_bool(no), Some(false), "{no}");
        }
        for none in ["", "o", "onn", "2", "maybe", "truee"] {
            assert_eq!(parse_bool(none), None, "{none}");
        }
    }

    #[test]
    fn whole_numbers_are_octal_hexadecimal_or_rounded() {
        let good = [
            ("100", 100),
            (" 100", 100),
            ("0144", 100),
            ("0x64", 100),
            ("0X64 ", 100),
            ("1e2", 100),
            ("99.6", 100),
            ("2.5", 2),
            ("-1", -1),
            ("+7", 7),
            ("010.5", 10),
        ];
        for (text, value) in good {
            assert_eq!(whole(text), Some(value), "{text}");
        }
        for text in ["", "lots", "08", "100MB", "1e", "0x", "1_000", "99999999999"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_compared_in_the_units_that_the_server_shows() {
        let same = [
            ("256MB", "32768", "8kB", "integer"),
            ("0.5GB", "65536", "8kB", "integer"),
            ("32768", "32768", "8kB", "integer"),
            ("0x8000", "32768", "8kB", "integer"),
            ("1 GB", "1024", "MB", "integer"),
            ("1min", "60000", "ms", "integer"),
            ("1.5s", "1500", "ms", "integer"),
            ("2h", "7200", "s", "integer"),
            ("1d", "1440", "min", "integer"),
            ("0777", "0777", "", "integer"),
            ("511", "0777", "", "integer"),
            ("0.123456789", "0.123457", "", "real"),
            ("1e-1", "0.1", "", "real"),
            ("yes", "on", "", "bool"),
            ("Replica", "replica", "", "enum"),
            ("yes", "on", "", "enum"),
            ("%m ", "%m ", "", "string"),
        ];
        for (asked, running, unit, vartype) in same {
            assert!(is_same(asked, running, unit, vartype), "{asked} {running}");
        }
        let different = [
            ("256MB", "16384", "8kB", "integer"),
            ("200", "100", "", "integer"),
            ("lots", "100", "", "integer"),
            ("%m ", "%m", "", "string"),
            ("off", "on", "", "bool"),
            ("10MB", "10", "", "integer"),
        ];
        for (asked, running, unit, vartype) in different {
            assert!(!is_same(asked, running, unit, vartype), "{asked} {running}");
        }
    }
}
