//! Who gets a name back, and who is left alone.

use std::collections::BTreeMap;

use super::{Own, condition, put_right, set_apart};
use crate::model::container::{ContainerObserved, Health, Limits, Neighbour, Objects, RunState};
use crate::model::labels;
use crate::model::plan::Plan;

fn container(name: &str, volume: &str, state: RunState) -> ContainerObserved {
    ContainerObserved {
        id: format!("id-{name}"),
        name: name.to_owned(),
        labels: BTreeMap::from([(labels::MEMBER.to_owned(), "master".to_owned())]),
        state,
        exit_code: 0,
        error: String::new(),
        oom_killed: false,
        started_at: 0,
        finished_at: 0,
        health: Health::Pending,
        networks: BTreeMap::new(),
        aliases: BTreeMap::new(),
        volumes: vec![volume.to_owned()],
        limits: Limits::default(),
    }
}

fn objects(containers: &[ContainerObserved]) -> Objects {
    let mut objects = Objects {
        containers: containers.to_vec(),
        ..Objects::default()
    };
    set_apart(&mut objects, |member| format!("pg-{member}"));
    objects
}

fn own(member: &str) -> Own {
    Own {
        name: format!("pg-{member}"),
        volume: Some("g1".to_owned()),
    }
}

/// The plan, and the condition.
fn told(objects: &Objects) -> String {
    let mut plan = Plan::<String>::default();
    let undecided = put_right(objects, own, &mut plan);
    let condition = condition(objects, own).map(|condition| condition.message);
    format!("{plan}undecided: {undecided:?}\n{}", condition.unwrap_or_default())
}

#[test]
fn who_has_the_name_is_the_members_own_and_a_copy_is_left_alone() {
    let objects = objects(&[
        container("copy", "g1", RunState::Running),
        container("pg-master", "g1", RunState::Exited),
    ]);
    assert_eq!(objects.containers.len(), 1);
    insta::assert_snapshot!(told(&objects), @r"
    nothing to do
    undecided: {}
    copy with volume g1 carries the labels of member master too, but its own is pg-master with volume g1; it is left alone. `docker rm -f copy` removes it and keeps its volume
    ");
}

#[test]
fn a_renamed_one_gets_its_name_back_whether_it_runs_or_not() {
    for state in [RunState::Running, RunState::Paused, RunState::Created, RunState::Exited] {
        let objects = objects(&[container("old", "g1", state)]);
        assert!(
            told(&objects).contains("rename container id-old to pg-master, because somebody renamed it to old"),
            "{state:?}"
        );
    }
}

#[test]
fn of_two_that_nobody_can_tell_apart_neither_gets_the_name() {
    let both = |state| objects(&[container("one", "g1", state), container("two", "g1", state)]);
    insta::assert_snapshot!(told(&both(RunState::Running)), @r#"
    master: blocked, one and two carry its labels and have its volume, none has its name, pg-master, and nobody can tell which is its own: remove all but one (`docker rm -f NAME`; the volume stays)
    undecided: {"master"}
    "#);
    assert!(told(&both(RunState::Exited)).contains("blocked"));
    let one_runs = objects(&[
        container("copy", "g1", RunState::Created),
        container("old", "g1", RunState::Running),
    ]);
    assert!(told(&one_runs).contains("blocked"), "what runs may be anything");
}

#[test]
fn one_with_a_volume_that_was_replaced_is_not_the_members() {
    let objects = objects(&[container("old", "g0", RunState::Running)]);
    insta::assert_snapshot!(told(&objects), @r"
    nothing to do
    undecided: {}
    old with volume g0 carries the labels of member master too, but its own would be pg-master with volume g1; it is left alone. `docker rm -f old` removes it and keeps its volume
    ");
}

#[test]
fn a_name_that_somebody_elses_container_has_is_not_taken_from_it() {
    let mut objects = objects(&[container("old", "g1", RunState::Running)]);
    objects.neighbours.push(Neighbour {
        name: "pg-master".to_owned(),
        image: "nginx".to_owned(),
        host_ports: Vec::new(),
    });
    insta::assert_snapshot!(told(&objects), @r#"
    master: blocked, its container was renamed to old, and pg-master is the name of another one now (image nginx), which does not belong to this resource. Rename or remove that one; the member's own gets its name back then
    undecided: {"master"}
    "#);
}
