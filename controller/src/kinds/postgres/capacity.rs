//! How many WAL senders and replication slots a cluster of so many replicas needs. Pure.

/// The limit of WAL senders.
pub const SENDERS: &str = "max_wal_senders";
/// The limit of replication slots.
pub const SLOTS: &str = "max_replication_slots";
/// PostgreSQL's default of both.
pub const DEFAULT: i64 = 10;
/// What is left for others, such as archivers and subscribers, where the default does not do.
const OTHERS: i64 = 4;

/// The senders that a manifest that names a number has to allow: each replica has a stream, and all may be seeded at once,
/// which takes two, and no stream.
pub fn senders_to_name(replicas: u32) -> i64 {
    i64::from(replicas) * 2
}

/// The slots that a manifest that names a number has to allow.
pub fn slots_to_name(replicas: u32) -> i64 {
    i64::from(replicas)
}

/// The fewest senders with which replicas get on: their streams, and one base backup beside them.
pub fn least_senders(replicas: u32) -> i64 {
    match replicas {
        0 => 0,
        replicas => i64::from(replicas) + 2,
    }
}

/// The senders of a cluster whose manifest names no number. What runs stays where it does: more takes a restart.
pub fn senders(replicas: u32, running: Option<i64>) -> i64 {
    let ample = match senders_to_name(replicas) {
        few if few <= DEFAULT => DEFAULT,
        many => many + OTHERS,
    };
    kept(running, least_senders(replicas), ample)
}

/// The slots of a cluster whose manifest names no number; `None` for the default.
pub fn slots(replicas: u32, running: Option<i64>) -> Option<i64> {
    let ample = match slots_to_name(replicas) + OTHERS {
        few if few <= DEFAULT => DEFAULT,
        many => many + OTHERS,
    };
    let wanted = kept(running, slots_to_name(replicas), ample);
    (wanted > DEFAULT).then_some(wanted)
}

fn kept(running: Option<i64>, least: i64, ample: i64) -> i64 {
    match running {
        Some(running) if running >= least => running.max(DEFAULT),
        Some(_) | None => ample,
    }
}

#[cfg(test)]
mod tests {
    use super::{senders, slots};

    #[test]
    fn few_replicas_get_on_with_the_defaults() {
        for replicas in 0..=5 {
            assert_eq!(
                (senders(replicas, None), slots(replicas, None)),
                (10, None),
                "{replicas}"
            );
        }
    }

    #[test]
    fn more_replicas_get_more_and_something_is_left_for_others() {
        assert_eq!((senders(6, None), slots(6, None)), (16, None));
        assert_eq!((senders(12, None), slots(12, None)), (28, Some(20)));
        assert_eq!((senders(32, None), slots(32, None)), (68, Some(40)));
    }

    #[test]
    fn what_runs_and_suffices_is_not_restarted_for_more_nor_for_less() {
        assert_eq!((senders(8, Some(10)), slots(9, Some(10))), (10, None));
        assert_eq!((senders(9, Some(10)), slots(11, Some(10))), (22, Some(19)));
        assert_eq!((senders(2, Some(28)), slots(2, Some(20))), (28, Some(20)));
        assert_eq!((senders(2, Some(5)), slots(2, Some(5))), (10, None));
    }
}
