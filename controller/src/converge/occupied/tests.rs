//! What is taken out of a plan, and what stays in it.

use std::collections::BTreeMap;

use super::{guard, in_question, intruders, is_asked_for};
use crate::model::Seen;
use crate::model::container::{ContainerObserved, Health, Limits, Objects, RunState};
use crate::model::holder::Holder;
use crate::model::plan::{Action, EngineOp, Plan};

fn holder(container: &str, volume: &str, writes: bool) -> Holder {
    Holder {
        volume: volume.to_owned(),
        id: format!("id-{container}"),
        container: container.to_owned(),
        image: "postgres:17".to_owned(),
        state: "running".to_owned(),
        writes,
        through: None,
    }
}

/// A member with a volume, and what is known of who has it.
fn objects(holders: Seen<Vec<Holder>>) -> Objects {
    let own = ContainerObserved {
        id: "id-pg-master".to_owned(),
        name: "pg-master".to_owned(),
        labels: BTreeMap::new(),
        state: RunState::Exited,
        exit_code: 0,
        error: String::new(),
        oom_killed: false,
        started_at: 0,
        finished_at: 0,
        health: Health::Pending,
        networks: BTreeMap::new(),
        aliases: BTreeMap::new(),
        volumes: vec!["g1".to_owned(), "old".to_owned()],
        limits: Limits::default(),
    };
    Objects {
        containers: vec![own],
        holders,
        ..Objects::default()
    }
}

fn step(op: EngineOp) -> Vec<Action<String>> {
    vec![Action::engine("master", op, "of the test")]
}

fn guarded(holders: Seen<Vec<Holder>>, op: EngineOp) -> String {
    let objects = objects(holders);
    let mut plan = Plan::default();
    plan.chain(step(op));
    guard(&objects, &mut plan);
    plan.to_string()
}

#[test]
fn nothing_is_started_on_a_volume_that_somebody_else_has() {
    let start = || EngineOp::Start("pg-master".to_owned());
    let thaw = || EngineOp::Unpause("id-pg-master".to_owned());
    let intruder = || Seen::Known(vec![holder("x", "g1", true), holder("pg-master", "g1", true)]);
    insta::assert_snapshot!(guarded(intruder(), start()), @"master: blocked, container x (image postgres:17, running) has volume g1 mounted. Two servers on one volume destroy it, so nothing is started: run `docker stop x`, and the agent goes on by itself. To look into a volume beside its server, mount it with `:ro`");
    assert!(guarded(intruder(), thaw()).starts_with("master: blocked, container x"));
    let of_source = Seen::Known(vec![holder("x", "old", true)]);
    assert!(guarded(of_source, start()).starts_with("master: blocked, container x"));
    let fine = [
        vec![holder("pg-master", "g1", true)],
        vec![holder("backup", "g1", false)],
        vec![holder("x", "other", true)],
    ];
    for holders in fine {
        let printed = guarded(Seen::Known(holders), start());
        assert_eq!(printed, "master: start container, because of the test\n");
    }
}

#[test]
fn what_is_not_known_means_no() {
    let start = EngineOp::Start("pg-master".to_owned());
    let unknown = Seen::Unknown("the engine did not answer".to_owned());
    insta::assert_snapshot!(guarded(unknown, start), @"master: waiting, who else has volume g1 mounted is not known: the engine did not answer");
}

#[test]
fn a_volume_that_somebody_only_reads_is_not_destroyed_either() {
    let remove = || EngineOp::RemoveVolume("old".to_owned());
    let printed = guarded(Seen::Known(vec![holder("backup", "old", false)]), remove());
    insta::assert_snapshot!(printed, @"master: blocked, container backup (image postgres:17, running) has volume old mounted, so the volume is not removed: run `docker stop backup`, and the agent goes on by itself");
    let free = guarded(Seen::Known(Vec::new()), remove());
    assert_eq!(free, "master: remove volume old, because of the test\n");
}

#[test]
fn only_what_hangs_on_it_is_asked_about() {
    let objects = objects(Seen::default());
    let mut plan: Plan<String> = Plan::default();
    let stop = EngineOp::Stop {
        container: "pg-master".to_owned(),
        grace_secs: 1,
    };
    plan.chain(step(stop));
    assert!(!is_asked_for(&objects, &plan));
    guard(&objects, &mut plan);
    assert_eq!(plan.chains.len(), 1, "a stop hangs on nothing");
    plan.chain(step(EngineOp::RemoveVolume("g0".to_owned())));
    assert!(is_asked_for(&objects, &plan));
    assert_eq!(in_question(&objects, Some(&plan)), ["g0", "g1", "old"]);
}

#[test]
fn whoever_is_beside_a_member_is_named() {
    let objects = objects(Seen::Known(vec![
        holder("pg-master", "g1", true),
        holder("x", "g1", true),
    ]));
    insta::assert_snapshot!(intruders(&objects).join("\n"), @"container x (image postgres:17, running) has volume g1 mounted beside its own server, and destroys it if it runs one too: run `docker stop x`, or mount it with `:ro`");
}
