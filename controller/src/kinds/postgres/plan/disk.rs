//! A disk without room. Promoting another member helps nobody then: it lies on the same disk, and what fills it goes on.

use super::view::View;
use super::words;
use crate::model::container::Disk;

/// Below this nobody can write any more: two segments of WAL.
const FULL_BYTES: u64 = 32 << 20;
/// The hundredth parts that shall stay free: below, there is time to act, and not much.
const PRESSURE_PERCENT: u64 = 10;
/// The kernel's words for ENOSPC, which PostgreSQL repeats untranslated in the C locale of the images.
const NO_SPACE: &str = "No space left on device";

/// Why a member's trouble is known to be a full disk: what was found, and what to do. `None` when it is not known to be.
pub fn is_full(view: &View<'_>, member: &str) -> Option<String> {
    let volume = view.volume_name(member);
    let disk = view.observed.objects.disk.known();
    let answers = view.facts(member).is_some();
    let log = view.log(member);
    let complaint = log.lines().rev().find(|line| line.contains(NO_SPACE));
    let full = disk.filter(|disk| disk.free_bytes < FULL_BYTES);
    let found = match (complaint, full) {
        (Some(line), _) if !answers => format!("its log says: {}", words::bare(line)),
        (_, Some(_)) if !answers => "it does not answer".to_owned(),
        (_, Some(_)) if view.primary() == Some(member) => "it cannot write any more".to_owned(),
        (Some(_) | None, _) => return None,
    };
    let room = disk.map_or_else(|| "how much is free is not known".to_owned(), room);
    Some(format!(
        "no space is left for its volume {volume} ({room}): {found}. Free some, or enlarge the disk; it goes on by \
         itself. Another member would not help, so none takes over"
    ))
}

/// Why the disk will be a trouble soon.
pub fn pressure(view: &View<'_>) -> Option<String> {
    let disk = view.observed.objects.disk.known()?;
    let is_low = disk.free_bytes < disk.total_bytes / 100 * PRESSURE_PERCENT;
    is_low.then(|| {
        format!(
            "less than {PRESSURE_PERCENT} % of the disk that holds the volumes is free ({}); free some, or enlarge it",
            room(disk)
        )
    })
}

/// Why a slot's WAL may fill the disk, or its replica be cut off soon.
pub fn slots(view: &View<'_>) -> Option<String> {
    let facts = view.primary_facts()?;
    let limit = view.cluster.max_slot_wal_keep_bytes;
    let physical = facts.slots.iter();
    let physical = physical.map(|(name, slot)| (name, slot.active, slot.held_bytes, slot.safe_bytes));
    let logical = facts.logical.iter();
    let all = physical.chain(logical.map(|(name, slot)| (name, slot.active, slot.held_bytes, None)));
    let heavy = all.filter(|(_, _, held_bytes, _)| *held_bytes > limit / 2);
    let texts: Vec<String> = heavy
        .map(|(name, active, held_bytes, safe_bytes)| {
            let left = safe_bytes.map_or_else(String::new, |left| {
                format!(", {} before it is given up", mib(u64::try_from(left).unwrap_or(0)))
            });
            let user = if active { "in use" } else { "not in use" };
            format!(
                "slot {name} ({user}) holds {} of {} of WAL{left}",
                mib(held_bytes),
                mib(limit)
            )
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn room(disk: &Disk) -> String {
    format!(
        "{} of {} are free at {}",
        mib(disk.free_bytes),
        mib(disk.total_bytes),
        disk.path
    )
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
