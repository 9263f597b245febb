//! Configuration: checked, delivered, loaded, kept from drifting; and limits that a standby must not go below.

use super::super::configure;
use super::world::World;
use crate::kinds::postgres::memory::{Rejected, Settings};
use crate::model::Lsn;
use crate::model::postgres::Down;

fn floor(world: World, member: &str, value: i64) -> World {
    world.facts(member, |facts| {
        facts.standby_floor.insert("max_connections".to_owned(), value);
    })
}

fn alter(name: &str, value: &str) -> World {
    World::new(0).healthy().facts("master", |facts| {
        facts.auto_conf.insert(name.to_owned(), value.to_owned());
    })
}

#[test]
fn a_new_configuration_is_checked_by_a_server_before_it_is_delivered() {
    insta::assert_snapshot!(World::new(1).healthy().parameter("work_mem", "64MB").plan(), @r"
    pg: check the new configuration, because spec.parameters or spec.hba changed
    pg: remember that the new configuration is valid, because the server accepts it
    ");
}

#[test]
fn an_accepted_configuration_reaches_every_member() {
    insta::assert_snapshot!(World::new(1).healthy().parameter("work_mem", "64MB").accepted().plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf differ from what the manifest asks for
    master: reload the configuration, because its files changed
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf differ from what the manifest asks for
    replica-1: reload the configuration, because its files changed
    ");
}

#[test]
fn a_refused_configuration_stays_outside() {
    let world = World::new(1).healthy().parameter("work_mem", "lots");
    let settings = world.cluster.settings();
    let world = world.remember(|memory| {
        memory.rejected = Some(Rejected {
            settings,
            message: "invalid value for parameter \"work_mem\": \"lots\"".to_owned(),
        });
    });
    insta::assert_snapshot!(world.clone().plan(), @r#"pg: blocked, invalid value for parameter "work_mem": "lots"; the old configuration stays in force. Correct spec.parameters or spec.hba"#);
    // The next edit is a new question.
    insta::assert_snapshot!(world.parameter("work_mem", "8MB").plan(), @r"
    pg: check the new configuration, because spec.parameters or spec.hba changed
    pg: remember that the new configuration is valid, because the server accepts it
    ");
}

#[test]
fn a_configuration_waits_for_somebody_who_can_judge_it() {
    let world = World::new(0).healthy().parameter("work_mem", "64MB");
    insta::assert_snapshot!(world.down("master", Down::StartingUp, "recovering").plan(), @r"
    master: waiting, its server is starting: recovering
    pg: waiting, a member has to run before the new configuration can be checked
    ");
}

#[test]
fn the_first_configuration_is_accepted_because_the_server_runs_with_it() {
    let world = World::new(0).healthy().remember(|memory| memory.accepted = None);
    insta::assert_snapshot!(world.plan(), @"pg: remember that the new configuration is valid, because the server accepts it");
}

#[test]
fn after_the_record_was_lost_another_configuration_is_checked_before_anybody_gets_it() {
    let world = World::new(1).healthy().parameter("work_mem", "lots");
    let unknown = world.remember(|memory| memory.accepted = None);
    insta::assert_snapshot!(unknown.plan(), @r"
    pg: check the new configuration, because spec.parameters or spec.hba changed
    pg: remember that the new configuration is valid, because the server accepts it
    ");
    let settings = unknown.cluster.settings();
    let rejected = unknown.remember(|memory| {
        let message = "invalid value".to_owned();
        memory.rejected = Some(Rejected { settings, message });
    });
    insta::assert_snapshot!(rejected.plan(), @"pg: blocked, invalid value; the old configuration stays in force. Correct spec.parameters or spec.hba");
}

#[test]
fn an_edited_file_is_put_back() {
    let world = World::new(1).healthy().facts("replica-1", |facts| {
        facts.file_hashes.insert("pg_hba.conf".to_owned(), "0".repeat(64));
        facts.files_edited.insert("pg_hba.conf".to_owned());
        facts.file_hashes.remove("start");
    });
    insta::assert_snapshot!(world.plan(), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because somebody changed pg_hba.conf
    replica-1: reload the configuration, because its files changed
    ");
}

#[test]
fn a_file_that_was_not_loaded_is_loaded() {
    insta::assert_snapshot!(World::new(0).healthy().facts("master", |f| f.reload_due = true).plan(), @"master: reload the configuration, because its files changed after it last read them");
}

#[test]
fn alter_system_beside_the_manifest_is_taken_back() {
    let managed = alter("work_mem", "1GB")
        .parameter("Work_Mem", "64MB")
        .accepted()
        .refresh();
    insta::assert_snapshot!(managed.plan(), @"master: reset parameter work_mem set by ALTER SYSTEM, because ALTER SYSTEM set work_mem to '1GB' beside the manifest");
    insta::assert_snapshot!(alter("primary_conninfo", "host=elsewhere").plan(), @"master: reset parameter primary_conninfo set by ALTER SYSTEM, because ALTER SYSTEM set primary_conninfo to 'host=elsewhere' beside the manifest");
    insta::assert_snapshot!(alter("max_connections", "10").plan(), @"master: reset parameter max_connections set by ALTER SYSTEM, because ALTER SYSTEM set max_connections to '10' beside the manifest");
}

#[test]
fn alter_system_to_a_dangerous_value_is_taken_back() {
    insta::assert_snapshot!(alter("fsync", "off").plan(), @"master: reset parameter fsync set by ALTER SYSTEM, because ALTER SYSTEM set fsync to 'off' beside the manifest");
    insta::assert_snapshot!(alter("wal_level", "minimal").plan(), @"master: reset parameter wal_level set by ALTER SYSTEM, because ALTER SYSTEM set wal_level to 'minimal' beside the manifest");
}

#[test]
fn alter_system_of_what_nobody_manages_is_the_administrators_affair() {
    insta::assert_snapshot!(alter("log_min_duration_statement", "250").plan(), @"nothing to do");
    insta::assert_snapshot!(alter("fsync", "on").plan(), @"nothing to do");
}

#[test]
fn what_the_server_cannot_read_is_told() {
    let world = World::new(0).healthy().facts("master", |facts| {
        facts.conf_errors.push("pg_hba.conf line 9: invalid address".to_owned());
    });
    insta::assert_snapshot!(world.plan(), @"master: blocked, pg_hba.conf line 9: invalid address");
}

/// What a member's file says of `max_connections`.
fn limit(world: &World, member: &str) -> String {
    let files = world
        .view()
        .files(member, configure::role_by_record(&world.view(), member));
    let conf = files.into_iter().find(|file| file.name == "postgresql.conf");
    let conf = conf.map(|file| file.text).unwrap_or_default();
    let line = conf.lines().find_map(|line| line.strip_prefix("max_connections = "));
    line.unwrap_or_default().trim_matches('\'').to_owned()
}

#[test]
fn raising_a_limit_reaches_the_replicas_first() {
    let world = World::new(1).healthy().parameter("max_connections", "200").accepted();
    assert_eq!([limit(&world, "master"), limit(&world, "replica-1")], ["100", "200"]);
    let replicas_have_it = floor(world, "replica-1", 200).refresh();
    let late = replicas_have_it.facts("master", |facts| facts.file_hashes.clear());
    insta::assert_snapshot!(late.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because pg_hba.conf, postgresql.conf, role, start differ from what the manifest asks for
    master: reload the configuration, because its files changed
    ");
    let files = format!("{:?}", late.next().chains);
    assert!(files.contains("max_connections = '200'"));
}

#[test]
fn lowering_a_limit_reaches_the_primary_first() {
    let world = World::new(1).healthy().parameter("max_connections", "50").accepted();
    assert_eq!([limit(&world, "master"), limit(&world, "replica-1")], ["50", "100"]);
    let lowered = floor(world.refresh(), "master", 50);
    insta::assert_snapshot!(lowered.plan(), @"pg: remember that replicas need the primary's limits, because a replica does not start with less than its primary has");
    let mut remembered = lowered.facts("master", |facts| facts.lsn = Lsn(0x600));
    remembered.memory.floor.insert("max_connections".to_owned(), 50);
    remembered.memory.floor_lsn = Lsn(0x600);
    insta::assert_snapshot!(remembered.plan(), @r"
    replica-1: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because postgresql.conf differ from what the manifest asks for
    replica-1: reload the configuration, because its files changed
    ");
}

#[test]
fn raising_one_and_lowering_another_takes_two_rounds_by_itself() {
    let world = World::new(1)
        .healthy()
        .parameter("max_connections", "200")
        .parameter("max_worker_processes", "4")
        .accepted();
    let conf = |member: &str, role| {
        let files = world.view().files(member, role);
        files.into_iter().find(|f| f.name == "postgresql.conf").map(|f| f.text)
    };
    let primary = conf("master", super::super::super::desired::Role::Primary).expect("a file");
    assert!(primary.contains("max_connections = '100'") && primary.contains("max_worker_processes = '4'"));
    let replica = conf("replica-1", super::super::super::desired::Role::Replica).expect("a file");
    assert!(replica.contains("max_connections = '200'") && replica.contains("max_worker_processes = '8'"));
}

#[test]
fn the_settings_in_force_are_the_accepted_ones() {
    let world = World::new(0).healthy().parameter("work_mem", "64MB");
    assert_eq!(world.view().settings(), Settings::default());
}
