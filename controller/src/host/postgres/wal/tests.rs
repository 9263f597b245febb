//! Logs that are written here as PostgreSQL writes them.

use std::collections::BTreeMap;

use super::*;
use crate::model::wal::{Mark, Place};

const SEGMENT: u64 = 1 << 20;
const BASE: u64 = 3 * SEGMENT;

/// A log on timeline 1, as its pages by address. What is written there later than the rest is what the disk may lack.
#[derive(Clone)]
struct Log {
    pages: BTreeMap<u64, Vec<u8>>,
    end: u64,
    /// What distinguishes its records from another log's.
    salt: u8,
}

impl Log {
    fn new() -> Self {
        Log {
            pages: BTreeMap::new(),
            end: BASE,
            salt: 1,
        }
    }

    fn put(&mut self, bytes: &[u8], mut left: u64) {
        for byte in bytes {
            if self.end.is_multiple_of(PAGE) {
                let is_first = self.end.is_multiple_of(SEGMENT);
                let rest = u32::try_from(left).unwrap();
                let is_continued = left < bytes.len() as u64;
                let info = u16::from(is_continued) | if is_first { IS_LONG } else { 0 };
                let mut page = vec![0; usize::try_from(PAGE).unwrap()];
                page[2..4].copy_from_slice(&info.to_le_bytes());
                page[8..16].copy_from_slice(&self.end.to_le_bytes());
                page[16..20].copy_from_slice(&(if is_continued { rest } else { 0 }).to_le_bytes());
                self.pages.insert(self.end, page);
                self.end += if is_first { LONG_HEADER } else { HEADER };
            }
            let page = self.end / PAGE * PAGE;
            self.pages.get_mut(&page).unwrap()[usize::try_from(self.end - page).unwrap()] = *byte;
            self.end += 1;
            left -= 1;
        }
    }

    /// Writes a record; returns where it begins.
    fn record(&mut self, length: u32, kind: (u8, u8)) -> u64 {
        let mut bytes = vec![self.salt; usize::try_from(length).unwrap()];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        (bytes[17], bytes[16]) = kind;
        let start = self.end;
        self.put(&bytes, u64::from(length));
        let padding = aligned(length) - u64::from(length);
        for _ in 0..padding.min(PAGE - self.end % PAGE) {
            if !self.end.is_multiple_of(PAGE) {
                self.end += 1;
            }
        }
        start
    }

    /// Records of many lengths up to about a position.
    fn fill(&mut self, until: u64) -> &mut Self {
        for n in 0_u32.. {
            if self.end >= until {
                break;
            }
            self.record(24 + n * 37 % 400, (10, 0));
        }
        self
    }

    /// The rest of the file is left empty, as `pg_switch_wal()` leaves it.
    fn switch(&mut self) {
        self.record(24, SWITCH);
        while !self.end.is_multiple_of(SEGMENT) {
            match self.end.is_multiple_of(PAGE) {
                true => {
                    let mut page = vec![0; usize::try_from(PAGE).unwrap()];
                    page[8..16].copy_from_slice(&self.end.to_le_bytes());
                    self.pages.insert(self.end, page);
                    self.end += PAGE;
                }
                false => self.end = (self.end / PAGE + 1) * PAGE,
            }
        }
    }

    async fn proves(&self, checkpoint: u64, mark: Mark) -> Seen<Proof> {
        let question = LogQuestion {
            pgdata: String::new(),
            checkpoint: Place::new(1, Lsn(checkpoint)),
            segment_bytes: SEGMENT,
            mark,
        };
        let read = async |path: &str, offset, length| {
            assert_eq!(length, PAGE);
            let mut files = self.pages.keys().map(|at| (file(1, *at, SEGMENT), *at));
            let Some(((_, start), _)) = files.find(|((name, _), _)| name == path) else {
                return Seen::Absent;
            };
            // What was never written holds what its file was before.
            let mut old = vec![7; usize::try_from(PAGE).unwrap()];
            old[8..16].copy_from_slice(&(start / 2).to_le_bytes());
            Seen::Known(self.pages.get(&(start + offset)).cloned().unwrap_or(old))
        };
        prove(&question, read).await
    }

    /// The mark that a server would give at its end.
    fn mark(&self) -> Mark {
        let (at, end) = page_before(self.end);
        Mark {
            place: Place::new(1, Lsn(end)),
            hash: fingerprint(&self.pages[&at], end - at),
        }
    }
}

fn at(lsn: u64) -> Mark {
    Mark {
        place: Place::new(1, Lsn(lsn)),
        hash: String::new(),
    }
}

