//! Changes that need a restart: replicas first, one at a time; then the primary.

use super::world::{NOW, World};
use crate::kinds::postgres::memory::PromotionResult;
use crate::kinds::postgres::spec::{PrimaryUpdate, PullPolicy};
use crate::model::Lsn;
use crate::model::postgres::Running;

fn pending(world: World, member: &str) -> World {
    world.facts(member, |facts| {
        facts.running.insert("shared_buffers".to_owned(), waiting());
    })
}

/// What runs was in our file when the server started, and stands there no more.
fn waiting() -> Running {
    Running {
        setting: "16384".to_owned(),
        unit: "8kB".to_owned(),
        vartype: "integer".to_owned(),
        context: "postmaster".to_owned(),
        source: "configuration file".to_owned(),
        is_ours: true,
        is_pending: true,
        ..Running::default()
    }
}

fn all_pending(replicas: u32) -> World {
    let world = World::new(replicas).healthy();
    let members = world.view().members();
    members.iter().fold(world, |world, member| pending(world, member))
}

fn failed_promotion(at: i64) -> PromotionResult {
    PromotionResult {
        id: 1,
        to: "replica-1".to_owned(),
        succeeded: false,
        message: "master did not stop cleanly".to_owned(),
        at,
        ..PromotionResult::default()
    }
}

