//! Role names follow the roles, on a network of their own.

use super::super::super::desired;
use super::parts::seen;
use super::world::{HERE, World};
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::observe;
use crate::model::Lsn;
use crate::model::container::RunState;
use crate::model::postgres::Down;

/// As clusters were before there was a service network.
fn old(replicas: u32) -> World {
    let mut world = World::new(replicas).healthy();
    world.observed.objects.networks.retain(|n| n.name == "pg-net");
    for container in &mut world.observed.objects.containers {
        container.networks.remove("pg-svc");
        container.aliases.remove("pg-svc");
    }
    world
}

fn nameless(world: World, member: &str) -> World {
    world.container(member, |c| {
        c.networks.remove("pg-svc");
        c.aliases.remove("pg-svc");
    })
}

fn named(world: World, member: &str, names: &[&str]) -> World {
    world.container(member, |c| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        c.aliases.insert("pg-svc".to_owned(), names);
    })
}

#[test]
fn a_cluster_without_names_gets_them_without_a_restart() {
    insta::assert_snapshot!(old(1).plan(), @"pg-svc: create network pg-svc, because applications reach the cluster through it, by role names");
    let mut world = old(1);
    let with = World::new(1).healthy().observed.objects.networks;
    world.observed.objects.networks = with;
    insta::assert_snapshot!(world.plan(), @r"
    master: connect to network pg-svc as pg-r, pg-rw, because it is the primary
    replica-1: connect to network pg-svc as pg-r, pg-ro, because it streams
    ");
}

#[test]
fn a_foreign_network_costs_the_names_and_nothing_else() {
    let mut world = old(1).kill("master");
    world.observed.objects.foreign_networks.push("pg-svc".to_owned());
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    pg-svc: blocked, a network named pg-svc exists and does not belong to this cluster; it is left alone, and the cluster runs without role names. Remove it (`docker network rm pg-svc`) or rename the cluster
    ");
}

#[test]
fn a_network_in_use_keeps_its_subnet_and_the_manifest_is_told_so() {
    let world = World::new(1).healthy().edit(|spec| {
        spec.network = serde_json::from_value(serde_json::json!({"serviceSubnet": "10.77.1.0/24"})).expect("networks");
    });
    let plan = world.plan();
    assert!(
        plan.contains("pg-svc: blocked, the network has another subnet (one that the engine chose) than the manifest asks for (10.77.1.0/24)"),
        "{plan}"
    );
    let mut made = world;
    made.observed.objects.networks = vec![
        seen(desired::network(&made.cluster)),
        seen(desired::service_network(&made.cluster)),
    ];
    assert_eq!(made.plan().trim(), "nothing to do");
}

#[test]
fn names_follow_the_record_and_not_what_a_container_had() {
    let swapped = named(World::new(1).healthy(), "replica-1", &["pg-rw", "pg-r"]);
    insta::assert_snapshot!(named(swapped, "master", &["pg-ro", "pg-r"]).plan(), @r"
    master: disconnect from network pg-svc, because it is the primary
    master: connect to network pg-svc as pg-r, pg-rw, because it is the primary
    replica-1: disconnect from network pg-svc, because it streams
    replica-1: connect to network pg-svc as pg-r, pg-ro, because it streams
    ");
    let attached_by_hand = named(World::new(1).healthy(), "replica-1", &[]);
    insta::assert_snapshot!(attached_by_hand.plan(), @r"
    replica-1: disconnect from network pg-svc, because it streams
    replica-1: connect to network pg-svc as pg-r, pg-ro, because it streams
    ");
}

#[test]
fn a_former_primary_loses_the_name_at_once_and_gets_another_when_it_streams() {
    let world = named(World::new(1).healthy(), "replica-1", &["pg-rw", "pg-r"]);
    insta::assert_snapshot!(world.cut_off("replica-1", 0).plan(), @r"
    replica-1: disconnect from network pg-svc, because master is the primary
    replica-1: waiting, it does not stream from master yet
    ");
}

#[test]
fn a_replica_keeps_its_names_for_a_moment_without_a_stream() {
    let cut_off_from = |served: i64, secs: i64| {
        let world = World::new(1).healthy().cut_off("replica-1", secs);
        world.since(&observe::serves("master"), served).plan()
    };
    assert!(!cut_off_from(4, 60).contains("disconnect"));
    let cut_off = |secs| cut_off_from(60, secs);
    insta::assert_snapshot!(cut_off(2), @"replica-1: waiting, it does not stream from master yet");
    assert!(!cut_off(4).contains("disconnect"));
    assert!(cut_off(5).contains("replica-1: disconnect from network pg-svc, because it has not streamed for 5 s"));
    let silent = World::new(1).healthy().down("replica-1", Down::NoAnswer, "timeout");
    let silent = |secs| silent.clone().since(&observe::no_answer("replica-1"), secs).plan();
    assert!(!silent(4).contains("disconnect"));
    assert!(silent(5).contains("replica-1: disconnect from network pg-svc, because it has not answered for 5 s"));
}

#[test]
fn a_replica_that_lags_comes_at_one_limit_and_goes_at_another() {
    let behind = |bytes: u64| {
        let world = World::new(1).healthy();
        let limit = world.cluster.max_lag_bytes;
        world.facts("master", |facts| facts.lsn = Lsn(HERE.0 + limit + bytes))
    };
    insta::assert_snapshot!(behind(0).plan(), @"nothing to do");
    insta::assert_snapshot!(nameless(behind(1), "replica-1").plan(), @"replica-1: waiting, it streams, and is 64.0 MiB behind");
    let limit = World::new(1).cluster.max_lag_bytes;
    insta::assert_snapshot!(behind(limit).plan(), @"replica-1: waiting, it streams, and is 128.0 MiB behind");
    insta::assert_snapshot!(behind(limit + 1).plan(), @r"
    replica-1: disconnect from network pg-svc, because it is 134217729 bytes behind
    replica-1: waiting, it streams, and is 128.0 MiB behind
    ");
}

#[test]
fn nobody_loses_a_name_while_the_primary_is_down() {
    let world = World::new(1)
        .healthy()
        .kill("master")
        .since(&observe::not_streaming("replica-1"), 60);
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    ");
    let silent = World::new(1).healthy().down("master", Down::NoAnswer, "timeout");
    assert!(
        !silent
            .since(&observe::no_answer("master"), 60)
            .plan()
            .contains("pg-svc")
    );
}

#[test]
fn a_primary_has_its_name_before_it_starts_and_a_replica_none() {
    let created = World::new(0).healthy().stop("master").container("master", |c| {
        c.state = RunState::Created;
        c.aliases.clear();
        c.networks.remove("pg-svc");
    });
    insta::assert_snapshot!(created.plan(), @r"
    master: connect to network pg-svc as pg-r, pg-rw, because it is the primary
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was created and never started
    ");
    let stopped = named(World::new(0).healthy().stop("master"), "master", &["pg-ro", "pg-r"]);
    insta::assert_snapshot!(stopped.plan(), @r"
    master: disconnect from network pg-svc, because it has other names than the primary's
    master: connect to network pg-svc as pg-r, pg-rw, because it is the primary
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
    let replica = named(
        World::new(1).healthy().stop("replica-1"),
        "replica-1",
        &["pg-rw", "pg-r"],
    );
    insta::assert_snapshot!(replica.plan(), @r"
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because it was stopped
    ");
}

#[test]
fn nothing_is_attached_to_what_does_not_run() {
    let frozen = nameless(World::new(1).healthy(), "replica-1").container("replica-1", |c| c.state = RunState::Paused);
    assert!(
        !frozen
            .down("replica-1", Down::NoAnswer, "paused")
            .plan()
            .contains("pg-svc")
    );
}

#[test]
fn nobody_joins_or_leaves_while_the_engine_cleans_up_behind_another() {
    let nameless = nameless(World::new(2).healthy(), "replica-1");
    assert!(nameless.plan().contains("replica-1: connect to network pg-svc"));
    let ending = nameless.down("replica-2", Down::ShuttingDown, "the database system is shutting down");
    assert!(!ending.plan().contains("replica-1: connect"), "{}", ending.plan());
}

#[test]
fn in_a_switchover_the_name_of_writes_is_the_targets_before_it_ceases_to_be_the_old_primarys() {
    let stoppable = |world: World| {
        world.promoting("replica-1").remember(|memory| {
            memory.apply(&Change::Fenced("master".to_owned()));
            memory.apply(&Change::Checkpointed(1));
        })
    };
    let plan = stoppable(World::new(1).healthy()).plan();
    let at = |text: &str| plan.find(text).expect(text);
    assert!(
        at("replica-1: connect to network pg-svc as pg-r, pg-rw") < at("master: send SIGINT"),
        "{plan}"
    );
    let moved = stoppable(named(World::new(1).healthy(), "replica-1", &["pg-rw", "pg-r"]));
    assert!(!moved.plan().contains("pg-svc"));
    let waits = World::new(1).healthy().promoting("replica-1");
    assert!(
        !waits.plan().contains("pg-svc"),
        "a checkpoint may take minutes, and the old one serves meanwhile"
    );
    let died = World::new(1).healthy().promoting("replica-1").stop("master");
    let plan = died.facts("replica-1", |facts| facts.lsn = Lsn(0x578)).plan();
    let at = |text: &str| plan.find(text).expect(text);
    assert!(
        at("replica-1: promote") < at("replica-1: connect to network pg-svc as pg-r, pg-rw"),
        "{plan}"
    );
}
