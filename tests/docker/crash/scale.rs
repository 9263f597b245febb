//! One replica more, one less.

use serde_json::json;

use super::host::Side;
use super::stage::Stage;
use crate::world::World;

/// One stage for both ways: what is scaled up is scaled down again.
fn sweep(side: Side, from: u32, to: u32) {
    let mut world = World::new(&format!("scale{from}"), from);
    world.spec["storage"] = json!({"onScaleDown": "Delete"});
    let mut stage = Stage::ready(world);
    let back = |stage: &mut Stage| {
        if stage.members().len() != from as usize + 1 {
            stage.edit(|spec| spec["replicas"] = json!(from));
            assert!(stage.settles());
        }
    };
    stage.sweep(side, back, |stage| stage.edit(|spec| spec["replicas"] = json!(to)));
}

#[test]
fn killed_before_each_call_for_one_replica_more() {
    sweep(Side::Before, 0, 1);
}

#[test]
fn killed_after_each_call_for_one_replica_more() {
    sweep(Side::After, 0, 1);
}

#[test]
fn killed_before_each_call_for_one_replica_less() {
    sweep(Side::Before, 1, 0);
}

#[test]
fn killed_after_each_call_for_one_replica_less() {
    sweep(Side::After, 1, 0);
}
