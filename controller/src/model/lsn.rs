//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A log sequence number: a byte position in the write-ahead log, printed as PostgreSQL's `pg_lsn` (`16/B374D848`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `other` up to here; 0 when `other` is ahead.
    pub fn bytes_past(self, other: Lsn) -> u64 {
        self.0.saturating_sub(other.0)
    }

    /// Whether nothing lies between the end of a record, which is here, and `record`, which begins another: at most the header
    /// of a page, which is longer on the first page of a segment (PostgreSQL's `xlog_internal.h`).
    pub fn begins_next_record(self, record: Lsn) -> bool {
        const PAGE_BYTES: u64 = 8192;
        const HEADERS: [u64; 2] = [24, 40];
        let between = record.0.checked_sub(self.0);
        let is_new_page = self.0.is_multiple_of(PAGE_BYTES);
        between.is_some_and(|between| between == 0 || is_new_page && HEADERS.contains(&between))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a WAL position such as 16/B374D848");
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| wrong())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| wrong())?;
        Ok(Lsn((u64::from(high) << 32) | u64::from(low)))
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Lsn;

    #[test]
    fn prints_and_parses_as_postgresql_does() {
        let lsn: Lsn = "16/B374D848".parse().expect("a valid position");
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        assert!("16".parse::<Lsn>().is_err());
    }

    #[test]
    fn between_two_records_lies_nothing_but_a_pages_header() {
        assert!(Lsn(0x500).begins_next_record(Lsn(0x500)));
        assert!(!Lsn(0x500).begins_next_record(Lsn(0x518)));
        assert!(!Lsn(0x500).begins_next_record(Lsn(0x4F8)));
        assert!(Lsn(0x2000).begins_next_record(Lsn(0x2018)));
        assert!(Lsn(0x100_0000).begins_next_record(Lsn(0x100_0028)));
        assert!(!Lsn(0x2000).begins_next_record(Lsn(0x2020)));
        assert!("1/123456789".parse::<Lsn>().is_err());
    }

    #[test]
    fn distance_never_goes_below_zero() {
        assert_eq!(Lsn(10).bytes_past(Lsn(4)), 6);
        assert_eq!(Lsn(4).bytes_past(Lsn(10)), 0);
    }
}
