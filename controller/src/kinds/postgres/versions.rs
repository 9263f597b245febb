//! What differs between PostgreSQL's major versions, as far as it has to be known before a server answers. Pure.
//! Sources: the release notes of 15 to 19, and what `postgres --describe-config` of each lists.

use std::ops::RangeInclusive;

/// The majors that are tested, and so supported.
pub const SUPPORTED: RangeInclusive<u32> = 15..=19;

/// Parameters that not every supported major has: since which one there is, and the last one that has it.
const LIFETIMES: [(&str, u32, u32); 61] = [
    ("allow_alter_system", 17, 0),
    ("autovacuum_analyze_score_weight", 19, 0),
    ("autovacuum_freeze_score_weight", 19, 0),
    ("autovacuum_max_parallel_workers", 19, 0),
    ("autovacuum_multixact_freeze_score_weight", 19, 0),
    ("autovacuum_vacuum_insert_score_weight", 19, 0),
    ("autovacuum_vacuum_max_threshold", 18, 0),
    ("autovacuum_vacuum_score_weight", 19, 0),
    ("autovacuum_worker_slots", 18, 0),
    ("commit_timestamp_buffers", 17, 0),
    ("createrole_self_grant", 16, 0),
    ("db_user_namespace", 0, 16),
    ("debug_print_raw_parse", 19, 0),
    ("enable_distinct_reordering", 18, 0),
    ("enable_eager_aggregate", 19, 0),
    ("enable_group_by_reordering", 17, 0),
    ("enable_presorted_aggregate", 16, 0),
    ("enable_self_join_elimination", 18, 0),
    ("escape_string_warning", 0, 18),
    ("event_triggers", 17, 0),
    ("extension_control_path", 18, 0),
    ("file_copy_method", 18, 0),
    ("file_extend_method", 17, 0),
    ("gss_accept_delegation", 16, 0),
    ("hosts_file", 19, 0),
    ("icu_validation_level", 16, 0),
    ("idle_replication_slot_timeout", 18, 0),
    ("io_combine_limit", 17, 0),
    ("io_max_combine_limit", 18, 0),
    ("io_max_concurrency", 18, 0),
    ("io_max_workers", 19, 0),
    ("io_method", 18, 0),
    ("io_min_workers", 19, 0),
    ("io_worker_idle_timeout", 19, 0),
    ("io_worker_launch_interval", 19, 0),
    ("io_workers", 18, 18),
    ("log_autoanalyze_min_duration", 19, 0),
    ("log_lock_failures", 18, 0),
    ("max_active_replication_origins", 18, 0),
    ("max_notify_queue_pages", 17, 0),
    ("max_parallel_apply_workers_per_subscription", 16, 0),
    ("max_repack_replication_slots", 19, 0),
    ("md5_password_warnings", 18, 0),
    ("min_eager_agg_group_size", 19, 0),
    ("multixact_member_buffers", 17, 0),
    ("oauth_validator_libraries", 18, 0),
    ("old_snapshot_threshold", 0, 16),
    ("password_expiration_warning_threshold", 19, 0),
    ("reserved_connections", 16, 0),
    ("scram_iterations", 16, 0),
    ("ssl_groups", 18, 0),
    ("ssl_sni", 19, 0),
    ("ssl_tls13_ciphers", 18, 0),
    ("summarize_wal", 17, 0),
    ("sync_replication_slots", 17, 0),
    ("synchronized_standby_slots", 17, 0),
    ("timing_clock_source", 19, 0),
    ("transaction_timeout", 17, 0),
    ("vacuum_buffer_usage_limit", 16, 0),
    ("vacuum_defer_cleanup_age", 0, 15),
    ("wal_sender_shutdown_timeout", 19, 0),
];

/// What a parameter that is gone is called now, or is replaced by.
const SUCCESSORS: [(&str, &str); 1] = [("io_workers", "`io_min_workers` and `io_max_workers`")];

/// Why this major has no parameter of this name, if it is known not to.
pub fn missing_parameter(name: &str, major: u32) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let (_, since, last) = LIFETIMES.iter().find(|(known, ..)| *known == lower)?;
    if major < *since {
        return Some(format!("PostgreSQL has it since {since}, and the image is {major}"));
    }
    if *last == 0 || major <= *last {
        return None;
    }
    let instead = SUCCESSORS.iter().find(|(known, _)| *known == lower);
    let instead = instead.map_or(String::new(), |(_, now)| format!("; it has {now} instead"));
    Some(format!(
        "PostgreSQL dropped it with {}, and the image is {major}{instead}",
        last + 1
    ))
}

