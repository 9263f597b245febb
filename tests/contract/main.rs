//! What the agent takes for granted of an engine and of PostgreSQL, written down once and tried on every host that it
//! runs on in tests: PostgreSQL 15 to 19 in a real engine, and the simulated world. Where they differ, the simulation
//! is wrong.
//!
//! `ground` is a host with one cluster's names on it, and `scenarios` what is done there, by the operations of plans alone
//! and by what befalls containers from outside; `real` and `simulated` are the hosts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod ground;
mod real;
mod scenarios;
#[path = "../sim/mod.rs"]
mod sim;
mod simulated;
mod twin;

/// A test of each scenario on each host.
macro_rules! on_every_host {
    ($($room:ident: $($name:ident),+;)+) => {
        on_every_host!(@host simulation, |_test, play| crate::simulated::on(play); $($room: $($name),+;)+);
        on_every_host!(@host postgresql_15, |test, play| crate::real::on("postgres:15", test, play); $($room: $($name),+;)+);
        on_every_host!(@host postgresql_16, |test, play| crate::real::on("postgres:16", test, play); $($room: $($name),+;)+);
        on_every_host!(@host postgresql_17, |test, play| crate::real::on("postgres:17", test, play); $($room: $($name),+;)+);
        on_every_host!(@host postgresql_18, |test, play| crate::real::on("postgres:18", test, play); $($room: $($name),+;)+);
        on_every_host!(@host postgresql_19, |test, play| crate::real::on("postgres:19", test, play); $($room: $($name),+;)+);
    };
    (@host $host:ident, |$test:ident, $play:ident| $run:expr; $($room:ident: $($name:ident),+;)+) => {
        mod $host { $($(
            #[test]
            fn $name() {
                let $test = stringify!($name);
                let $play = async |ground: &_| crate::scenarios::$room::$name(ground).await;
                $run
            }
        )+)+ }
    };
}

on_every_host! {
    engine: what_is_made_twice_is_made_once_and_what_is_gone_is_gone,
        a_name_that_somebody_else_has_is_a_conflict,
        what_is_in_use_is_not_removed,
        a_container_leaves_a_network_and_comes_back,
        two_networks_of_one_name_are_told_apart,
        nothing_is_started_on_a_volume_that_another_container_has,
        a_container_gets_another_name_and_runs_on;
    server: a_primary_comes_up_from_nothing,
        delivered_files_are_seen_and_a_reload_puts_them_in_force,
        a_killed_primary_says_so_and_comes_back_with_every_row,
        the_entry_point_refuses_what_would_destroy,
        who_does_not_answer_says_why,
        contents_are_made_once;
    replication: a_replica_is_seeded_and_streams_through_its_slot,
        a_clean_stop_is_seen_and_a_standby_has_all_of_it,
        a_promotion_begins_a_timeline_and_the_old_primary_follows,
        a_slot_in_use_is_not_dropped,
        commits_wait_for_the_standbys_that_are_named;
}
