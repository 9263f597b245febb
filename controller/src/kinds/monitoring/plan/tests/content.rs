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
fn a_grafana_of_our_own_that_refuses_us_gets_the_wanted_password_once_in_a_while() {
    let mut world = World::new();
    world.monitor.spec.grafana = Some(serde_json::from_value(json!({})).unwrap());
    world.remember();
    world.settle();
    refused(&mut world, NOW);
    insta::assert_snapshot!(world.next(), @r"
    grafana: reset the password of admin, because Grafana does not let us in with the wanted one
    grafana: remember that the password of admin was set, because it was set
    ");
    world.remember();
    insta::assert_snapshot!(world.next(), @"grafana: blocked, Grafana does not let us in: it answered 401");
    // Five wrong passwords lock the right one out for five minutes.
    refused(&mut world, NOW + 299);
    assert!(world.next().to_string().contains("blocked"));
    refused(&mut world, NOW + 300);
    assert!(world.next().to_string().contains("reset the password of admin"));
    // Somebody else's is theirs.
    let named = json!({"url": "http://127.0.0.1:3000", "tokenFrom": {"env": "TOKEN"}});
    world.monitor.spec.grafana = Some(serde_json::from_value(named).unwrap());
    assert!(!world.next().to_string().contains("reset the password"));
}