#[test]
fn replicas_restart_first_and_one_at_a_time() {
    insta::assert_snapshot!(all_pending(2).plan(), @r"
    replica-1: stop container (60 s grace), because shared_buffers changed
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because shared_buffers changed
    ");
}

#[test]
fn values_are_compared_and_no_flag_is_believed() {
    // An edit was taken back: the server says on that it waits, but what it would start with is what runs.
    let back = World::new(0).healthy().facts("master", |facts| {
        let running = Running {
            source: "default".to_owned(),
            is_ours: false,
            ..waiting()
        };
        facts.running.insert("shared_buffers".to_owned(), running);
    });
    insta::assert_snapshot!(back.plan(), @"nothing to do");
    let asked = pending(
        World::new(0)
            .healthy()
            .parameter("Shared_Buffers", "128 MB")
            .accepted()
            .refresh(),
        "master",
    );
    insta::assert_snapshot!(asked.plan(), @"nothing to do");
    let other = pending(
        World::new(0)
            .healthy()
            .parameter("shared_buffers", "0x8000")
            .accepted()
            .refresh(),
        "master",
    );
    assert!(
        other
            .plan()
            .starts_with("master: stop container (60 s grace), because shared_buffers changed")
    );
}

#[test]
fn nothing_is_restarted_for_an_administrators_own_parameter() {
    let theirs = pending(World::new(1).healthy(), "master").facts("master", |facts| {
        facts.auto_conf.insert("shared_buffers".to_owned(), "900GB".to_owned());
    });
    insta::assert_snapshot!(theirs.plan(), @"nothing to do");
}

#[test]
fn the_next_one_waits_until_the_last_one_streams() {
    let world = pending(pending(World::new(2).healthy(), "replica-2"), "master");
    insta::assert_snapshot!(world.cut_off("replica-1", 1).plan(), @r"
    replica-1: waiting, it does not stream from master yet
    replica-2: waiting, it restarts when replica-1 streams again
    ");
}

#[test]
fn the_primary_restarts_last_and_waits_for_its_replicas() {
    let world = pending(World::new(1).healthy(), "master");
    insta::assert_snapshot!(world.plan(), @r"
    master: stop container (60 s grace), because shared_buffers changed
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because shared_buffers changed
    ");
    insta::assert_snapshot!(world.cut_off("replica-1", 1).plan(), @r"
    replica-1: waiting, it does not stream from master yet
    master: waiting, it restarts when replica-1 streams again
    ");
}

#[test]
fn two_replicas_that_both_need_it_do_not_wait_for_each_other() {
    let world = all_pending(2).cut_off("replica-1", 1).cut_off("replica-2", 1);
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: stop container (60 s grace), because shared_buffers changed
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because shared_buffers changed
    replica-1: waiting, it does not stream from master yet
    replica-2: waiting, it does not stream from master yet
    ");
}

#[test]
fn one_that_is_not_ready_anyway_restarts_first() {
    insta::assert_snapshot!(all_pending(2).cut_off("replica-2", 1).plan(), @r"
    replica-2: stop container (60 s grace), because shared_buffers changed
    replica-2: disconnect from network pg-svc, because it gets its names when it streams
    replica-2: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-2: remember that replica-2 is being started, because a start that leads nowhere is not repeated at once
    replica-2: start container, because shared_buffers changed
    replica-2: waiting, it does not stream from master yet
    ");
}

#[test]
fn a_file_that_was_not_loaded_is_loaded_before_a_restart_is_judged() {
    let world = pending(World::new(0).healthy(), "master").facts("master", |f| f.reload_due = true);
    insta::assert_snapshot!(world.plan(), @"master: reload the configuration, because its files changed after it last read them");
}

#[test]
fn a_replica_restarts_with_lower_limits_only_when_it_has_replayed_the_primarys() {
    let world = pending(World::new(1).healthy(), "replica-1")
        .remember(|memory| memory.floor_lsn = Lsn(0x510))
        .facts("master", |facts| facts.lsn = Lsn(0x520))
        .facts("replica-1", |facts| {
            facts.standby_floor.insert("max_connections".to_owned(), 200);
        });
    insta::assert_snapshot!(world.plan(), @"replica-1: waiting, it restarts when it has replayed what master restarted with");
    let raises = world.clone().facts("replica-1", |facts| {
        facts.standby_floor.insert("max_connections".to_owned(), 50);
        facts.replay_paused = true;
    });
    // PostgreSQL itself has paused the replay of a standby with too small limits: it will never catch up as it is.
    assert!(raises.plan().contains(
        "because PostgreSQL itself has paused its replay, because max_connections is 50 here and 100 on the"
    ));
    insta::assert_snapshot!(world.facts("replica-1", |facts| facts.lsn = Lsn(0x510)).plan(), @r"
    replica-1: stop container (60 s grace), because shared_buffers changed
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because shared_buffers changed
    ");
}

#[test]
fn another_image_or_port_is_a_new_container_on_the_same_volume() {
    let world = World::new(1).healthy().edit(|spec| {
        spec.image = "postgres:17.6".to_owned();
        spec.ports.base = Some(6000);
    });
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: stop container (60 s grace), because its image, ports, labels, shared memory or health check differ from the manifest
    replica-1: remove container, because its image, ports, labels, shared memory or health check differ from the manifest
    replica-1: create container pg-replica-1, because its image, ports, labels, shared memory or health check differ from the manifest
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because its image, ports, labels, shared memory or health check differ from the manifest
    ");
}

#[test]
fn a_member_that_is_down_comes_back_as_the_manifest_says() {
    let world = World::new(0)
        .healthy()
        .edit(|spec| spec.ports.base = Some(6000))
        .stop("master");
    insta::assert_snapshot!(world.plan(), @r"
    master: remove container, because it does not run, and is not as the manifest says
    master: create container pg-master, because it is not as the manifest says
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    ");
}

#[test]
fn the_primarys_restart_can_be_a_switchover() {
    let world = pending(World::new(1).healthy(), "master");
    let world = world.edit(|spec| spec.update_strategy.primary = PrimaryUpdate::Switchover);
    insta::assert_snapshot!(world.plan(), @"replica-1: remember that replica-1 is to be promoted, because master has to restart, and spec.updateStrategy.primary is Switchover");
    let failed = world
        .clone()
        .remember(|memory| memory.last_promotion = Some(failed_promotion(NOW - 29)));
    insta::assert_snapshot!(failed.plan(), @"replica-1: waiting, it takes over so that master can restart; the last try failed: master did not stop cleanly");
    let long_ago = world.remember(|memory| memory.last_promotion = Some(failed_promotion(NOW - 30)));
    insta::assert_snapshot!(long_ago.plan(), @"replica-1: remember that replica-1 is to be promoted, because master has to restart, and spec.updateStrategy.primary is Switchover");
}

#[test]
fn without_a_replica_or_with_a_named_primary_the_restart_is_in_place() {
    let alone = pending(World::new(0).healthy(), "master");
    let alone = alone.edit(|spec| spec.update_strategy.primary = PrimaryUpdate::Switchover);
    insta::assert_snapshot!(alone.plan(), @r"
    master: stop container (60 s grace), because shared_buffers changed
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because shared_buffers changed
    ");
    let named = pending(World::new(1).healthy(), "master").edit(|spec| {
        spec.update_strategy.primary = PrimaryUpdate::Switchover;
        spec.primary = Some("master".to_owned());
    });
    insta::assert_snapshot!(named.plan(), @r"
    master: stop container (60 s grace), because shared_buffers changed
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because shared_buffers changed
    ");
}

#[test]
fn cpu_and_memory_change_without_a_restart() {
    let world = World::new(1)
        .healthy()
        .edit(|spec| spec.resources.memory = Some("2GiB".to_owned()));
    insta::assert_snapshot!(world.plan(), @r"
    master: update cpu and memory limits, because spec.resources differs from what the container has
    replica-1: update cpu and memory limits, because spec.resources differs from what the container has
    ");
}

#[test]
fn a_requested_restart_happens_once() {
    let world = World::new(1).healthy().remember(|memory| {
        memory.restarts.insert("replica-1".to_owned(), NOW);
    });
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: stop container (60 s grace), because a restart was requested
    replica-1: disconnect from network pg-svc, because it gets its names when it streams
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: replica
    replica-1: remember that replica-1 is being started, because a start that leads nowhere is not repeated at once
    replica-1: start container, because a restart was requested
    ");
    let restarted = world.container("replica-1", |c| c.started_at = NOW);
    insta::assert_snapshot!(restarted.plan(), @"nothing to do");
}

#[test]
fn a_newer_image_of_the_same_name_is_fetched_before_a_container_is_replaced_if_the_manifest_says_so() {
    let world = World::new(0).healthy().edit(|spec| {
        spec.pull_policy = PullPolicy::Always;
        spec.ports.base = Some(7000);
    });
    let plan = world.plan();
    let first = plan.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        "master: pull image postgres:17, because spec.pullPolicy is Always"
    );
    assert!(plan.contains("master: create container"), "{plan}");
}
