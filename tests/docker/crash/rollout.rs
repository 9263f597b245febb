//! A parameter for which a reload does, and one for which every server restarts.

use serde_json::{Value, json};

use super::host::Side;
use super::stage::Stage;
use crate::world::World;

fn sweep(side: Side, test: &str, parameter: &str, values: [&str; 2]) {
    let mut stage = Stage::ready(World::new(test, 1));
    let mut turn = 0;
    stage.sweep(
        side,
        |_| (),
        |stage| {
            let value = values[turn % 2];
            turn += 1;
            stage.edit(|spec| spec["parameters"][parameter] = json!(value));
        },
    );
    let last: &Value = &stage.world.spec["parameters"][parameter];
    for member in ["master", "replica-1"] {
        let shown = stage.world.sql(member, "postgres", &format!("show {parameter}"));
        assert_eq!(json!(shown), *last, "{member}");
    }
}

#[test]
fn killed_at_each_call_of_a_reload() {
    for side in [Side::Before, Side::After] {
        sweep(side, "reload", "log_min_duration_statement", ["111ms", "222ms"]);
    }
}

#[test]
fn killed_before_each_call_of_a_rolling_restart() {
    sweep(Side::Before, "rolling", "shared_buffers", ["24MB", "16MB"]);
}

#[test]
fn killed_after_each_call_of_a_rolling_restart() {
    sweep(Side::After, "rolling", "shared_buffers", ["24MB", "16MB"]);
}

#[test]
fn killed_at_each_call_of_a_rolling_restart_by_switchover() {
    let mut world = World::new("over", 1);
    world.spec["updateStrategy"] = json!({"primary": "Switchover"});
    let mut stage = Stage::ready(world);
    let mut turn = 0;
    for side in [Side::Before, Side::After] {
        stage.sweep(
            side,
            |_| (),
            |stage| {
                turn += 1;
                let value = ["24MB", "16MB"][turn % 2];
                stage.edit(|spec| spec["parameters"]["shared_buffers"] = json!(value));
            },
        );
    }
}
