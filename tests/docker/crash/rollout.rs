//! A parameter for which a reload does, and one for which every server restarts.

use serde_json::{Value, json};

use super::host::Side;
use super::stage::Stage;
use crate::world::World;

fn sweep(world: World, sides: &[Side], parameter: &str, values: [&str; 2]) {
    let mut stage = Stage::ready(world);
    let mut turn = 0;
    for side in sides {
        stage.sweep(
            *side,
            |_| (),
            |stage| {
                turn += 1;
                stage.edit(|spec| spec["parameters"][parameter] = json!(values[turn % 2]));
            },
        );
    }
    let last: &Value = &stage.world.spec["parameters"][parameter];
    for member in stage.members() {
        let shown = stage.world.sql(&member, "postgres", &format!("show {parameter}"));
        assert_eq!(json!(shown), *last, "{member}");
    }
}

const BOTH: [Side; 2] = [Side::Before, Side::After];

#[test]
fn killed_at_each_call_of_a_reload() {
    sweep(
        World::new("reload", 1),
        &BOTH,
        "log_min_duration_statement",
        ["111ms", "222ms"],
    );
}

#[test]
fn killed_before_each_call_of_a_rolling_restart() {
    sweep(
        World::new("roll", 1),
        &[Side::Before],
        "shared_buffers",
        ["16MB", "24MB"],
    );
}

#[test]
fn killed_after_each_call_of_a_rolling_restart() {
    sweep(
        World::new("roll", 1),
        &[Side::After],
        "shared_buffers",
        ["16MB", "24MB"],
    );
}

#[test]
fn killed_at_each_call_of_a_rolling_restart_by_switchover() {
    let mut world = World::new("over", 1);
    world.spec["updateStrategy"] = json!({"primary": "Switchover"});
    sweep(world, &BOTH, "shared_buffers", ["16MB", "24MB"]);
}
