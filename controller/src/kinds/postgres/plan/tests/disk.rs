//! A full disk is reported, and nobody is promoted or killed for it. A stopped process is another matter.

use super::super::disk;
use super::world::World;
use crate::kinds::postgres::status;
use crate::model::Seen;
use crate::model::container::Disk;

const PANIC: &str =
    "PANIC:  could not write to file \"pg_wal/xlogtemp.29\": No space left on device\nLOG:  shutting down";

fn with_free(mut world: World, free_bytes: u64) -> World {
    world.observed.objects.disk = Seen::Known(Disk {
        path: "/var/lib/docker/volumes".to_owned(),
        free_bytes,
        total_bytes: 100 << 30,
    });
    world
}

fn conditions(world: &World) -> String {
    let status = status::status(&world.view(), &world.next());
    let warnings = ["DiskFull", "DiskPressure", "SlotWal"];
    let there = status.conditions.iter().filter(|c| warnings.contains(&c.kind.as_str()));
    there.map(|c| format!("{}: {}\n", c.kind, c.message)).collect()
}

#[test]
fn a_primary_that_ended_for_want_of_space_is_reported_and_tried_again() {
    let world = with_free(World::new(1).healthy().kill("master").log("master", PANIC), 4 << 20);
    insta::assert_snapshot!(world.plan(), @r#"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was killed (exit code 137)
    master: blocked, no space is left for its volume pg-master-g1 (4 MiB of 102400 MiB are free at /var/lib/docker/volumes): its log says: PANIC:  could not write to file "pg_wal/xlogtemp.29": No space left on device. Free some, or enlarge the disk; it goes on by itself. Another member would not help, so none takes over
    "#);
    insta::assert_snapshot!(conditions(&world), @r#"
    DiskFull: master: no space is left for its volume pg-master-g1 (4 MiB of 102400 MiB are free at /var/lib/docker/volumes): its log says: PANIC:  could not write to file "pg_wal/xlogtemp.29": No space left on device. Free some, or enlarge the disk; it goes on by itself. Another member would not help, so none takes over
    DiskPressure: less than 10 % of the disk that holds the volumes is free (4 MiB of 102400 MiB are free at /var/lib/docker/volumes); free some, or enlarge it
    "#);
}

#[test]
fn an_old_complaint_of_a_member_that_works_means_nothing() {
    let world = World::new(1).healthy().log("replica-1", PANIC).cut_off("replica-1", 1);
    assert_eq!(disk::is_full(&world.view(), "replica-1"), None);
    assert_eq!(
        disk::is_full(&World::new(1).healthy().kill("master").view(), "master"),
        None
    );
}

#[test]
fn a_disk_that_cannot_be_seen_is_full_only_where_the_log_says_so() {
    let mut world = World::new(1).healthy().kill("master");
    world.observed.objects.disk = Seen::Unknown("it is not on this host".to_owned());
    assert_eq!(disk::is_full(&world.view(), "master"), None);
    let found = disk::is_full(&world.log("master", PANIC).view(), "master").expect("its log says so");
    assert!(found.contains("how much is free is not known"), "{found}");
}

#[test]
fn a_primary_that_answers_but_cannot_write_is_reported() {
    insta::assert_snapshot!(conditions(&with_free(World::new(1).healthy(), 1 << 20)), @r"
    DiskFull: master: no space is left for its volume pg-master-g1 (1 MiB of 102400 MiB are free at /var/lib/docker/volumes): it cannot write any more. Free some, or enlarge the disk; it goes on by itself. Another member would not help, so none takes over
    DiskPressure: less than 10 % of the disk that holds the volumes is free (1 MiB of 102400 MiB are free at /var/lib/docker/volumes); free some, or enlarge it
    ");
    insta::assert_snapshot!(conditions(&with_free(World::new(1).healthy(), 9 << 30)), @"DiskPressure: less than 10 % of the disk that holds the volumes is free (9216 MiB of 102400 MiB are free at /var/lib/docker/volumes); free some, or enlarge it");
    assert_eq!(conditions(&with_free(World::new(1).healthy(), 11 << 30)), "");
}

#[test]
fn a_slot_that_holds_much_is_reported() {
    let holds = |held_bytes: u64| {
        World::new(1).healthy().facts("master", |facts| {
            let slot = facts.slots.get_mut("replica_1").expect("its slot");
            slot.held_bytes = held_bytes;
            slot.safe_bytes = Some(4 << 30);
        })
    };
    insta::assert_snapshot!(conditions(&holds(6 << 30)), @"SlotWal: slot replica_1 (in use) holds 6144 MiB of 10240 MiB of WAL, 4096 MiB before it is given up");
    assert_eq!(conditions(&holds(5 << 30)), "");
}

#[test]
fn a_primary_that_has_served_for_a_moment_starts_at_once_the_next_time() {
    let started = |ago: i64| {
        World::new(0).healthy().remember(|memory| {
            let starts = crate::kinds::postgres::memory::Starts {
                count: 3,
                last: super::world::NOW - ago,
            };
            memory.starts.insert("master".to_owned(), starts);
        })
    };
    insta::assert_snapshot!(started(4).plan(), @"nothing to do");
    insta::assert_snapshot!(started(5).plan(), @"master: remember that master works, because it serves");
    assert_eq!(started(4).next().look_again, Some(std::time::Duration::from_secs(1)));
}
