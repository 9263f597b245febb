//! Whether there is room for a new volume. A seed that fills the disk would take the primary down with it.

use super::super::super::memory::{Change, Method};
use super::super::view::View;
use crate::model::plan::Plan;
use crate::model::postgres::Sizes;
use crate::model::status::bytes;

/// What a base backup brings beyond the databases: the log of its own duration, and what the server makes at its start.
const MARGIN_BYTES: u64 = 128 << 20;
/// The databases grow while they are copied: a twentieth is room for that.
const GROWTH: u64 = 20;

/// The code of the note that there is no room.
pub const NO_SPACE: &str = "NoSpace";

/// Whether a member's new volume can be filled: then what is to be added to the reason, which is not empty when nobody
/// can tell.
pub fn has_room(view: &View<'_>, member: &str, method: Method, plan: &mut Plan<Change>) -> Option<String> {
    let Some(sizes) = view.observed.sizes else {
        return Some(String::new());
    };
    let needed = needed_bytes(sizes, method);
    let disk = match view.observed.objects.disk.known() {
        Some(disk) => disk,
        None => {
            let why = view.observed.objects.disk.unknown().unwrap_or("there is none");
            return Some(format!(
                "; it needs about {}, and whether that is free is not known: {why}",
                bytes(needed)
            ));
        }
    };
    if disk.free_bytes >= needed {
        return Some(String::new());
    }
    plan.block(
        member,
        NO_SPACE,
        format!(
            "a new volume needs about {} and {} are free in {}; make room there, or see `reconciler volumes` for \
             volumes that are not needed any more",
            bytes(needed),
            bytes(disk.free_bytes),
            disk.path
        ),
    );
    None
}

/// What a new volume takes.
fn needed_bytes(sizes: Sizes, method: Method) -> u64 {
    let data = sizes.data_bytes + sizes.data_bytes / GROWTH + MARGIN_BYTES;
    match method {
        Method::Clone => data,
        // The member's own log and the primary's.
        Method::Rewind => data + 2 * sizes.wal_bytes,
    }
}
