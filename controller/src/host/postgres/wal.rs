//! Reads pages of the write-ahead log: whether a log has come to a place, and whether a record begins there. Pure but for
//! the reads, which the caller brings.
//!
//! Source: `XLogPageHeaderData` in `src/include/access/xlog_internal.h` and `XLogRecord` in `xlogrecord.h`, whose first fields
//! have kept their places from PostgreSQL 11 to 19. A page that was never written since its file was taken over from an
//! older one has that one's address; what follows the last record on a page is zero; and a log that moves on to the next
//! file leaves pages without records.

use sha2::{Digest, Sha256};

use crate::model::wal::{LogQuestion, Proof};
use crate::model::{Lsn, Seen};

/// `XLOG_BLCKSZ` of every build that is not somebody's own.
pub const PAGE: u64 = 8192;
/// The header of a page. It is left out of the hash of its contents.
const HEADER: u64 = 24;
/// The header of a file's first page.
const LONG_HEADER: u64 = 40;
const FIRST_IS_CONTINUED: u16 = 0x0001;
const IS_LONG: u16 = 0x0002;
/// `RM_XLOG_ID` and `XLOG_SWITCH`: after this record comes the next file.
const SWITCH: (u8, u8) = (0, 0x40);

/// The page that holds the last byte before a position. A header alone is no content: then it is the page before.
fn page_before(position: u64) -> (u64, u64) {
    let offset = position.saturating_sub(1) % PAGE;
    match offset < LONG_HEADER {
        true => {
            let end = position.saturating_sub(offset + 1);
            (end.saturating_sub(PAGE), end)
        }
        false => (position - 1 - offset, position),
    }
}

/// The name of the file that a position lies in, and where it begins.
fn file(timeline: u32, position: u64, segment: u64) -> (String, u64) {
    let start = position / segment * segment;
    let low = (start & 0xFFFF_FFFF) / segment;
    (format!("pg_wal/{timeline:08X}{:08X}{low:08X}", start >> 32), start)
}

/// A page, where its first record begins, and whether one from the page before goes on to there.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    at: u64,
    bytes: &'a [u8],
    first: u64,
    is_continued: bool,
}

impl<'a> Page<'a> {
    /// The page at an address; `None` when it holds something else.
    fn read(at: u64, bytes: &'a [u8]) -> Option<Self> {
        let info = u16::from_le_bytes(field(bytes, 2)?);
        let address = u64::from_le_bytes(field(bytes, 8)?);
        let rest = u32::from_le_bytes(field(bytes, 16)?);
        if address != at || bytes.len() as u64 != PAGE {
            return None;
        }
        let header = if info & IS_LONG == 0 { HEADER } else { LONG_HEADER };
        let is_continued = info & FIRST_IS_CONTINUED != 0;
        let rest = if is_continued { aligned(rest) } else { 0 };
        Some(Page {
            at,
            bytes,
            first: at + header + rest,
            is_continued,
        })
    }

    fn end(&self) -> u64 {
        self.at + PAGE
    }

    /// The record that begins at a position: where the next one begins. `None` when there is none.
    fn next(&self, position: u64, segment: u64) -> Option<u64> {
        let at = usize::try_from(position - self.at).ok()?;
        let length = u32::from_le_bytes(field(self.bytes, at)?);
        if u64::from(length) < HEADER {
            return None;
        }
        let kind = (self.bytes.get(at + 17), self.bytes.get(at + 16));
        if kind == (Some(&SWITCH.0), Some(&SWITCH.1)) && length == 24 {
            return Some((position / segment + 1) * segment);
        }
        Some(position + aligned(length))
    }

    /// Where the last record ends that begins here before `until`, and whether the log goes on there.
    fn walk(&self, until: u64, segment: u64) -> (u64, bool) {
        let mut position = self.first;
        while position < until && position < self.end() {
            match self.next(position, segment) {
                Some(next) => position = next,
                // A whole page without a record lies behind one that moved on to the next file.
                None => return (position, position == self.first && !self.is_continued),
            }
        }
        (position, true)
    }
}