/// The major of an official image, by its tag: `postgres:17.2-alpine` is 17. Other tags tell nothing.
pub fn of_tag(image: &str) -> Option<u32> {
    let (path, tag) = image.split('@').next()?.rsplit_once(':')?;
    if path.rsplit('/').next() != Some("postgres") {
        return None;
    }
    let digits = tag.bytes().take_while(u8::is_ascii_digit).count();
    let ends = matches!(tag.as_bytes().get(digits), None | Some(b'.' | b'-' | b'b' | b'r'));
    ends.then(|| tag[..digits].parse().ok()).flatten()
}

/// Why a cluster cannot begin with an image of this major, if it cannot; `major` as the image says it (`PG_MAJOR`).
pub fn unsupported(image: &str, major: Option<&str>) -> Option<String> {
    let (oldest, newest) = (SUPPORTED.start(), SUPPORTED.end());
    let supported = format!("PostgreSQL {oldest} to {newest} are supported");
    let major = major.filter(|major| !major.is_empty());
    match major.map(|major| (major, major.parse::<u32>())) {
        Some((_, Ok(number))) if SUPPORTED.contains(&number) => None,
        Some((major, _)) => Some(format!(
            "image {image} has PostgreSQL {major}; {supported}. Name an image of one of them, such as postgres:{newest}"
        )),
        None => Some(format!(
            "image {image} does not say which PostgreSQL it has: official images set PG_MAJOR. {supported}: name an \
             official image such as postgres:{newest}, or build yours with `ENV PG_MAJOR=...`"
        )),
    }
}

/// The value that a server of this major has where nobody sets it, for what a standby must have at least as large as its
/// primary. What a server itself says counts more.
pub fn floor_default(name: &str, usual: i64, major: Option<u32>) -> i64 {
    match (name, major) {
        ("max_locks_per_transaction", Some(19..)) => 128,
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::{missing_parameter, of_tag, unsupported};

    #[test]
    fn only_the_tag_of_an_official_image_says_its_major() {
        let tags = [
            "postgres:17",
            "docker.io/library/postgres:9.6",
            "localhost:5000/postgres:19beta1-alpine",
            "postgres:15.2-bookworm@sha256:00",
            "postgres:latest",
            "postgres",
            "bitnami/postgresql:14",
            "postgres:17th",
            "localhost:5000/postgres",
        ];
        let majors = [Some(17), Some(9), Some(19), Some(15), None, None, None, None, None];
        assert_eq!(tags.map(of_tag), majors);
    }

    #[test]
    fn an_image_is_refused_with_what_is_supported() {
        assert_eq!(unsupported("postgres:19", Some("19")), None);
        insta::assert_snapshot!(unsupported("postgres:14", Some("14")).unwrap_or_default(), @"image postgres:14 has PostgreSQL 14; PostgreSQL 15 to 19 are supported. Name an image of one of them, such as postgres:19");
        insta::assert_snapshot!(unsupported("mine:1", None).unwrap_or_default(), @"image mine:1 does not say which PostgreSQL it has: official images set PG_MAJOR. PostgreSQL 15 to 19 are supported: name an official image such as postgres:19, or build yours with `ENV PG_MAJOR=...`");
        assert_eq!(unsupported("mine:1", Some("")), unsupported("mine:1", None));
        assert!(unsupported("mine:1", Some("new")).is_some_and(|why| why.contains("has PostgreSQL new")));
    }

    #[test]
    fn a_parameter_is_missing_before_it_came_and_after_it_went() {
        assert_eq!(missing_parameter("work_mem", 15), None);
        assert_eq!(missing_parameter("IO_Method", 18), None);
        insta::assert_snapshot!(missing_parameter("IO_Method", 17).unwrap_or_default(), @"PostgreSQL has it since 18, and the image is 17");
        insta::assert_snapshot!(missing_parameter("io_workers", 19).unwrap_or_default(), @"PostgreSQL dropped it with 19, and the image is 19; it has `io_min_workers` and `io_max_workers` instead");
        assert!(missing_parameter("io_workers", 17).is_some() && missing_parameter("io_workers", 18).is_none());
    }
}
