//! What has to stand before any member can: image, network, free names and ports; and the first start.

use super::world::{World, image};
use crate::kinds::postgres::memory::Change;
use crate::kinds::postgres::spec::PullPolicy;
use crate::model::Seen;
use crate::model::container::Namesake;
use crate::model::labels;

/// The record names a primary and the network stands, but no member exists yet.
fn founded(replicas: u32) -> World {
    let mut world = World::new(replicas).healthy();
    world.observed.objects.containers.clear();
    world.observed.objects.volumes.clear();
    world.observed.members.clear();
    world.remember(|memory| {
        memory.system_identifier = None;
        memory.accepted = None;
    })
}

#[test]
fn a_healthy_cluster_needs_nothing() {
    insta::assert_snapshot!(World::new(2).healthy().plan(), @"nothing to do");
}

#[test]
fn the_choice_of_the_first_primary_is_on_disk_before_anything_is_made() {
    insta::assert_snapshot!(World::new(2).plan(), @"master: remember that master is the first primary, because the cluster does not exist yet");
    let named = World::new(2).edit(|spec| spec.primary = Some("replica-1".to_owned()));
    insta::assert_snapshot!(named.plan(), @"replica-1: remember that replica-1 is the first primary, because the cluster does not exist yet");
}

#[test]
fn the_network_comes_before_the_members() {
    let world = World::new(1).remember(|memory| memory.apply(&Change::Bootstrap("master".to_owned())));
    insta::assert_snapshot!(world.plan(), @r"
    pg-net: create network pg-net, because it is missing
    pg-svc: create network pg-svc, because applications reach the cluster through it, by role names
    ");
}

#[test]
fn the_first_member_is_initialised_and_replicas_wait_for_it() {
    let world = founded(2);
    insta::assert_snapshot!(world.plan(), @r"
    master: create volume pg-master-g1, because it is missing
    master: create container pg-master, because it is missing
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, superuser.password, because its role is decided before PostgreSQL starts: bootstrap
    master: remember that this configuration is its first, because an edit is told from what it runs with
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was just created
    replica-1: waiting, master has to answer before a replica can be seeded
    replica-2: waiting, master has to answer before a replica can be seeded
    pg: waiting, a member has to run before the new configuration can be checked
    ");
    let printed = format!("{:?}", world.next().chains);
    assert!(printed.contains("bootstrap\\n"), "its role file says bootstrap");
    assert!(printed.contains("superuser.password"));
}

#[test]
fn the_identity_is_remembered_when_the_first_member_answers() {
    let world = World::new(0)
        .healthy()
        .remember(|memory| memory.system_identifier = None);
    insta::assert_snapshot!(world.plan(), @"master: remember that the data has system identifier 7001, because it answers for the first time");
}

#[test]
fn a_missing_image_is_pulled_once_for_all_members() {
    let mut world = World::new(1).healthy().remove("master").remove("replica-1");
    world.see_image(Seen::Absent);
    insta::assert_snapshot!(world.plan(), @r"
    pg: pull image postgres:17, because it is missing
    replica-1: waiting, master has to answer before a replica can be seeded
    ");
}

#[test]
fn a_missing_image_that_must_not_be_pulled_is_an_obstacle() {
    let mut world = founded(0).edit(|spec| spec.pull_policy = PullPolicy::Never);
    world.see_image(Seen::Absent);
    insta::assert_snapshot!(world.plan(), @r"
    pg: blocked, image postgres:17 is missing and spec.pullPolicy is Never; load it, or change the policy
    pg: waiting, a member has to run before the new configuration can be checked
    ");
}

#[test]
fn nothing_is_made_of_an_image_that_could_not_be_looked_at() {
    let mut world = founded(1);
    world.see_image(Seen::Unknown("the engine timed out".to_owned()));
    insta::assert_snapshot!(world.plan(), @r"
    pg: waiting, image postgres:17 could not be looked at: the engine timed out
    replica-1: waiting, master has to answer before a replica can be seeded
    pg: waiting, a member has to run before the new configuration can be checked
    ");
}

#[test]
fn an_unknown_image_is_no_reason_to_recreate_or_to_leave_a_member_down() {
    let mut world = World::new(1).healthy().stop("master");
    world.see_image(Seen::Unknown("the engine timed out".to_owned()));
    insta::assert_snapshot!(world.plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    pg: waiting, image postgres:17 could not be looked at: the engine timed out
    ");
}

#[test]
fn a_network_that_vanished_is_made_again_before_all_else() {
    let mut world = World::new(1).healthy().kill("master");
    world.observed.objects.networks.clear();
    insta::assert_snapshot!(world.plan(), @r"
    pg-net: create network pg-net, because it is missing
    pg-svc: create network pg-svc, because applications reach the cluster through it, by role names
    ");
}

fn namesakes(world: &mut World, guests: [&[&str]; 2]) {
    let namesake = |(id, guests): (&str, &[&str])| Namesake {
        id: id.to_owned(),
        name: "pg-net".to_owned(),
        guests: guests.iter().map(|guest| (*guest).to_owned()).collect(),
    };
    world.observed.objects.namesakes = ["older", "newer"].into_iter().zip(guests).map(namesake).collect();
}

#[test]
fn of_two_networks_with_one_name_the_one_without_containers_goes() {
    let mut world = World::new(0).healthy().kill("master");
    namesakes(&mut world, [&[], &[]]);
    insta::assert_snapshot!(world.plan(), @"pg-net: remove network newer, because it is a second network named pg-net, and nothing is attached to it");
    namesakes(&mut world, [&[], &["pg-master"]]);
    insta::assert_snapshot!(world.plan(), @"pg-net: remove network older, because it is a second network named pg-net, and nothing is attached to it");
}

#[test]
fn two_networks_with_one_name_that_are_both_used_are_left_to_a_human() {
    let mut world = World::new(0).healthy();
    namesakes(&mut world, [&["pg-master"], &["shop"]]);
    insta::assert_snapshot!(world.plan(), @"pg-net: blocked, there are 2 networks of this name and containers are attached to each: older (pg-master); newer (shop); no container starts by that name. Empty all but one (`docker network disconnect ID CONTAINER`); what is empty is removed");
}

#[test]
fn a_foreign_network_of_our_name_is_left_alone() {
    let mut world = World::new(1).healthy();
    world.observed.objects.networks.clear();
    world.observed.objects.foreign_networks.push("pg-net".to_owned());
    insta::assert_snapshot!(world.plan(), @"pg-net: blocked, a network named pg-net exists and does not belong to this cluster; it is left alone. Remove it (`docker network rm pg-net`) or rename the cluster");
}

#[test]
fn a_foreign_volume_of_our_name_is_left_alone() {
    let mut world = World::new(1).healthy().lose("replica-1");
    world
        .observed
        .objects
        .foreign_volumes
        .push("pg-replica-1-g1".to_owned());
    insta::assert_snapshot!(world.plan(), @"replica-1: blocked, a volume named pg-replica-1-g1 exists and does not belong to this cluster; it is left alone. Remove it if you do not need its data, or rename the cluster");
}

#[test]
fn a_foreign_container_of_our_name_is_left_alone() {
    let world = World::new(1).healthy().lose("replica-1").neighbour("pg-replica-1", &[]);
    insta::assert_snapshot!(world.plan(), @"replica-1: blocked, a container named pg-replica-1 (image nginx:1) exists and does not belong to this cluster; it is left alone. Rename or remove it, or rename the cluster");
}

#[test]
fn a_port_that_somebody_holds_is_named_with_its_holder() {
    let world = founded(0)
        .edit(|spec| spec.ports.base = Some(5432))
        .neighbour("old-postgres", &[80, 5432]);
    insta::assert_snapshot!(world.plan(), @r"
    master: blocked, port 5432 is held by container old-postgres (image nginx:1); free it, or change spec.ports
    pg: waiting, a member has to run before the new configuration can be checked
    ");
}

#[test]
fn another_major_version_never_gets_an_existing_volume() {
    let mut world = World::new(0)
        .healthy()
        .edit(|spec| spec.image = "postgres:18".to_owned());
    let mut newer = image();
    newer.env.insert("PG_MAJOR".to_owned(), "18".to_owned());
    world.see_image(Seen::Known(newer));
    insta::assert_snapshot!(world.plan(), @"master: blocked, its volume was initialised by PostgreSQL 17 and image postgres:18 is 18, which cannot read it. Put the old image back; to move, start a second cluster with the new image and load a dump into it");
    insta::assert_snapshot!(world.clone().remove("master").plan(), @"master: blocked, its volume was initialised by PostgreSQL 17 and image postgres:18 is 18, which cannot read it. Put the old image back; to move, start a second cluster with the new image and load a dump into it");
    // The old container is still good for the old volume.
    insta::assert_snapshot!(world.stop("master").plan(), @r"
    master: deliver pg_hba.conf, postgresql.conf, role, slot, source, start, pgpass, because its role is decided before PostgreSQL starts: primary
    master: remember that master is being started, because a start that leads nowhere is not repeated at once
    master: start container, because it was stopped
    master: blocked, its volume was initialised by PostgreSQL 17 and image postgres:18 is 18, which cannot read it. Put the old image back; to move, start a second cluster with the new image and load a dump into it
    ");
}

#[test]
fn a_volume_without_a_version_is_taken_as_it_is() {
    let mut world = World::new(0).healthy().remove("master");
    world.observed.objects.volumes[0].labels.remove(labels::POSTGRES_MAJOR);
    insta::assert_snapshot!(world.plan(), @"master: create container pg-master, because it is missing");
}