fn aligned(length: u32) -> u64 {
    u64::from(length).next_multiple_of(8)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The hash of what precedes a position on its page, without the page's header.
fn fingerprint(page: &[u8], length: u64) -> String {
    let length = usize::try_from(length).unwrap_or(0);
    let header = usize::try_from(HEADER).unwrap_or(0);
    let content = page.get(header..length).unwrap_or_default();
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The page to look at for whether a record begins at a position.
pub fn page_of(position: Lsn) -> Lsn {
    Lsn(position.0 / PAGE * PAGE)
}

/// Whether a record of the log ends, and the next one begins, at a position on this page. `None` when the page is not of
/// this log's.
pub fn is_boundary(page: &[u8], position: Lsn, segment: u64) -> Option<bool> {
    let read = Page::read(page_of(position).0, page)?;
    // A record that ends with a page and the next one have the header between them.
    if !read.is_continued && position.0 <= read.first {
        return Some(true);
    }
    Some(read.walk(position.0, segment).0 == position.0)
}

/// Whether the log on a disk has come to a mark. `read` is given a path below the data directory, an offset and a length.
pub async fn prove(question: &LogQuestion, read: impl AsyncFn(&str, u64, u64) -> Seen<Vec<u8>>) -> Seen<Proof> {
    let (mark, checkpoint) = (&question.mark, question.checkpoint);
    let segment = question.segment_bytes;
    // A newer timeline than anybody knows of is no older copy.
    if checkpoint.timeline > mark.place.timeline {
        return Seen::Known(Proof::Holds);
    }
    let is_behind_checkpoint = checkpoint.timeline == mark.place.timeline && mark.place.lsn <= checkpoint.lsn;
    let (at, end) = page_before(mark.place.lsn.0);
    let (path, start) = file(mark.place.timeline, at, segment);
    let page = match read(&path, at - start, PAGE).await {
        Seen::Known(page) => page,
        // What precedes a checkpoint is removed in time.
        Seen::Absent if is_behind_checkpoint => return Seen::Known(Proof::Holds),
        Seen::Absent => return end_of_log(question, &read).await,
        Seen::Unknown(why) => return Seen::Unknown(why),
    };
    let has_come = Page::read(at, &page).is_some_and(|read| read.walk(end, segment).1);
    match has_come {
        true if mark.hash.is_empty() || fingerprint(&page, end - at) == mark.hash => Seen::Known(Proof::Holds),
        true => Seen::Known(Proof::Differs),
        false if is_behind_checkpoint => Seen::Known(Proof::Holds),
        false => end_of_log(question, &read).await,
    }
}

/// Where a log ends that does not come to the mark: by halves, from its last checkpoint on. To the record, as long as that
/// does not go over a page.
async fn end_of_log(question: &LogQuestion, read: &impl AsyncFn(&str, u64, u64) -> Seen<Vec<u8>>) -> Seen<Proof> {
    let (checkpoint, segment) = (question.checkpoint, question.segment_bytes);
    let look = async |number: u64| {
        let (path, start) = file(checkpoint.timeline, number * PAGE, segment);
        match read(&path, number * PAGE - start, PAGE).await {
            Seen::Known(page) => Seen::Known(page),
            other => other,
        }
    };
    let mut last = checkpoint.lsn.0 / PAGE;
    let mut page = match look(last).await {
        Seen::Known(page) => page,
        // Without its checkpoint no server starts, and says so itself.
        Seen::Absent => return Seen::Absent,
        Seen::Unknown(why) => return Seen::Unknown(why),
    };
    let mut beyond = (page_before(question.mark.place.lsn.0).0 / PAGE + 1).max(last + 1);
    while last + 1 < beyond {
        let middle = last + (beyond - last) / 2;
        match look(middle).await {
            Seen::Known(found) if Page::read(middle * PAGE, &found).is_some() => (last, page) = (middle, found),
            Seen::Known(_) | Seen::Absent => beyond = middle,
            Seen::Unknown(why) => return Seen::Unknown(why),
        }
    }
    let end = Page::read(last * PAGE, &page).map_or(checkpoint.lsn.0, |read| {
        let (reached, _) = read.walk(read.end(), segment);
        reached.min(read.end()).max(checkpoint.lsn.0)
    });
    Seen::Known(Proof::Ends(Lsn(end).min(question.mark.place.lsn)))
}

#[cfg(test)]
mod tests;