#[tokio::test]
async fn a_log_has_come_to_every_place_before_its_end_and_to_none_behind_it() {
    let mut log = Log::new();
    for length in [40, 24, 3000, 9000, 56, 30_000, 24, 8100, 33] {
        log.record(length, (10, 0));
        assert_eq!(
            log.proves(BASE + 40, log.mark()).await,
            Seen::Known(Proof::Holds),
            "{:X}",
            log.end
        );
        let ends = log.proves(BASE + 40, at(log.end + 8)).await;
        assert_eq!(ends, Seen::Known(Proof::Ends(Lsn(log.end))), "{:X}", log.end);
        let (whole, early) = (log.clone(), log.end);
        log.fill(early + 3 * PAGE);
        assert_eq!(log.proves(BASE + 40, at(early)).await, Seen::Known(Proof::Holds));
        assert!(matches!(whole.proves(BASE + 40, log.mark()).await, Seen::Known(Proof::Ends(end)) if end.0 <= early));
    }
}

#[tokio::test]
async fn a_place_in_the_middle_of_a_record_counts_once_its_pages_are_there() {
    let mut log = Log::new();
    log.fill(BASE + 2 * PAGE);
    let start = log.record(40_000, (10, 0));
    let boundary = (start / PAGE + 2) * PAGE;
    assert_eq!(log.proves(BASE + 40, at(boundary)).await, Seen::Known(Proof::Holds));
    // A server that is killed while it writes has whole pages of the record; it goes on behind them.
    log.pages.retain(|page, _| *page < boundary);
    assert_eq!(log.proves(BASE + 40, at(boundary)).await, Seen::Known(Proof::Holds));
    let ends = log.proves(BASE + 40, at(boundary + PAGE)).await;
    assert!(matches!(ends, Seen::Known(Proof::Ends(_))), "{ends:?}");
}

#[tokio::test]
async fn a_file_that_was_left_early_ends_nothing() {
    let mut log = Log::new();
    log.fill(BASE + 5000).switch();
    let boundary = BASE + SEGMENT;
    assert_eq!(log.end, boundary);
    for place in [boundary - PAGE, boundary, boundary + LONG_HEADER] {
        assert_eq!(
            log.proves(BASE + 40, at(place)).await,
            Seen::Known(Proof::Holds),
            "{place:X}"
        );
    }
    assert_eq!(log.proves(BASE + 40, log.mark()).await, Seen::Known(Proof::Holds));
    log.record(100, (10, 0));
    assert_eq!(log.proves(BASE + 40, log.mark()).await, Seen::Known(Proof::Holds));
    let ends = log.proves(BASE + 40, at(log.end + 500)).await;
    assert_eq!(ends, Seen::Known(Proof::Ends(Lsn(log.end))));
}

#[tokio::test]
async fn other_contents_at_a_place_are_told_from_the_same() {
    let mut older = Log::new();
    older.fill(BASE + 20_000);
    let mut lost = older.clone();
    lost.fill(older.end + 9_000);
    let mark = lost.mark();
    assert_eq!(lost.proves(BASE + 40, mark.clone()).await, Seen::Known(Proof::Holds));
    older.salt = 2;
    older.fill(lost.end + 9_000);
    assert_eq!(older.proves(BASE + 40, mark).await, Seen::Known(Proof::Differs));
}

#[tokio::test]
async fn what_precedes_a_checkpoint_may_be_gone_and_what_holds_it_must_not() {
    let mut log = Log::new();
    log.fill(BASE + SEGMENT + 3 * PAGE);
    let (mark, end) = (at(BASE + 500), log.end);
    log.pages.retain(|page, _| *page >= BASE + SEGMENT);
    assert_eq!(log.proves(BASE + SEGMENT + PAGE, mark).await, Seen::Known(Proof::Holds));
    log.pages.clear();
    assert_eq!(log.proves(end - 100, at(end)).await, Seen::Absent);
}

#[test]
fn a_record_begins_where_the_one_before_it_ends() {
    let mut log = Log::new();
    let mut starts = Vec::new();
    for n in 0..80_u32 {
        starts.push(log.record(24 + n * 131 % 9_000, (10, 0)));
    }
    for position in (BASE + LONG_HEADER..log.end).step_by(8) {
        let page = &log.pages[&(position / PAGE * PAGE)];
        let found = is_boundary(page, Lsn(position), SEGMENT).unwrap();
        let is_header = position % PAGE < HEADER;
        let is_start = starts.contains(&position);
        let header = if position - HEADER < BASE + PAGE {
            LONG_HEADER
        } else {
            HEADER
        };
        let is_behind_header = position % PAGE == header && starts.contains(&(position - header));
        if is_header {
            continue;
        }
        assert_eq!(found, is_start || is_behind_header, "{position:X}");
    }
    let page = &log.pages[&BASE];
    assert_eq!(
        is_boundary(page, Lsn(BASE + SEGMENT + 100), SEGMENT),
        None,
        "another page's"
    );
}
