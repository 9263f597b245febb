//! Which of the two ways is the quicker one. Rough on purpose: they differ by factors where it matters.

use super::super::super::memory::Method;
use super::super::super::spec::ReseedMethod;
use super::super::rejoin::Finding;
use super::super::view::View;
use crate::model::postgres::{PgFacts, Sizes};

/// `pg_basebackup` from a container to another on one host: 1.1 GB in 2.46 s.
const CLONE_BYTES_PER_MS: u64 = 450_000;
/// From the end of a base backup to a stream: 0.39 s.
const CLONE_EXTRA_MS: u64 = 400;
/// `cp` from a volume to another and `sync`: 1.1 GB in 1.01 s, where the file system cannot share blocks.
const COPY_BYTES_PER_MS: u64 = 1_100_000;
/// `pg_rewind` reads all of the member's WAL since the branch and copies all of the primary's: 1 GB in 4.3 to 5 s.
const REWIND_WAL_BYTES_PER_MS: u64 = 220_000;
/// One container more than a clone, and a checkpoint on the primary.
const REWIND_EXTRA_MS: u64 = 900;

/// How a new volume is filled, and in words why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The way.
    pub method: Method,
    /// The reason, to be appended to a sentence.
    pub words: String,
}

/// Chooses the way; `asked` is somebody's wish, which goes before the manifest's.
pub fn choose(view: &View<'_>, member: &str, finding: &Finding, asked: Option<Method>) -> Choice {
    let wish = match (asked, view.cluster.spec.storage.reseed) {
        (Some(Method::Clone), _) | (None, ReseedMethod::Clone) => Some(Method::Clone),
        (Some(Method::Rewind), _) | (None, ReseedMethod::Rewind) => Some(Method::Rewind),
        (None, ReseedMethod::Auto) => None,
    };
    let sizes = view.observed.sizes;
    let obstacle = rewind_obstacle(view, member, finding);
    let clone = |why: &str| Choice {
        method: Method::Clone,
        words: sizes.map_or_else(String::new, |s| {
            format!("; by clone, about {}{why}", secs(clone_millis(s)))
        }),
    };
    match (wish, obstacle, sizes) {
        (Some(Method::Clone), ..) => clone(""),
        (Some(Method::Rewind), Some(why), _) => clone(&format!(", since a rewind is not possible: {why}")),
        (None, Some(_), _) | (None, None, None) => clone(""),
        (Some(Method::Rewind), None, sizes) => Choice {
            method: Method::Rewind,
            words: sizes.map_or_else(
                || "; by rewind".to_owned(),
                |s| format!("; by rewind, about {}", secs(rewind_millis(s))),
            ),
        },
        (None, None, Some(sizes)) => {
            let (by_clone, by_rewind) = (clone_millis(sizes), rewind_millis(sizes));
            if by_clone <= by_rewind {
                return clone(&format!(" (a rewind about {})", secs(by_rewind)));
            }
            let words = format!(
                "; by rewind, about {} (a clone about {})",
                secs(by_rewind),
                secs(by_clone)
            );
            Choice {
                method: Method::Rewind,
                words,
            }
        }
    }
}

/// Why a member cannot be rewound, if so.
pub fn rewind_obstacle(view: &View<'_>, member: &str, finding: &Finding) -> Option<String> {
    if !finding.has_branched {
        return Some("it has not left the primary's history on a timeline of its own".to_owned());
    }
    if !view.primary_facts().is_some_and(|primary: &PgFacts| primary.can_rewind) {
        return Some("it needs data checksums or wal_log_hints, and full_page_writes".to_owned());
    }
    let failed = view.memory.reseed(member).and_then(|state| state.no_rewind.clone());
    failed.filter(|_| view.memory.reseed(member).is_some_and(|state| state.is_active()))
}

/// How long a clone takes until the member streams, in milliseconds.
pub fn clone_millis(sizes: Sizes) -> u64 {
    CLONE_EXTRA_MS + sizes.data_bytes / CLONE_BYTES_PER_MS
}

/// How long a rewind takes until the member streams, in milliseconds.
fn rewind_millis(sizes: Sizes) -> u64 {
    REWIND_EXTRA_MS
        + (sizes.data_bytes + sizes.wal_bytes) / COPY_BYTES_PER_MS
        + sizes.wal_bytes / REWIND_WAL_BYTES_PER_MS
}

fn secs(millis: u64) -> String {
    match millis {
        0..=9_999 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..=119_999 => format!("{} s", millis / 1000),
        _ => format!("{} min", millis / 60_000),
    }
}
