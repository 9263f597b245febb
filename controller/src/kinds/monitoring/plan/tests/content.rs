//! What Grafana holds, and who is let in there.

use serde_json::json;

use super::{NOW, World};
use crate::model::Seen;
use crate::model::grafana::GrafanaSeen;

/// A Grafana of our own that refuses the wanted password, as seen at a time.
fn refused(world: &mut World, at: i64) {
    world.observed.grafana_at = at;
    world.observed.grafana = Some(GrafanaSeen {
        version: Seen::Known("11.6.0".to_owned()),
        refused: Some("it answered 401".to_owned()),
        ..GrafanaSeen::default()
    });
}

#[test]
fn a_grafana_of_our_own_that_refuses_us_gets_the_wanted_password_once_a_process() {
    let mut world = World::new();
    world.monitor.spec.grafana = Some(serde_json::from_value(json!({})).unwrap());
    world.remember();
    world.settle();
    refused(&mut world, NOW);
    insta::assert_snapshot!(world.next(), @r"
    grafana: recover lost passwords, because one that is lost may be in its container
    grafana: remember that the password of admin is being set, because once a process
    grafana: reset the password of admin, because Grafana does not let us in with the wanted one
    ");
    world.remember();
    let blocked = world.next().to_string();
    assert!(
        blocked.starts_with("grafana: blocked, Grafana does not let admin in"),
        "{blocked}"
    );
    // A new process may have another administrator.
    let mut restarted = world.container("mon-grafana").clone();
    restarted.started_at = NOW - 1;
    let before = std::mem::replace(world.container("mon-grafana"), restarted);
    assert!(world.next().to_string().contains("reset the password of admin"));
    *world.container("mon-grafana") = before;
    // An agent that ended before it did what it had remembered.
    world.memory.admin.as_mut().unwrap().at = NOW - 3600;
    assert!(world.next().to_string().contains("reset the password of admin"));
    // Let in, it may be shut out again.
    let datasources = [("reconciler-prometheus".to_owned(), Seen::Absent)].into();
    let seen = world.observed.grafana.as_mut().unwrap();
    (seen.refused, seen.datasources) = (None, datasources);
    assert!(world.next().to_string().contains("remember that Grafana lets us in"));
    world.remember();
    assert_eq!(world.memory.admin, None);
}

#[test]
fn somebody_elses_grafana_that_refuses_us_is_left_as_it_is() {
    let mut world = World::healthy();
    let named = json!({"url": "http://127.0.0.1:3000", "tokenFrom": {"env": "TOKEN"}});
    world.monitor.spec.grafana = Some(serde_json::from_value(named).unwrap());
    refused(&mut world, NOW);
    insta::assert_snapshot!(world.next(), @"grafana: blocked, Grafana does not let us in: it answered 401");
}
